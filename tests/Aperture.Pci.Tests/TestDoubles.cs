using Aperture.Pci.Registers;

namespace Aperture.Pci.Tests;

/// <summary>Records what the hierarchy reported.</summary>
internal sealed class RecordingWriteSink : IConfigWriteSink
{
    public List<(PciFunction Function, ConfigChange Change, int Offset, int Size, uint Value)> Writes { get; } = [];

    public Action<PciFunction, ConfigChange>? Then { get; set; }

    /// <summary>Called when a function changed without a write.</summary>
    public Action<PciFunction>? OnChanged { get; set; }

    public void Changed(PciFunction function) => OnChanged?.Invoke(function);

    public void Written(PciFunction function, ConfigChange change, int offset, int size, uint value)
    {
        Writes.Add((function, change, offset, size, value));
        Then?.Invoke(function, change);
    }
}

/// <summary>Records the messages that were sent.</summary>
internal sealed class RecordingMsiSink : IMsiSink
{
    public List<(Bdf Requester, MsiMessage Message)> Sent { get; } = [];

    public void Send(Bdf requester, MsiMessage message) => Sent.Add((requester, message));
}

/// <summary>Holds the level it was last given.</summary>
internal sealed class RecordingLine : IInterruptLine
{
    public bool Level { get; private set; }

    public void Set(bool asserted) => Level = asserted;
}

/// <summary>Builders that several tests share.</summary>
internal static class Build
{
    public static readonly PciIdentity Identity = new(0x1234, 0x5678, 0xFF0000, 3, 0xABCD, 0xEF01);

    public static PciFunction Function(string name = "f", int size = ConfigSpace.ExtendedSize) => new(name, Identity, size);

    public static GuestAddress At(ulong address) => new(address);

    public static AddressRange Range(ulong start, ulong size) => new(new GuestAddress(start), size);

    /// <summary>Limits whose windows are everything above 1 MiB and every port, with nothing reserved.</summary>
    public static DecodeLimits OpenLimits { get; } = new(
        [AddressRange.FromBounds(At(0x10_0000), At(long.MaxValue))], [Range(0, 0x1_0000)], []);

    public static void Enable(PciFunction function) => function.WriteConfig(PciRegisters.Command, 2, 0x0007);
}
