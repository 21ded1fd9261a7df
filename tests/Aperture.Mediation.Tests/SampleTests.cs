using System.Diagnostics;
using Aperture.Linux;
using Aperture.VfioUser.Client;

namespace Aperture.Mediation.Tests;

/// <summary>The sample that docs/mediation.md shows, as a program.</summary>
public class SampleTests
{
    private const ulong Page = GrantBook.Page;

    [Fact]
    public void Guests_share_the_first_page_of_the_whiteboard_and_have_the_second_for_themselves()
    {
        using TemporaryFolder folder = new();
        string[] paths = [folder.In("a"), folder.In("b")];
        using Process sample = Process.Start(new ProcessStartInfo(Path.Combine(AppContext.BaseDirectory, "Whiteboard"), paths))!;
        try
        {
            using TestGuest one = Connect(paths[0]);
            using TestGuest other = Connect(paths[1]);
            other.EnableBusMaster();
            using EventFd bell = other.Tie(2, 0);
            one.Write(2, 8, 42);
            one.Write(2, Page, 43);
            one.Write(0, 0, 1);
            Assert.Equal(0u, one.Read(0, 0));
            Assert.Equal((1u, 42u, 0u), (other.Read(0, 0), other.Read(2, 8), other.Read(2, Page)));
            Assert.True(bell.TryTake(out _));
            Assert.Equal(43u, one.Read(2, Page));
        }
        finally
        {
            sample.Kill();
            sample.WaitForExit();
        }
    }

    private static TestGuest Connect(string path)
    {
        VfioUserDevice? device = null;
        Assert.True(SpinWait.SpinUntil(() => TryConnect(path, out device), 60_000), $"nobody serves at {path}");
        return new TestGuest(device!);
    }

    private static bool TryConnect(string path, out VfioUserDevice? device)
    {
        try
        {
            device = VfioUserDevice.Connect(path, new Reports());
            return true;
        }
        catch (LinuxException)
        {
            device = null;
            return false;
        }
    }
}
