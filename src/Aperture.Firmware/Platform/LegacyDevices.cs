namespace Aperture.Firmware.Platform;

/// <summary>A 16550 serial port (PNP0501) of eight I/O ports.</summary>
/// <param name="Port">Its first port.</param>
/// <param name="Irq">Its ISA interrupt.</param>
public sealed record SerialPortDescription(ushort Port, byte Irq)
{
    /// <summary>COM1: 0x3F8, interrupt 4.</summary>
    public static SerialPortDescription Com1 { get; } = new(0x3F8, 4);
}

/// <summary>High precision event timers (IA-PC HPET Specification 1.0a), PNP0103.</summary>
/// <param name="Range">The registers, below 4 GiB.</param>
/// <param name="BlockId">The low half of the capability register (2.3.4).</param>
/// <param name="ShortestPeriod">The shortest period of a periodic timer that loses no interrupt, in ticks of the counter.</param>
public sealed record HpetDescription(AddressRange Range, uint BlockId, ushort ShortestPeriod);

/// <summary>The register that resets the machine (ACPI 6.5 4.8.3.6), an I/O port.</summary>
/// <param name="Port">The port, one byte wide.</param>
/// <param name="Value">What to write.</param>
public sealed record ResetRegister(ushort Port, byte Value)
{
    /// <summary>The reset control register of Intel's chipsets: 6 to 0xCF9.</summary>
    public static ResetRegister Cf9 { get; } = new(0xCF9, 0x06);
}

/// <summary>The ACPI register blocks of the chipset, all I/O ports (ACPI 6.5 4.8).</summary>
/// <param name="Base">PM1a event block (4 bytes); the PM1a control block follows at +4 (2 bytes), the timer at +8 (4 bytes).</param>
/// <param name="Gpe0">First port of the general purpose event block 0: status half, then enable half.</param>
/// <param name="Gpe0Length">Its length in bytes, both halves; 0 for none.</param>
/// <param name="Length">How many ports from <paramref name="Base"/> on the chipset decodes; reserved for the guest's I/O allocator.</param>
public sealed record PmBlocks(ushort Base, ushort Gpe0, byte Gpe0Length, ushort Length)
{
    /// <summary>ICH9 with PMBASE at 0x600: GPE0 at +0x20, 16 bytes, 128 ports in all.</summary>
    public static PmBlocks Ich9 { get; } = new(0x600, 0x620, 16, 128);

    /// <summary>The PM1a control block.</summary>
    public ushort Control => (ushort)(Base + 4);

    /// <summary>The power management timer.</summary>
    public ushort Timer => (ushort)(Base + 8);
}
