using System.Buffers.Binary;
using Aperture.Pci;
using Aperture.Pci.Capabilities;
using Aperture.Pci.Ports;
using Aperture.Pci.Registers;

namespace Aperture.Assignment;

/// <summary>
/// The PCI Express capability, id 0x10 (PCI Express 5.0, section 7.5.3), of an assigned endpoint: what the device says, except its place in the topology,
/// its link settings, the payload size and the function level reset, which are the virtual machine's. Device control reaches the device for the rest.
/// </summary>
internal sealed class AssignedExpressCapability : StandardCapability
{
    /// <summary>The shortest form: an endpoint without slot registers, version 1.</summary>
    public const int ShortestLength = 0x14;

    private const int LongLength = 0x3C;

    // Registers of section 7.5.3.
    private const int Capabilities = 0x02;
    private const int DeviceCapabilities = 0x04;
    private const int DeviceControl = 0x08;
    private const int DeviceStatus = 0x0A;
    private const int LinkCapabilities = 0x0C;
    private const int LinkControl = 0x10;
    private const int DeviceCapabilities2 = 0x24;
    private const int DeviceControl2 = 0x28;
    private const int LinkCapabilities2 = 0x2C;
    private const int LinkControl2 = 0x30;

    // PCI Express capabilities: version, interrupt message number; the type is where the function is.
    private const uint CapabilitiesShown = 0x3E0F;
    private const int TypeShift = 4;
    private const uint TypeMask = 0xF0;

    // All of device control but the function reset.
    private const uint ControlWritable = 0x7FFF;

    // ASPM, read completion boundary, common clock, extended synch, clock power management; speed, width and clock of the link's status.
    private const uint LinkControlWritable = 0x01CB;
    private const uint LinkStatusShown = 0x1FFF_0000;
    private const uint TargetSpeed = 0xF;
    private const uint LinkStatus2Shown = 0xFFFF_0000;

    // 2.5 GT/s, one lane.
    private const uint SmallestLink = 0x11;

    private const uint FunctionResetCapable = 1 << 28;
    private const uint InitiateFunctionReset = 1 << 15;

    // Error reporting, relaxed ordering, extended tags, no snoop, read request size. Not: payload size, phantom functions, auxiliary power.
    private const uint ControlForwarded = 0x791F;

    // Completion timeout, AtomicOps, ID-based ordering. Not: ARI forwarding, LTR, OBFF, which depend on the ports above.
    private const uint Control2Forwarded = 0x03DF;

    // ARI forwarding, LTR, OBFF.
    private const uint Capabilities2Hidden = 1 << 5 | 1 << 11 | 3 << 18;

    private readonly byte[] _raw;
    private readonly PhysicalConfig _device;
    private readonly bool _canReset;

    /// <summary>Makes the capability from the device's registers, header included; its length is theirs.</summary>
    public AssignedExpressCapability(ReadOnlySpan<byte> registers, PhysicalConfig device, bool canReset)
        : base(PciCapabilityIds.Express, registers.Length)
    {
        _raw = registers.ToArray();
        _device = device;
        _canReset = canReset;
    }

    /// <summary>Bytes that a version of the capability has in an endpoint.</summary>
    public static int LengthOf(int version) => version >= 2 ? LongLength : ShortestLength;

    /// <summary>Makes the registers agree with where the function is: integrated into the root complex without a link, or at the end of one.</summary>
    public void FollowPlace(bool onRootBus)
    {
        const uint Legacy = 1;
        uint type = onRootBus ? (uint)PciePortType.RootComplexEndpoint : Type == Legacy ? Legacy : (uint)PciePortType.Endpoint;
        Config.SetDefault(Offset, type << (16 + TypeShift), TypeMask << 16);

        // A device that had no link in the host gets the smallest one below a port.
        uint known = Word(LinkCapabilities);
        uint capabilities = known != 0 ? known : SmallestLink;
        DefineLink(LinkCapabilities, onRootBus ? 0 : capabilities, 0, 0);
        uint control = (Word(LinkControl) & LinkControlWritable)
            | (known != 0 ? Word(LinkControl) & LinkStatusShown : SmallestLink << 16);
        DefineLink(LinkControl, onRootBus ? 0 : control, onRootBus ? 0 : LinkControlWritable, 0);
        DefineLink(LinkCapabilities2, onRootBus ? 0 : Word(LinkCapabilities2), 0, 0);
        DefineLink(LinkControl2, onRootBus ? 0 : Word(LinkControl2) & (LinkStatus2Shown | TargetSpeed), onRootBus ? 0 : TargetSpeed, TargetSpeed);
    }

    /// <summary>
    /// Brings device control to what the guest reads, after a reset: the kernel restores what the device had before it, and the guest's registers have their
    /// defaults.
    /// </summary>
    public void ProgramDevice()
    {
        Program(DeviceControl, ControlForwarded);
        if (Length > DeviceControl2)
        {
            Program(DeviceControl2, Control2Forwarded);
        }
    }

    /// <summary>Declares what is read from the device each time: device status.</summary>
    public void Forward(ForwardedBytes bytes) => bytes.Set(Offset + DeviceStatus, 2);

    protected override void Define()
    {
        Config.Define(Offset + Capabilities, 2, Word(0) >> 16 & CapabilitiesShown);
        Config.Define(Offset + DeviceCapabilities, 4, (Word(DeviceCapabilities) & ~FunctionResetCapable) | (_canReset ? FunctionResetCapable : 0));
        Config.Define(Offset + DeviceControl, 2, Word(DeviceControl) & ControlWritable, writable: ControlWritable);
        if (Length > DeviceControl2)
        {
            Config.Define(Offset + DeviceCapabilities2, 4, Word(DeviceCapabilities2) & ~Capabilities2Hidden);
            Config.Define(Offset + DeviceControl2, 2, Word(DeviceControl2) & Control2Forwarded, writable: Control2Forwarded);
        }

        FollowPlace(onRootBus: true);
    }

    protected override ConfigChange OnWritten(in RegisterWrite write)
    {
        if (write.Register == DeviceControl)
        {
            Forward(DeviceControl, write, ControlForwarded);
            return _canReset && (write.Written & InitiateFunctionReset) != 0 ? ConfigChange.FunctionReset : ConfigChange.None;
        }

        if (write.Register == DeviceControl2 && Length > DeviceControl2)
        {
            Forward(DeviceControl2, write, Control2Forwarded);
        }

        return ConfigChange.None;
    }

    private void Program(int register, uint mask)
    {
        uint now = _device.Read(Offset + register, 2);
        uint wanted = (now & ~mask) | (Config.Get(Offset + register) & mask);
        if (wanted != now)
        {
            _device.Write(Offset + register, 2, wanted);
        }
    }

    private uint Type => (uint)_raw[Capabilities] >> TypeShift;

    // Bits that the guest did not write keep the device's value, which may differ from ours.
    private void Forward(int register, in RegisterWrite write, uint mask)
    {
        uint written = write.Lanes & mask;
        if (written != 0)
        {
            _device.Write(Offset + register, 2, (_device.Read(Offset + register, 2) & ~written) | (write.After & written));
        }
    }

    private void DefineLink(int register, uint value, uint writable, uint sticky)
    {
        if (register + 4 <= Length)
        {
            Config.Define(Offset + register, 4, value, writable, sticky: sticky);
        }
    }

    private uint Word(int register) => register + 4 <= _raw.Length ? BinaryPrimitives.ReadUInt32LittleEndian(_raw.AsSpan(register)) : 0;
}
