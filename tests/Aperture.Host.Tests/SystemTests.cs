using System.Collections.Immutable;
using System.Diagnostics;
using Aperture.Host.Model;
using Aperture.Host.Reading;
using Aperture.TestKit.Parts.Hosts;
using FsCheck;
using FsCheck.Fluent;

namespace Aperture.Host.Tests;

/// <summary>What a host tells besides PCI, as the kernel writes it and as damage leaves it.</summary>
public class SystemTests
{
    [Theory]
    [InlineData(HostIommuKind.Intel, "8d2078c106f0466", 48)]
    [InlineData(HostIommuKind.Intel, "d2008c40660462", 39)]
    [InlineData(HostIommuKind.Intel, "c90780106f0462", 48)]
    [InlineData(HostIommuKind.Amd, "25bf732fa2295afe:1d", 64)]
    [InlineData(HostIommuKind.Amd, "f77ef22294a5a", 64)]
    [InlineData(HostIommuKind.Amd, "f77ef222940da", 48)]
    [InlineData(HostIommuKind.Amd, "", null)]
    [InlineData(HostIommuKind.Other, "25bf732fa2295afe", null)]
    public void An_IOMMUs_width_is_in_its_register(HostIommuKind kind, string text, int? bits) =>
        Assert.Equal(bits, new HostIommuUnit("x", kind, SystemText.Register(text), null).AddressBits);

    [Fact]
    public void Root_windows_are_the_outermost_lines_and_zeros_tell_nothing()
    {
        ImmutableArray<HostRootWindow>? windows = SystemText.RootWindows(
            "c0001000-eebfffff : PCI Bus 0000:00\n  d0000000-dfffffff : PCI Bus 0000:01\n38b000000000-38bfffffffff : PCI Bus 0000:17\nfee00000-fee00fff "
                + ": Local APIC\n");
        Assert.Equal(["0000:00 0xc0001000-0xeebfffff", "0000:17 0x38b000000000-0x38bfffffffff"],
            windows!.Value.Select(static window => $"{window.Domain:x4}:{window.Bus:x2} {window.Range}"));
        Assert.Null(SystemText.RootWindows("00000000-00000000 : PCI Bus 0000:00\n00000000-00000000 : PCI Bus 0000:17\n"));
    }

    [Fact]
    public void A_processor_is_the_first_one_with_what_it_tells()
    {
        Assert.Equal(new HostProcessor("AuthenticAMD", 26, "AMD EPYC", 48), SystemText.Processor(
            "vendor_id\t: AuthenticAMD\ncpu family\t: 26\nmodel name\t: AMD EPYC\naddress sizes\t: 48 bits physical, 48 bits virtual\n"));
        Assert.Null(SystemText.Processor("processor\t: 0\nBogoMIPS\t: 50.00\n"));
    }

    [Fact]
    public void The_limit_is_the_soft_one()
    {
        Assert.Equal(8388608UL, SystemText.LockedMemory("Max locked memory         8388608              unlimited            bytes     \n"));
        Assert.Equal(ulong.MaxValue, SystemText.LockedMemory("Max locked memory         unlimited            unlimited            bytes     \n"));
        Assert.Null(SystemText.LockedMemory("Max file locks            unlimited            unlimited            locks     \n"));
        Assert.Equal([true, false, null],
            new[] { "CapEff:\t0000000000004000\n", "CapEff:\t000001ffffffbfff\n", "Name:\tx\n" }.Select(static text => SystemText.MayLock(text)));
    }

    [Fact]
    public void The_command_line_loses_what_is_nobodys_business() => Assert.Equal(
        ["intel_iommu=on", "pci=realloc,nomsi", "vfio-pci.ids=10de:20b0", "hugepagesz=1G"],
        SystemFiles.KernelParameters("BOOT_IMAGE=/vmlinuz root=UUID=1 intel_iommu=on pci=realloc,nomsi vfio-pci.ids=10de:20b0 hugepagesz=1G ip=10.0.0.1\n"));

    [Fact]
    public void What_is_kept_of_a_file_tells_what_the_whole_does() => Prop.ForAll(ArbMap.Default.ArbFor<NonNull<string>>(), text =>
    {
        foreach ((string path, Func<string, string> keep) in SystemFiles.Process)
        {
            string kept = keep(text.Get);
            Assert.Equal(kept, keep(kept));
            Assert.Equal(Told(path, text.Get), Told(path, kept));
        }
    }).Holds();

    [Fact]
    public void No_text_is_damage() => Prop.ForAll(ArbMap.Default.ArbFor<int>(), seed =>
    {
        string[] pieces =
        [
            "address sizes", "vendor_id", "\t: ", "bits", "46", " ", "\n", "Max locked memory", "unlimited", "CapEff:", "PCI Bus ", " : ", "0000:17", "-",
                "ffffffffffffffff",
            "0", "hugepages-", "kB", "Linux version ", "x",
        ];
        Random random = new(seed);
        string text = string.Concat(Enumerable.Range(0, random.Next(30)).Select(_ => pieces[random.Next(pieces.Length)]));
        SystemText.Processor(text);
        SystemText.LockedMemory(text);
        SystemText.MayLock(text);
        SystemText.RootWindows(text);
        SystemText.PageSize(text);
        SystemText.Register(text);
        SystemText.Release(text);
        SystemText.Number(text);
    }).Holds(500);

    [Fact]
    public void A_file_that_is_hidden_is_not_told()
    {
        using TreeBuilder tree = new();
        tree.Function("pci0000:00", "0000:00:01.0", new ConfigBuilder().Bytes);
        tree.File("../proc/iomem", "c0001000-eebfffff : PCI Bus 0000:00\n");
        Assert.NotNull(tree.Read().System.RootWindows);
        using (Process close = Process.Start("chmod", ["0", Path.Join(tree.Root, "proc/iomem")]))
        {
            close.WaitForExit();
        }

        Unprivileged.Run(() => Assert.Null(tree.Read().System.RootWindows));
    }

    [Fact]
    public void A_listing_tells_nothing_of_the_system() =>
        Assert.Equal(HostSystem.Unknown, HostReader.ReadLspci(Say.Dump("0000:00:03.0", new ConfigBuilder(64).Bytes), "x").System);

    private static string Told(string path, string text) => path switch
    {
        "proc/cmdline" => string.Join(' ', SystemFiles.KernelParameters(text)),
        "proc/iomem" => string.Join(' ', SystemText.RootWindows(text) ?? []),
        "proc/self/limits" => $"{SystemText.LockedMemory(text)}",
        "proc/self/status" => $"{SystemText.MayLock(text)}",
        _ => "",
    };
}
