using Aperture.Devices.Serial;
using Aperture.Devices.TestDevice;

namespace Aperture.Devices.Tests.Fakes;

internal sealed class FakeLine : IInterruptLine
{
    public bool Level { get; private set; }

    public int Edges { get; private set; }

    public void Set(bool asserted)
    {
        Edges += asserted != Level ? 1 : 0;
        Level = asserted;
    }
}

internal sealed class FakeMachine : IMachineControl
{
    public List<(MachineRequest Request, int ExitCode)> Requests { get; } = [];

    public void Request(MachineRequest request, int exitCode, string reason)
    {
        Assert.NotEmpty(reason);
        Requests.Add((request, exitCode));
    }
}

internal sealed class RecordingBackend : ISerialBackend
{
    public List<byte> Bytes { get; } = [];

    public void Write(byte value) => Bytes.Add(value);
}

internal sealed class FakeTestInterrupts : ITestInterrupts
{
    public bool MsiEnabled { get; set; }

    public bool MsixEnabled { get; set; }

    public bool Intx { get; private set; }

    public List<(string Kind, int Vector)> Fired { get; } = [];

    public void FireMsi(int vector) => Fired.Add(("msi", vector));

    public void FireMsix(int vector) => Fired.Add(("msix", vector));

    public void SetIntx(bool asserted) => Intx = asserted;
}

/// <summary>Guest memory of a few pages from address 0 that counts and can refuse a page on demand.</summary>
internal sealed class FakeDma(int size) : IDma
{
    public byte[] Memory { get; } = new byte[size];

    public int Accesses { get; private set; }

    public ulong? BrokenPage { get; set; }

    public Action? OnAccess { get; set; }

    public bool Read(GuestAddress address, Span<byte> destination)
    {
        bool reachable = Reach(address, destination.Length);
        if (reachable)
        {
            Memory.AsSpan((int)address.Value, destination.Length).CopyTo(destination);
        }

        return reachable;
    }

    public bool Write(GuestAddress address, ReadOnlySpan<byte> source)
    {
        bool reachable = Reach(address, source.Length);
        if (reachable)
        {
            source.CopyTo(Memory.AsSpan((int)address.Value));
        }

        return reachable;
    }

    private bool Reach(GuestAddress address, int length)
    {
        Accesses++;
        OnAccess?.Invoke();
        bool inside = address.Value <= (ulong)Memory.Length && (ulong)Memory.Length - address.Value >= (ulong)length;
        bool broken = BrokenPage is { } page && length > 0 && address.Value >> 12 <= page && (address.Value + (ulong)length - 1) >> 12 >= page;
        return inside && !broken;
    }
}

internal static class Ports
{
    public static byte In(this IAccessHandler device, ulong offset)
    {
        Assert.Equal(AccessResult.Ok, device.Read(offset, 1, out ulong value));
        Assert.InRange(value, 0UL, 0xFFUL);
        return (byte)value;
    }

    public static uint In32(this IAccessHandler device, ulong offset)
    {
        Assert.Equal(AccessResult.Ok, device.Read(offset, 4, out ulong value));
        return (uint)value;
    }

    public static void Out(this IAccessHandler device, ulong offset, byte value) =>
        Assert.Equal(AccessResult.Ok, device.Write(offset, 1, value));

    public static void Out32(this IAccessHandler device, ulong offset, uint value) =>
        Assert.Equal(AccessResult.Ok, device.Write(offset, 4, value));
}
