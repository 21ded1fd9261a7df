using System.Buffers.Binary;
using System.Globalization;
using Aperture.Cli.Output;
using Aperture.Lab;
using Aperture.Linux;
using Aperture.Mediation;
using Aperture.Mediation.Mediators;
using Aperture.Watch;

namespace Aperture.Cli.Demo;

/// <summary>
/// One mediator that divides 16 pages between three guests: they ask for more than there is, so pages are revoked and granted again while they run. At the end
/// the mediator's book, its memory and what the guests read are compared. The guests are 32-bit, so any KVM runs them.
/// </summary>
internal static class MediationDemo
{
    private const int Pages = 16;
    private const int Claimed = 8;
    private const ulong Page = GrantBook.Page;

    /// <summary>Runs it and prints the comparison; true when all is as it should be, or this host cannot show it.</summary>
    public static bool Run(DemoFolder folder, string accel)
    {
        string kernel = LabArtifacts.Locate().PartitionGuest;
        if (!File.Exists(kernel))
        {
            throw new ApertureException($"{kernel} does not exist: run `./aperture lab prepare`, which builds it.", ApertureException.HostFailure);
        }

        EventHub events = new(TimeProvider.System);
        using IDisposable notices = events.Subscribe(new NoticePrinter(Program.Streams.Error));
        using ScratchFolder sockets = new("aperture-mediation-");
        using MediationHost host = new(new PartitionMediator(Pages * Page, trust: true), events);
        List<PartitionGuest> guests = [];
        try
        {
            foreach (string name in new[] { "a", "b", "c" })
            {
                string socket = Path.Combine(sockets.Path, $"{name}.sock");
                host.Listen(socket);
                if (PartitionGuest.Start(name, guests.Count + 1, kernel, socket) is not { } guest)
                {
                    Console.WriteLine("Three guests on one device were not started: this host has no KVM that runs them (the sentence is above).");
                    return true;
                }

                guests.Add(guest);
            }

            return Play(guests[0], guests[1], guests[2]) & Compare(guests, host);
        }
        finally
        {
            guests.ForEach(static guest => guest.Dispose());
        }
    }

    // What the guests are told has to be what follows from the order of the grants, and from nothing else.
    private static bool Play(PartitionGuest a, PartitionGuest b, PartitionGuest c)
    {
        PartitionGuest[] all = [a, b, c];
        int granted = Fill(all, 0, 5);
        Console.WriteLine($"{Pages} pages of 4 KiB; each guest claims {Claimed} of its window and writes to 5: {granted} are granted at their first touch.");
        Fill([c], 5, 3);
        IReadOnlyList<int> first = a.Taken();
        Console.WriteLine($"c writes to 3 more, and one is free: a, which has its own longest, loses page {string.Join(" and page ", first)} and is told.");
        string regranted = a.Look(0);
        IReadOnlyList<int> second = a.Taken();
        string oldest = string.Join(", ", second);
        Console.WriteLine($"a touches page 0 again: it is granted anew, of {regranted}; its own page {oldest} was the oldest, and is revoked for it.");
        bool gave = b.Do("give 0 2") is ["status", "0"];
        Fill([a], 1, 2);
        Console.WriteLine("b gives up pages 0 and 1; a writes to its pages 1 and 2 again, which takes nobody anything.");
        Console.WriteLine();
        return gave && first is [0, 1] && second is [2] && regranted == "zeros" && all.All(static guest => guest.Taken().Count == 0);
    }

    private static int Fill(PartitionGuest[] guests, int first, int count)
    {
        foreach (PartitionGuest guest in guests)
        {
            guest.Do(string.Create(CultureInfo.InvariantCulture, $"claim 0 {Claimed}"));
            guest.Do(string.Create(CultureInfo.InvariantCulture, $"fill {first} {count} {guest.Number}"));
        }

        return guests.Length * count;
    }

    private static bool Compare(List<PartitionGuest> guests, MediationHost host)
    {
        List<string[]> rows = [];
        HashSet<ulong> held = [];
        bool right = true;
        for (int i = 0; i < guests.Count; i++)
        {
            IReadOnlyList<Grant> grants = host.GrantsOf(i);
            foreach (Grant grant in grants)
            {
                // Only what it has: a touch of anything else would be granted now.
                int page = (int)(grant.Offset / Page);
                string expected = (i, page) == (0, 0) ? "zeros" : guests[i].Number.ToString(CultureInfo.InvariantCulture);
                string mediator = Content(grant, page);
                string guest = guests[i].Look(page);
                bool agrees = mediator == expected && guest == expected && grant.Size == Page && held.Add(grant.SourceOffset);
                right &= agrees;
                rows.Add([guests[i].Name, $"{page}", $"{grant.SourceOffset / Page}", mediator, guest, agrees ? "ok" : "WRONG"]);
            }

            string[] counts = guests[i].Do("counts");
            right &= counts.AsSpan(1).SequenceEqual([$"{Pages}", "0", $"{grants.Count}", i == 0 ? "3" : "0"]) && grants.Count == (i == 0 ? 5 : i == 1 ? 3 : 8);
        }

        Console.Write(BarsDemo.Table(["GUEST", ">PAGE OF ITS WINDOW", ">PAGE OF THE MEMORY", "MEDIATOR READS", "GUEST READS", "VERDICT"], rows));
        Console.WriteLine();
        Console.WriteLine(right
            ? $"{held.Count} pages, each with one guest; 3 were revoked and 3 granted again: the mediator's book, its memory and the guests agree."
            : "NOT as it should be.");
        return right;
    }

    // What a page of the memory says, by the guests' pattern (lab/guest/partition.h).
    private static string Content(Grant grant, int page)
    {
        byte[] bytes = new byte[Page];
        grant.Source.Read(grant.SourceOffset, bytes);
        if (!bytes.AsSpan().ContainsAnyExcept((byte)0))
        {
            return "zeros";
        }

        uint number = bytes[3];
        for (uint i = 0; i < Page / 4; i++)
        {
            if (BinaryPrimitives.ReadUInt32LittleEndian(bytes.AsSpan((int)(4 * i))) != (number << 24 | (uint)page << 12) + i + 1)
            {
                return "mixed";
            }
        }

        return number.ToString(CultureInfo.InvariantCulture);
    }
}
