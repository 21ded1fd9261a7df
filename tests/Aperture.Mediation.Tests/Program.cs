using Aperture.Mediation.Mediators;
using Aperture.VfioUser.Client;

namespace Aperture.Mediation.Tests;

/// <summary>The tests; or, for a test that kills it, one guest of a partition at a socket, which says <c>ready</c> and touches its pages for ever.</summary>
internal static class Program
{
    private static int Main(string[] arguments)
    {
        if (arguments is not ["--guest", var path])
        {
            return Xunit.Runner.InProc.SystemConsole.ConsoleRunner.Run(arguments).GetAwaiter().GetResult();
        }

        using TestGuest guest = new(VfioUserDevice.Connect(path, new Reports()));
        guest.Ring(PartitionCommand.Claim, 0, 8);
        for (uint i = 0; ; i++)
        {
            guest.Write(PartitionMediator.WindowBar, i % 8 * GrantBook.Page, 0xDEADBEEF);
            if (i == 64)
            {
                guest.Read(PartitionMediator.WindowBar, 0);
                Console.WriteLine("ready");
            }
        }
    }
}
