using Aperture.Linux;
using Aperture.Memory;
using Aperture.Memory.Faulting;
using Aperture.VfioUser.Client;

namespace Aperture.Mediation.Tests;

/// <summary>
/// A monitor as it is: what its guest is granted is mapped in memory of this process that faults. A guest's access is the kernel's, as KVM's is for a guest:
/// it waits for the grant.
/// </summary>
internal sealed class FaultedGuest : IDisposable
{
    private readonly RamBlock _block;

    public FaultedGuest(Place place, int at = 0, int bar = 2)
    {
        Device = VfioUserDevice.Connect(place.Paths[at], place.Reports, options: new ClientOptions { MapGrants = true });
        if (Device.Regions[bar].Areas.Count == 0)
        {
            Device.Dispose();
            Assert.Skip("this user may not handle page faults");
        }

        _block = Device.Map(bar, Device.Regions[bar].Areas[0]);
        Bar = bar;
    }

    public VfioUserDevice Device { get; }

    public int Bar { get; }

    /// <summary>A driver's view, for registers.</summary>
    public TestGuest Registers => new(Device);

    public RamBlock Block => _block;

    public FaultingMemory Memory => _block.Faulting!;

    public ulong Mapped => Memory.Runs.Where(static r => r.Kind == GrantRunKind.Granted).Aggregate(0UL, static (sum, run) => sum + run.Size);

    public uint Read(ulong offset)
    {
        byte[] bytes = new byte[4];
        Assert.Equal(0, GuardedCopy.TryRead(_block.HostAddress + offset, bytes));
        return BitConverter.ToUInt32(bytes);
    }

    public void Write(ulong offset, uint value) => Assert.Equal(0, GuardedCopy.TryWrite(_block.HostAddress + offset, BitConverter.GetBytes(value)));

    public void Dispose()
    {
        Device.Dispose();
        _block.Dispose();
    }
}
