using System.Diagnostics;
using System.Text;
using Aperture.Host.Model;
using Aperture.TestKit.Parts.Hosts;
using FsCheck;
using FsCheck.Fluent;

namespace Aperture.Host.Tests;

/// <summary>One machine read from its kernel's tree and from each form of listing is one machine.</summary>
public class OneModelTests
{
    private static Arbitrary<int> Seeds { get; } = Gen.Choose(0, int.MaxValue - 1).ToArbitrary();

    [Fact]
    public void A_tree_and_a_listing_with_hex_say_the_same() => EachMachine(static (machine, tree) => Same(tree, Read(machine.VerboseHex()), hex: true));

    [Fact]
    public void A_tree_and_a_listing_without_hex_say_the_same() => EachMachine(static (machine, tree) => Same(tree, Read(machine.Verbose()), hex: false));

    [Fact]
    public void A_hex_dump_alone_says_the_same_but_for_what_registers_do_not_hold() => EachMachine(static (machine, tree) =>
    {
        HostMachine dump = Read(machine.Hex());
        foreach (HostFunction truth in tree.Functions)
        {
            HostFunction read = dump.Find(truth.Address)!;
            Assert.Equal(Relations(truth with { Driver = null, IommuGroup = null, NumaNode = null }, hex: true), Relations(read, hex: true));
            foreach (HostBar bar in truth.AllBars.Where(bar => bar.Assigned && !truth.IsVirtualFunction))
            {
                HostBar found = read.AllBars.Single(other => other.Index == bar.Index);
                Assert.Equal((bar.Kind, bar.Address, bar.Enabled, bar.Fixed), (found.Kind, found.Address, found.Enabled, found.Fixed));
                Assert.True(found.Size >= bar.Size, $"{truth.Address} bar{bar.Index}: {found.Size} is no bound of {bar.Size}");
            }

            foreach (HostVfBar bar in truth.Sriov?.VfBars ?? [])
            {
                HostVfBar found = read.Sriov!.VfBars.Single(other => other.Index == bar.Index);
                Assert.Equal((bar.Kind, bar.Address, SizeOrigin.Inferred), (found.Kind, found.Address, found.Origin));
                Assert.True(found.Size >= bar.Size, $"{truth.Address} VF bar{bar.Index}: {found.Size} is no bound of {bar.Size}");
            }

            // A listing of registers alone cannot tell a BAR from another register of that place, unless it does not decode.
            Assert.All(read.AllBars.Where(static bar => bar is { Assigned: true, Enabled: true }),
                bar => Assert.Contains(truth.AllBars, other => other.Index == bar.Index));
        }
    });

    [Theory]
    [InlineData("> ")]
    [InlineData("    ")]
    [InlineData("\t")]
    [InlineData("> > ")]
    [InlineData("| ")]
    public void Pastes_with_a_margin_are_read(string margin) => EachMachine((machine, tree) =>
        Same(tree, Read(string.Concat(machine.VerboseHex().Split('\n').Select(line => (margin + line).TrimEnd() + "\r\n"))), hex: true), 2);

    [Fact]
    public void Pastes_that_lost_their_indents_are_read() => EachMachine(static (machine, tree) =>
        Same(tree, Read(string.Concat(machine.VerboseHex().Split('\n').Select(static line => line.Trim() + "\n"))), hex: true), 2);

    [Fact]
    public void Byte_order_marks_and_utf_16_are_read() => EachMachine(static (machine, tree) =>
    {
        foreach (Encoding encoding in (Encoding[])[new UTF8Encoding(true), Encoding.Unicode, Encoding.BigEndianUnicode])
        {
            byte[] bytes = [.. encoding.GetPreamble(), .. encoding.GetBytes(machine.VerboseHex())];
            Same(tree, HostReader.ReadStream(new MemoryStream(bytes), "paste.txt"), hex: true);
        }
    }, 5);

    [Fact]
    public void Messages_to_standard_error_anywhere_inside_are_taken_out() => EachMachine(static (machine, tree) =>
    {
        string text = machine.VerboseHex();
        Random random = new(text.Length);

        // From the end, so that no message stands inside another; not before the first header is whole, and not inside a line break.
        foreach (int at in Enumerable.Range(0, 20).Select(_ => random.Next(80, text.Length - 1)).OrderDescending().ToList())
        {
            string message = random.Next(2) == 0 ? "pcilib: sysfs_read_vpd: read failed: No such device\n"
                : "lspci: Unable to load libkmod resources: error -2\n";
            text = text[at - 1] == '\n' && text[at] == '\n' ? text : text.Insert(at, message);
        }

        Same(tree, Read(text), hex: true);
    }, 6);

    /// <summary>lspci itself, where it is installed, reads the tree; what it prints has to say the same too.</summary>
    [Theory]
    [InlineData("-Dvvnnxxxx", true)]
    [InlineData("-Dvvnn", false)]
    [InlineData("-Dvvvnnxxxx", true)]
    public void What_lspci_prints_of_a_tree_says_the_same(string options, bool hex)
    {
        const string Program = "/usr/bin/lspci";
        Assert.SkipUnless(File.Exists(Program), $"{Program} is not installed");
        for (int seed = 1; seed <= 4; seed++)
        {
            using TreeBuilder tree = new();
            new SampleMachine(seed).Write(tree);
            ProcessStartInfo start = new(Program, ["-A", "linux-sysfs", "-O", $"sysfs.path={Path.Join(tree.Sys, "bus/pci")}", options])
            {
                RedirectStandardOutput = true,
                RedirectStandardError = true,
            };
            using Process process = Process.Start(start)!;
            process.ErrorDataReceived += static (_, _) => { };
            process.BeginErrorReadLine();
            string text = process.StandardOutput.ReadToEnd();
            process.WaitForExit();

            // Drivers are the listing's last lines, and come from another place of the tree.
            Same(tree.Read(), Read(text), hex, drivers: false);
        }
    }

    private static void EachMachine(Action<SampleMachine, HostMachine> check, int count = 12) => Prop.ForAll(Seeds, seed =>
    {
        SampleMachine machine = new(seed);
        using TreeBuilder tree = new();
        machine.Write(tree);
        check(machine, tree.Read());
    }).Holds(count);

    private static HostMachine Read(string text) => HostReader.ReadLspci(text, "listing");

    private static void Same(HostMachine tree, HostMachine listing, bool hex, bool drivers = true)
    {
        Assert.Equal(tree.Functions.Select(static f => f.Address), listing.Functions.Select(static f => f.Address));
        foreach (HostFunction truth in tree.Functions)
        {
            HostFunction read = listing.Find(truth.Address)!;
            HostFunction expected = drivers ? truth : truth with { Driver = read.Driver };
            Assert.Equal(Relations(expected, hex), Relations(read, hex));
            Assert.Equal(truth.AllBars, read.AllBars);
            Assert.Equal(truth.Sriov?.VfBars ?? [], read.Sriov?.VfBars ?? []);
        }

        Assert.Equal(tree.KnowsIommuGroups, listing.KnowsIommuGroups);
        Assert.Equal(tree.IommuGroups.Select(static group => $"{group.Number}: {string.Join(' ', group.Functions)}"),
            listing.IommuGroups.Select(static group => $"{group.Number}: {string.Join(' ', group.Functions)}"));
        Assert.Equal(tree.Findings.Select(static finding => finding.Text), listing.Findings.Select(static finding => finding.Text));
    }

    /// <summary>Everything of a function but its BARs, as text.</summary>
    private static string Relations(HostFunction function, bool hex)
    {
        HostPciBridge? bridge = function.Bridge;
        string windows = bridge is null ? "" : string.Join(' ', bridge.CardBusWindows.Select(static window => $"{window.Kind} {window.Range}"));
        HostSriov? sriov = function.Sriov;
        string vfs = sriov is null ? "" : $"{sriov.TotalVfs} {sriov.NumVfs} {sriov.FirstVfOffset} {sriov.VfStride} {sriov.VfDeviceId:x4}";
        string ari = hex ? $"{function.MultiFunction}" : "";
        return $"{function.Address} {function.Identity} {function.HeaderType} {ari} {function.Driver} {function.IommuGroup} {function.NumaNode} "
            + $"below {function.Parent}: {string.Join(' ', function.Children)}, of {function.PhysicalFunction}, "
            + $"bridge {(bridge is null ? "" : bridge with { CardBusWindows = default })} {windows}, {function.Pcie}, vfs {vfs}, "
            + $"{string.Join(' ', function.ResizableBars)}, acs {function.Acs?.Describe()}, {function.Ats}, command {(int)(function.Command ?? 0) & 7}";
    }
}
