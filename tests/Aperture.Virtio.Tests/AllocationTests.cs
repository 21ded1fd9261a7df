using Aperture.TestKit.Devices;
using Aperture.Virtio.Block;
using Aperture.Virtio.Tests.Fakes;
using Aperture.Virtio.Transport;

namespace Aperture.Virtio.Tests;

public class AllocationTests
{
    [Fact]
    public void Disk_requests_allocate_nothing_on_the_way_in()
    {
        using VirtioPciFunction function = new("d", new VirtioBlock(new FakeStorage(8), "s"), _ => new FakeDma(4096), null);
        IAccessHandler bar = function.Handler(0)!;
        Allocations.None(() =>
        {
            bar.Write(0x3000, 2, 0);
            bar.Read(0x14, 1, out _);
            bar.Read(0x1000, 1, out _);
            bar.Read(0x2000, 8, out _);
        });
    }
}
