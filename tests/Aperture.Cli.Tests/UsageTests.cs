namespace Aperture.Cli.Tests;

/// <summary>What the command line gets wrong: one sentence, exit code 2.</summary>
public sealed class UsageTests(Scratch scratch) : IClassFixture<Scratch>
{
    [Theory]
    [InlineData("'rum' is not a verb", "did you mean run?", "rum")]
    [InlineData("'lab' is not a verb", "did you mean lab run?", "lab")]
    [InlineData("'frobnicate' is not a verb", "see aperture --help", "frobnicate")]
    [InlineData("--kernl is not an option of run", "did you mean --kernel?", "run", "--kernl", "x")]
    [InlineData("--memroy is not an option of run", "did you mean --memory?", "run", "--memroy=1G")]
    [InlineData("--zzzzzzzzzz is not an option", "see aperture run --help", "run", "--zzzzzzzzzz")]
    [InlineData("--kernel needs a value", "FILE", "run", "--kernel")]
    [InlineData("--memory is given twice", "once", "run", "--memory", "1G", "--memory", "2G")]
    [InlineData("'vmlinuz' is not an option", "--help", "run", "vmlinuz")]
    [InlineData("--no-reboot takes no value", "", "run", "--no-reboot=yes")]
    [InlineData("nothing to boot", "--firmware FILE", "run")]
    [InlineData("--initramfs and --cmdline go with --kernel", "", "run", "--firmware", "a", "--cmdline", "quiet")]
    [InlineData("--kernel needs a file name", "", "run", "--kernel=")]
    public void A_command_line_that_does_not_parse_is_told_with_what_to_write(string fault, string hint, params string[] arguments) =>
        CommandLine.Run(arguments).IsOneSentence(2, fault, hint);

    [Theory]
    [InlineData("--memory", "0", "is not a RAM size")]
    [InlineData("--memory", "size=1", "whole number of 4 KiB pages")]
    [InlineData("--memory", "1000001", "whole number of 4 KiB pages")]
    [InlineData("--memory", "4K", "at least 1M")]
    [InlineData("--memory", "-5M", "is not a RAM size")]
    [InlineData("--memory", "banana", "is not a RAM size")]
    [InlineData("--memory", "99999999T", "is not a RAM size")]
    [InlineData("--memory", "8000T", "does not fit")]
    [InlineData("--memory", "8T", "does not fit")]
    [InlineData("--memory", "512M,hugepages=maybe", "512M")]
    [InlineData("--memory", "size=512M,hugepages=maybe", "write on or off")]
    [InlineData("--memory", "size=512M,size=1G", "given twice")]
    [InlineData("--cpus", "0", "from 1 to 64")]
    [InlineData("--cpus", "boot=65", "from 1 to 64")]
    [InlineData("--cpus", "many", "not KEY=VALUE")]
    [InlineData("--cpus", "boot=2,max=4", "no max=")]
    [InlineData("--machine", "pc", "write q35")]
    [InlineData("--serial", "com1", "write tty, stdio, null or file=PATH")]
    [InlineData("--serial", "file=", "file=PATH")]
    [InlineData("--accel", "tcg", "write auto, kvm or lab")]
    [InlineData("--phys-bits", "64", "from 32 to 52")]
    [InlineData("--mmio-window", "0x100000000", "BASE:SIZE")]
    [InlineData("--mmio-window", "0xffffffffff000000:1T", "is not a window")]
    [InlineData("--mmio-window", "0x80000000:1G", "must start at 4 GiB or above")]
    [InlineData("--mmio32-window", "0x10000:64K", "must lie between guest RAM")]
    [InlineData("--mmio32-window", "0xe0000000:1G", "and 4 GiB")]
    [InlineData("--root-port", "rp0", "not KEY=VALUE")]
    [InlineData("--root-port", "addr=04.0", "needs id=")]
    [InlineData("--root-port", "id=a,addr=44.0", "is not a place")]
    [InlineData("--root-port", "id=a,addr=1f.0", "lpc is there")]
    [InlineData("--switch", "id=s,port=nowhere", "nowhere, which does not exist")]
    [InlineData("--switch", "id=s,port=lpc,downstream=33", "from 1 to 32")]
    [InlineData("--device", "gpu,id=a", "is not a device")]
    [InlineData("--device", "test", "id is missing")]
    [InlineData("--device", "test,id=a,bar0=mem16:4K", "KIND:SIZE")]
    [InlineData("--device", "test,id=a,bar0=mem32:3000", "power of two")]
    [InlineData("--device", "test,id=a,port=rp9", "port rp9, which does not exist")]
    [InlineData("--device", "test,id=a,port=mch", "not a root or downstream port")]
    [InlineData("--device", "test,id=a,addr=04.1", "no function 0")]
    [InlineData("--device", "test,id=a,addr=00.0", "mch is there")]
    [InlineData("--device", "test,id=a,bars=bar0@0xe0000000", "has no bar0 to pin")]
    [InlineData("--device", "test,id=a,bar0=mem32:4K,bars=bar9@0xe0000000", "bar9")]
    [InlineData("--device", "test,id=a,bar0=mem32:4K,bars=bar0@up", "'up' is not a number")]
    [InlineData("--device", "test,id=a,bar0=mem32:4K,bars=bar0@0xe0000000,bar0@0xe1000000", "pinned twice")]
    [InlineData("--device", "debug-exit,port=0x3f8", "the first serial port")]
    [InlineData("--device", "debug-exit,port=70000", "0xfffb")]
    public void An_option_with_a_bad_value_is_told_with_what_is_legal(string option, string value, string fragment) =>
        CommandLine.Run("run", "--firmware", scratch.Exits(1), option, value).IsOneSentence(2, fragment);

    [Fact]
    public void Two_things_with_one_id_at_one_place_or_below_one_port_are_told_by_name()
    {
        string rom = scratch.Exits(1);
        CommandLine.Run("run", "--firmware", rom, "--device", "test,id=twin", "--device", "test,id=twin").IsOneSentence(2, "id twin is used twice");
        CommandLine.Run("run", "--firmware", rom, "--root-port", "id=x", "--device", "test,id=x").IsOneSentence(2, "id x is used twice");
        CommandLine.Run("run", "--firmware", rom, "--device", "test,id=one,addr=05.0", "--device", "test,id=two,addr=05.0")
            .IsOneSentence(2, "one", "two", "05.0");
        CommandLine.Run("run", "--firmware", rom, "--root-port", "id=rp", "--device", "test,id=one,port=rp", "--device", "test,id=two,port=rp")
            .IsOneSentence(2, "two", "rp", "one is");
        CommandLine.Run("run", "--firmware", rom, "--root-port", "id=rp", "--device", "test,id=one,port=rp,addr=00.1").IsOneSentence(2, "one", "no function 0");
        CommandLine.Run("run", "--firmware", rom, "--device", "debug-exit", "--device", "debug-exit,port=0xf6").IsOneSentence(2, "0xf6", "another debug-exit");
        CommandLine.Run("run", "--firmware", rom, "--device", "pc-testdev", "--device", "pc-testdev").IsOneSentence(2, "pc-testdev is given twice");
        CommandLine.Run("run", "--firmware", rom, "--device", "pc-testdev", "--device", "debug-exit,port=0xdd")
            .IsOneSentence(2, "port=0xdd", "pc-testdev has 0xe0 to 0xeb");
    }

    [Theory]
    [InlineData("0xe0000800", "multiple of its size", "nearest free place is 0xe0001000")]
    [InlineData("0xfee00000", "the local APIC", "nearest")]
    [InlineData("0xb0000000", "the ECAM", "nearest")]
    [InlineData("0xfeffc000", "the pages that KVM keeps for itself", "nearest")]
    [InlineData("0x100000000", "below 4 GiB", "nearest")]
    [InlineData("0x1000", "guest RAM", "nearest")]
    public void A_pin_that_cannot_be_is_told_with_both_parties_and_the_nearest_place(string address, string obstacle, string hint) =>
        CommandLine.Run("run", "--firmware", scratch.Exits(1), "--device", $"test,id=card,bar0=mem32:4K,bars=bar0@{address}")
            .IsOneSentence(2, "card bar0", address, obstacle, hint);

    [Fact]
    public void A_pin_above_the_address_bits_outside_its_window_or_on_another_pin_is_told()
    {
        string rom = scratch.Exits(1);
        CommandLine.Run("run", "--firmware", rom, "--phys-bits", "40", "--device", "test,id=card,bar0=mem64p:1G,bars=bar0@0x6b8000000000")
            .IsOneSentence(2, "card bar0", "40 physical address bits", "nearest");
        CommandLine.Run("run", "--firmware", rom, "--mmio-window", "0x800000000:32G", "--device", "test,id=card,bar0=mem64p:1G,bars=bar0@0x1800000000")
            .IsOneSentence(2, "card bar0", "0x800000000", "nearest");
        CommandLine.Run("run", "--firmware", rom, "--device", "test,id=one,bar0=mem32:64K,bars=bar0@0xe0000000", "--device",
            "test,id=two,bar0=mem32:4K,bars=bar0@0xe0001000")
            .IsOneSentence(2, "two bar0", "one bar0", "nearest");
    }

    [Fact]
    public void Several_conflicts_are_one_line_each()
    {
        CommandLine.Result result = CommandLine.Run(
            "run", "--firmware", scratch.Exits(1), "--device", "test,id=one,bar0=mem32:4K,bars=bar0@0xb0000000", "--device",
            "test,id=two,bar0=mem32:4K,bars=bar0@0xfee00000");
        Assert.Equal(2, result.Code);
        string[] lines = result.Error.Split('\n', StringSplitOptions.RemoveEmptyEntries);
        Assert.Equal(2, lines.Length);
        Assert.All(lines, line => Assert.StartsWith("aperture: ", line, StringComparison.Ordinal));
    }
}
