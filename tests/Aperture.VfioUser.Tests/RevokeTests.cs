using Aperture.VfioUser.Client;
using Aperture.VfioUser.Server;

namespace Aperture.VfioUser.Tests;

/// <summary>Taking pages back from a client (docs/vfio-user.md, "REVOKE"); that clients let go is tested with mediators.</summary>
public class RevokeTests
{
    [Fact]
    public void A_client_that_is_gone_lets_nothing_go_and_harms_nobody()
    {
        using ServedSample device = new();
        using TemporaryFolder folder = new();
        Reports reports = new();
        string path = folder.In("s");
        using VfioUserServer server = VfioUserServer.Listen(path, device, reports);
        VfioUserDevice.Connect(path, reports).Dispose();
        device.Await("disconnected");
        server.Dispose();
        Assert.False(device.Client!.MapsGrants);
        Assert.False(device.Client.Revoke(0, 0, 0x1000, 1));
    }
}
