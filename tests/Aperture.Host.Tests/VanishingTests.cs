using Aperture.Host.Building;
using Aperture.Host.Model;
using Aperture.Host.Reading;
using Aperture.TestKit.Parts.Hosts;
using FsCheck.Fluent;

namespace Aperture.Host.Tests;

/// <summary>A live host that takes a function away while it is read: whenever that is, the others are read as they are.</summary>
public class VanishingTests
{
    private const string Vf = "0000:06:10.0";
    private const string Pf = "0000:06:00.0";

    [Fact]
    public void A_function_that_goes_while_a_live_host_is_read_is_left_out_with_a_finding_or_was_read_whole()
    {
        using TreeBuilder builder = Build();
        DirectoryTree tree = new(builder.Root);
        VanishingTree steady = new(tree, int.MaxValue, Vf);
        HostMachine whole = Read(steady, HostOriginKind.LiveSysfs);
        Assert.Equal(3, whole.Functions.Length);
        Assert.Empty(whole.Findings);
        bool wasLeftOut = false;
        bool wasRead = false;
        for (int call = 0; call <= steady.Calls; call++)
        {
            HostMachine machine = Read(new VanishingTree(tree, call, Vf), HostOriginKind.LiveSysfs);
            Assert.Equal(Pf, machine.At(Pf).Address.ToString());
            bool there = machine.Find(Say.Address(Vf)) is not null;
            wasRead |= there;
            if (there)
            {
                Assert.Equal(whole.At(Vf).Identity, machine.At(Vf).Identity);
            }
            else if (machine.Findings.Length > 0)
            {
                HostFinding finding = Assert.Single(machine.Findings);
                Assert.Equal((HostFindingSeverity.Warning, Say.Address(Vf)), (finding.Severity, finding.Function));
                Assert.Equal($"{Vf} went away while the host was read, and is left out.", finding.Text);
                wasLeftOut = true;
            }
        }

        Assert.True(wasLeftOut && wasRead);
    }

    [Fact]
    public void In_a_capture_a_function_that_is_listed_and_missing_stays_a_fault()
    {
        using TreeBuilder builder = Build();
        DirectoryTree tree = new(builder.Root);
        VanishingTree steady = new(tree, int.MaxValue, Vf);
        _ = Read(steady, HostOriginKind.CapturedTree);
        int refused = 0;
        Prop.ForAll(Gen.Choose(0, steady.Calls).ToArbitrary(), call =>
        {
            try
            {
                HostMachine machine = Read(new VanishingTree(tree, call, Vf), HostOriginKind.CapturedTree);
                Assert.DoesNotContain(machine.Findings, f => f.Text.Contains("went away", StringComparison.Ordinal));
            }
            catch (ApertureException)
            {
                refused++;
            }
        }).Holds();
        Assert.True(refused > 0);
    }

    private static HostMachine Read(IHostTree tree, HostOriginKind kind) => HostBuilder.Build(SysfsReader.Read(tree, new HostOrigin(kind, "host")));

    private static TreeBuilder Build()
    {
        TreeBuilder tree = new();
        Function(tree, "pci0000:00", "0000:00:03.0", ConfigBuilder.Bridge(6, 6, HostPortType.RootPort).Bytes, 1);
        Function(tree, "pci0000:00/0000:00:03.0", Pf, new ConfigBuilder().Bytes, 2);
        string vf = Function(tree, "pci0000:00/0000:00:03.0", Vf, new ConfigBuilder().Bytes, 3);
        tree.Link($"{vf}/physfn", $"../{Pf}");
        return tree;
    }

    private static string Function(TreeBuilder tree, string above, string address, byte[] config, int group)
    {
        string place = tree.Function(above, address, config, TreeBuilder.Lines());
        string up = string.Concat(Enumerable.Repeat("../", place.Split('/').Length));
        tree.File($"{place}/vendor", $"0x{config[1]:x2}{config[0]:x2}\n");
        tree.File($"{place}/device", $"0x{config[3]:x2}{config[2]:x2}\n");
        tree.File($"{place}/class", $"0x{config[11]:x2}{config[10]:x2}{config[9]:x2}\n");
        tree.File($"{place}/numa_node", "0\n");
        tree.Link($"{place}/iommu_group", $"{up}kernel/iommu_groups/{group}");
        tree.Link($"kernel/iommu_groups/{group}/devices/{address}", $"../../../../{place}");
        tree.File($"kernel/iommu_groups/{group}/reserved_regions", "0x00000000fee00000 0x00000000feefffff msi\n");
        return place;
    }

    /// <summary>From one call on there is nothing of a function: not its folder, not its links, and its group is gone with it.</summary>
    private sealed class VanishingTree(IHostTree tree, int last, string gone) : IHostTree
    {
        private const string Group = "iommu_groups/3";

        public int Calls { get; private set; }

        public string Name => tree.Name;

        public TreeNodeKind Kind(string path) => IsGone(path) ? TreeNodeKind.None : tree.Kind(path);

        public string ReadLink(string path) => IsGone(path) ? throw Missing(path) : tree.ReadLink(path);

        public IReadOnlyList<string> List(string path) =>
            IsGone(path) ? throw Missing(path) : [.. tree.List(path).Where(name => Calls <= last || !Belongs($"{path}/{name}"))];

        public byte[] Read(string path, int limit) => IsGone(path) ? throw Missing(path) : tree.Read(path, limit);

        private static ApertureException Missing(string path) => new($"{path}: cannot be read: No such file or directory");

        private bool IsGone(string path) => ++Calls > last && Belongs(path);

        private bool Belongs(string path) => path.Contains(gone, StringComparison.Ordinal) || path.Contains(Group, StringComparison.Ordinal);
    }
}
