using Aperture.Firmware.Fdt;
using Aperture.Firmware.Tests.Acpi;
using FsCheck;
using FsCheck.Fluent;

namespace Aperture.Firmware.Tests.Fdt;

public class FdtWriterTests
{
    private sealed record Plan(string Name, IReadOnlyList<(string Name, byte[] Value)> Properties, IReadOnlyList<Plan> Children);

    private static Gen<string> Names(string extra) =>
        from first in Gen.Elements('a', 'q', 'Z')
        from rest in Gen.Elements($"abc09,._+-{extra}".ToCharArray()).ArrayOf()
        select new string([first, .. rest.Take(30)]);

    private static Gen<byte[]> Values { get; } = Gen.Choose(0, 255).Select(static value => (byte)value).ArrayOf();

    private static Gen<Plan> Plans(int depth) =>
        from name in Names("")
        from properties in (from property in Names("#?") from value in Values select (property, value)).ListOf()
        from children in depth == 0 ? Gen.Constant(new List<Plan>()) : Plans(depth - 1).ListOf()
        select new Plan(name, [.. properties.DistinctBy(p => p.property)], [.. children.DistinctBy(child => child.Name).Take(4)]);

    [Fact]
    public void A_reader_finds_every_node_and_property_in_order_and_nothing_else() =>
        Prop.ForAll(Plans(3).ToArbitrary(), plan =>
        {
            FdtNode root = FdtNode.Root();
            Fill(root, plan);
            FdtReader read = FdtReader.Read(FdtWriter.Write(root, 7, new AddressRange(new GuestAddress(0x4000_0000), 0x1_0000)));
            Assert.Equal(7u, read.BootCpu);
            Assert.Equal((0x4000_0000UL, 0x1_0000UL), Assert.Single(read.Reserved));
            Equal(plan, read.Root);
        }).Holds(300);

    [Fact]
    public void The_compiler_reads_it_and_gives_the_same_tree_back() =>
        Prop.ForAll(Plans(2).ToArbitrary(), plan =>
        {
            Assert.SkipUnless(AcpiTools.Have("dtc"), "dtc is not installed (Debian package device-tree-compiler)");
            FdtNode root = FdtNode.Root();
            Fill(root, plan);
            using AcpiTools tools = new();
            string blob = tools.Save("tree.dtb", FdtWriter.Write(root));
            string again = Path.Combine(tools.Folder, "again.dtb");

            // Random names break the conventions that the checks are about; the format is what is tested here.
            (int code, string output) = tools.Run("dtc", "-q", "-f", "-I", "dtb", "-O", "dtb", "-o", again, blob);
            Assert.True(code == 0, output);
            Equal(plan, FdtReader.Read(File.ReadAllBytes(again)).Root);
        }).Holds(20);

    [Fact]
    public void A_tree_that_the_kernel_would_not_map_is_refused_in_one_sentence()
    {
        FdtNode root = FdtNode.Root().Bytes("room", new byte[FdtWriter.MaxSize - 200]);
        Assert.True(FdtWriter.Write(root).Length <= FdtWriter.MaxSize);
        root.Bytes("more", new byte[200]);
        ApertureException refused = Assert.Throws<ApertureException>(() => FdtWriter.Write(root));
        Assert.Contains("the kernel takes at most 2097152 (2M)", refused.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("")]
    [InlineData("1st")]
    [InlineData("a/b")]
    [InlineData("a b")]
    [InlineData("uart@")]
    [InlineData("uart@1@2")]
    [InlineData("abcdefghijklmnopqrstuvwxyz012345")]
    public void Names_that_no_node_may_have_are_mistakes(string name) => Assert.Throws<ArgumentException>(() => FdtNode.Root().Node(name));

    [Fact]
    public void A_name_twice_is_a_mistake()
    {
        FdtNode root = FdtNode.Root().Flag("once");
        root.Node("one");
        Assert.Throws<ArgumentException>(() => root.Flag("once"));
        Assert.Throws<ArgumentException>(() => root.Node("one"));
        Assert.Throws<ArgumentException>(() => root.Text("text", "with\0zero"));
    }

    private static void Fill(FdtNode node, Plan plan)
    {
        foreach ((string name, byte[] value) in plan.Properties)
        {
            node.Bytes(name, value);
        }

        foreach (Plan child in plan.Children)
        {
            Fill(node.Node(child.Name), child);
        }
    }

    private static void Equal(Plan plan, ReadNode node)
    {
        Assert.Equal(plan.Properties.Select(p => p.Name), node.Properties.Keys);
        Assert.All(plan.Properties, p => Assert.Equal(p.Value, node.Properties[p.Name]));
        Assert.Equal(plan.Children.Select(c => c.Name), node.Children.Select(c => c.Name));
        foreach ((Plan expected, ReadNode found) in plan.Children.Zip(node.Children))
        {
            Equal(expected, found);
        }
    }
}
