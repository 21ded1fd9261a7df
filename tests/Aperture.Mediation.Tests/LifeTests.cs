using System.Diagnostics;
using Aperture.Linux;
using Aperture.Linux.Net;
using Aperture.Mediation.Mediators;
using Aperture.Memory;

namespace Aperture.Mediation.Tests;

/// <summary>Tests that count what this process has open: no other runs beside them.</summary>
[CollectionDefinition(nameof(Alone), DisableParallelization = true)]
public sealed class Alone;

/// <summary>Guests that come and go, however they go, leave no descriptor, mapping or page behind.</summary>
[Collection(nameof(Alone))]
public class LifeTests
{
    private const ulong Page = GrantBook.Page;

    [Fact]
    public void A_thousand_sessions_leave_no_descriptor_mapping_or_page()
    {
        PartitionMediator partition = new(16 * Page);
        using Place divided = new(partition, guests: 2);
        using Place served = new(new TestMediator(64 << 10));
        using RamBlock ram = RamBlock.Create("guest-ram", 16 * Page, shared: true);
        Sessions(5);
        (int descriptors, int mappings) = Count();
        Sessions(500);
        Assert.True(SpinWait.SpinUntil(() => Count() is var now && now.Descriptors <= descriptors && now.Mappings <= mappings, 20_000),
            $"{Count()} after ({descriptors}, {mappings})");
        Assert.Equal((16, 0, 0), (partition.Free, divided.Host.Ledger.Count, served.Host.Ledger.Count));
        Assert.Empty(divided.Reports.Notices);
        Assert.Empty(served.Reports.Notices);

        void Sessions(int count)
        {
            int before = divided.Reports.Count("mediation.ended");
            for (int i = 0; i < count; i++)
            {
                using TestGuest one = divided.Connect(i & 1, ram);
                Assert.Equal(0, one.Device.Iommu.Map(new AddressRange(GuestAddress.Zero, 16 * Page), ram.HostAddress, true));
                using EventFd trigger = one.Tie(2, 0);
                one.Ring(PartitionCommand.Claim, 0, 4);
                one.Write(PartitionMediator.WindowBar, (ulong)(i & 3) * Page, 7);
                using TestGuest other = served.Connect();
                using RamBlock mapped = other.Device.Map(2, other.Device.Regions[2].Areas[0]);
                one.Dispose();
                other.Dispose();
                divided.Reports.Await("mediation.ended", before + i + 1);
                served.Reports.Await("mediation.ended", before + i + 1);
            }
        }
    }

    [Fact]
    public void A_guest_whose_monitor_is_killed_gives_its_pages_back_and_the_others_go_on()
    {
        PartitionMediator mediator = new(16 * Page);
        using Place place = new(mediator, guests: 2);
        using TestGuest other = place.Connect(1);
        other.Ring(PartitionCommand.Claim, 0, 8);
        other.Write(PartitionMediator.WindowBar, 0, 42);
        for (int i = 1; i <= 3; i++)
        {
            using Process victim = new()
            {
                StartInfo = new ProcessStartInfo(Environment.ProcessPath!, ["--guest", place.Paths[0]]) { RedirectStandardOutput = true },
            };
            victim.Start();
            Assert.Equal("ready", victim.StandardOutput.ReadLine());
            Assert.Equal(9, place.Host.Ledger.Count);
            victim.Kill();
            place.Reports.Await("mediation.ended", i);
            Assert.Equal((15, 1), (mediator.Free, place.Host.Ledger.Count));
            Assert.Equal(42u, other.Read(PartitionMediator.WindowBar, 0));
            victim.WaitForExit();
        }

        // Nothing of the killed ones is in what the next gets.
        other.Ring(PartitionCommand.Claim, 1, 15);
        Assert.All(other.ReadMany(PartitionMediator.WindowBar, Page, (int)(15 * Page)), static b => Assert.Equal(0, b));
    }

    [Fact]
    public void A_client_that_maps_grants_and_ends_in_the_middle_of_any_message_gives_its_pages_back()
    {
        const string Wish = """{"capabilities":{"twin_socket":{"supported":true},"aperture_faults":{"version":1}}}""";

        // The version; all eight pages are claimed; two touches; the first page is given up, which asks over the twin socket.
        byte[] session = Convert.FromHexString(("0100 0100 " + Convert.ToHexString(BitConverter.GetBytes(16 + 4 + Wish.Length + 1))
            + " 00000000 00000000 0000 0100 " + Convert.ToHexString(System.Text.Encoding.UTF8.GetBytes(Wish)) + " 00"
            + "0700 0a00 24000000 10000000 00000000  2400000000000000 00000000 04000000 08000000"
            + "0900 0a00 24000000 10000000 00000000  2800000000000000 00000000 04000000 01000000"
            + "0b00 0141 30000000 00000000 00000000  02000000 00000000 0000000000000000 0000000000000000 0000000000000000"
            + "0c00 0141 30000000 00000000 00000000  02000000 01000000 0010000000000000 0000000000000000 0000000000000000"
            + "0d00 0a00 24000000 10000000 00000000  2400000000000000 00000000 04000000 01000000"
            + "0e00 0a00 24000000 10000000 00000000  2800000000000000 00000000 04000000 02000000"
            + "0f00 0900 20000000 00000000 00000000  1800000000000000 00000000 04000000").Replace(" ", "", StringComparison.Ordinal));
        PartitionMediator mediator = new(8 * Page, trust: true);
        using Place place = new(mediator);
        Sessions(session.Length - 40);
        (int descriptors, int mappings) = Count();
        Sessions(0);
        Assert.True(SpinWait.SpinUntil(() => Count() is var now && now.Descriptors <= descriptors && now.Mappings <= mappings, 20_000),
            $"{Count()} after ({descriptors}, {mappings})");
        using TestGuest next = place.Connect();
        next.Ring(PartitionCommand.Claim, 0, 8);
        Assert.All(next.ReadMany(PartitionMediator.WindowBar, 0, (int)(8 * Page)), static b => Assert.Equal(0, b));

        void Sessions(int first)
        {
            int before = Ends();
            for (int length = first; length <= session.Length; length++)
            {
                Assert.Equal(0, UnixSocket.TryConnect(place.Paths[0], out SafeFileDescriptor socket));
                using (socket)
                {
                    Assert.Equal(length, length == 0 ? 0 : SocketMessages.TrySend(socket, session.AsSpan(0, length), default, []));
                }
            }

            int sessions = session.Length + 1 - first;
            Assert.True(SpinWait.SpinUntil(() => Ends() >= before + sessions, 60_000), $"{Ends() - before} of {sessions} ended");
            Assert.Equal((8, 0), (mediator.Free, place.Host.Ledger.Count));
        }

        int Ends() => place.Reports.Count("vfio-user.disconnected") + place.Reports.Count("vfio-user.ended");
    }

    [Fact]
    public void A_host_that_stops_ends_its_guests_and_takes_its_sockets_away()
    {
        using TemporaryFolder folder = new();
        Reports reports = new();
        using MediationHost host = new(new PartitionMediator(8 * Page), reports);
        host.Listen(folder.In("a"));
        Assert.Throws<LinuxException>(() => host.Listen(folder.In("a")));
        using TestGuest guest = new(VfioUser.Client.VfioUserDevice.Connect(folder.In("a"), reports));
        Thread waits = new(host.Wait);
        waits.Start();
        host.Stop();
        Assert.True(waits.Join(20_000));
        Assert.NotEqual(0, guest.Device.Read(0, 0, new byte[4]));
        Assert.False(File.Exists(folder.In("a")));
    }

    private static (int Descriptors, int Mappings) Count()
    {
        GC.Collect();
        GC.WaitForPendingFinalizers();

        // But for files of disks, which the runtime opens when it needs them.
        int descriptors = new DirectoryInfo("/proc/self/fd").GetFileSystemInfos().Count(static f => f.LinkTarget is { } target
            && (!target.StartsWith('/') || target.StartsWith("/memfd:", StringComparison.Ordinal)));
        return (descriptors, File.ReadLines("/proc/self/maps").Count(static line => line.Contains("/memfd:guest-ram", StringComparison.Ordinal)
            || line.Contains("/memfd:partition", StringComparison.Ordinal) || line.Contains("/memfd:test-", StringComparison.Ordinal)));
    }
}
