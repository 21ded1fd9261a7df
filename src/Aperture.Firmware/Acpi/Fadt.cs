using Aperture.Firmware.Platform;

namespace Aperture.Firmware.Acpi;

/// <summary>The fixed description table, revision 6.3 (ACPI 6.5 5.2.9).</summary>
internal static class Fadt
{
    public const int Size = 276;

    private const byte EventLength = 4;
    private const byte ControlLength = 2;
    private const byte TimerLength = 4;

    // C2 and C3 do not exist (5.2.9: latencies above 100 and 1000 microseconds say so).
    private const ushort NoC2 = 0xFFF;
    private const ushort NoC3 = 0xFFF;

    private const byte CenturyRegister = 0x32;

    [Flags]
    private enum BootArchitecture : ushort
    {
        LegacyDevices = 1 << 0,
        Has8042 = 1 << 1,
        VgaNotPresent = 1 << 2,
        NoCmosRtc = 1 << 5,
    }

    /// <summary>Fixed feature flags (5.2.9, table "Fixed ACPI Description Table Fixed Feature Flags").</summary>
    [Flags]
    private enum Feature : uint
    {
        Wbinvd = 1 << 0,
        C1OnAllProcessors = 1 << 2,

        /// <summary>The sleep button is not a fixed one: there is none. The power button's flag stays clear: it is fixed hardware in PM1.</summary>
        NoFixedSleepButton = 1 << 5,

        /// <summary>No RTC alarm status in PM1: nothing sleeps, so nothing is woken.</summary>
        NoFixedRtcWake = 1 << 6,
        ResetRegisterSupported = 1 << 10,
    }

    public static byte[] Build(PlatformDescription platform, GuestAddress facs, GuestAddress dsdt)
    {
        PmBlocks pm = platform.Pm;
        bool smi = platform.SmiCommandPort != 0;
        var table = new AcpiTableBuilder("FACP", 6);
        table.U32((uint)facs.Value).U32((uint)dsdt.Value);
        table.U8(0).U8(0).U16(platform.SciIrq);
        table.U32(platform.SmiCommandPort);
        table.U8(smi ? platform.AcpiEnable : (byte)0).U8(smi ? platform.AcpiDisable : (byte)0);

        // S4BIOS_REQ, PSTATE_CNT.
        table.U8(0).U8(0);

        // PM1a and PM1b event, PM1a and PM1b control, PM2 control, timer, GPE0, GPE1.
        table.U32(pm.Base).U32(0).U32(pm.Control).U32(0).U32(0).U32(pm.Timer);
        table.U32(pm.Gpe0Length == 0 ? 0u : pm.Gpe0).U32(0);
        table.U8(EventLength).U8(ControlLength).U8(0).U8(TimerLength).U8(pm.Gpe0Length).U8(0);

        // GPE1_BASE, CST_CNT, P_LVL2_LAT, P_LVL3_LAT, FLUSH_SIZE, FLUSH_STRIDE, DUTY_OFFSET, DUTY_WIDTH.
        table.U8(0).U8(0).U16(NoC2).U16(NoC3).U16(0).U16(0).U8(0).U8(0);

        // Day and month alarm, century.
        table.U8(0).U8(0).U8(platform.HasRtc ? CenturyRegister : (byte)0);
        table.U16((ushort)BootFlags(platform)).U8(0);
        table.U32((uint)(Feature.Wbinvd | Feature.C1OnAllProcessors | Feature.NoFixedSleepButton
            | Feature.NoFixedRtcWake | Feature.ResetRegisterSupported));
        table.IoAddress(platform.Reset.Port, 1).U8(platform.Reset.Value);

        // ARM boot flags, minor version 3.
        table.U16(0).U8(3);
        AppendExtended(table, platform, facs, dsdt);
        return table.Finish();
    }

    private static void AppendExtended(AcpiTableBuilder table, PlatformDescription platform, GuestAddress facs, GuestAddress dsdt)
    {
        PmBlocks pm = platform.Pm;
        table.U64(facs.Value).U64(dsdt.Value);
        table.IoAddress(pm.Base, EventLength).IoAddress(0, 0);
        table.IoAddress(pm.Control, ControlLength).IoAddress(0, 0);
        table.IoAddress(0, 0);
        table.IoAddress(pm.Timer, TimerLength);

        // General-purpose events are accessed in bytes (4.8.4.1).
        table.IoByteBlock(pm.Gpe0, pm.Gpe0Length).IoAddress(0, 0);

        // Sleep control and status belong to hardware-reduced platforms; then the hypervisor vendor id.
        table.IoAddress(0, 0).IoAddress(0, 0).U64(0);
    }

    private static BootArchitecture BootFlags(PlatformDescription platform) =>
        BootArchitecture.LegacyDevices
        | (platform.HasI8042 ? BootArchitecture.Has8042 : 0)
        | (platform.HasVga ? 0 : BootArchitecture.VgaNotPresent)
        | (platform.HasRtc ? 0 : BootArchitecture.NoCmosRtc);
}
