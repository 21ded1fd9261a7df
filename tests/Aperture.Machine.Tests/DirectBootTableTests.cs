using System.Buffers.Binary;
using Aperture.Configuration;
using Aperture.Machine.Boot;
using Aperture.Machine.Tests.Fakes;
using Aperture.TestKit.Parts.Acpi;
using Aperture.TestKit.Parts.Kernels;

namespace Aperture.Machine.Tests;

/// <summary>The tables that a directly booted guest of each board gets.</summary>
public class DirectBootTableTests
{
    [Theory]
    [InlineData("q35", "--cpus 4")]
    [InlineData("q35", "--memory 8G", "--root-port id=rp,memory=16M", "--device test,id=a,port=rp,bar0=mem64p:1G:ram", "--device vga")]
    [InlineData("i440fx", "--cpus 2", "--device test,id=a,bar0=mem32:1M:trap,bar4=io:64")]
    public void The_firmware_test_suite_finds_no_fault_in_them(string board, params string[] options)
    {
        FirmwareSuite.Require();
        using TemporaryFile kernel = new(SyntheticKernels.Elf(wide: true));
        using MachinePlan plan = Plan(kernel, board, options);
        FirmwareSuite.Passes(((DirectBoot)plan.Boot!).Tables);
    }

    [Theory]
    [InlineData("q35", "Q35 virtual machine")]
    [InlineData("i440fx", "i440FX virtual machine")]
    public void A_scan_of_low_memory_finds_SMBIOS_and_the_extended_BIOS_data_area(string board, string product)
    {
        using TemporaryFile kernel = new(SyntheticKernels.Elf(wide: true));
        using MachinePlan plan = Plan(kernel, board, "--cpus 64");
        using TestBoard machine = TestBoard.Direct($"--machine {board}", "--cpus 64");
        plan.Boot!.Prepare(machine.Board, machine.Ram);

        // As a kernel reads them: from the words at 40Eh and 413h, and at multiples of 16 from F0000h (SMBIOS 3.7, 5.2.1).
        ReadOnlySpan<byte> memory = machine.Ram.AsSpan(GuestAddress.Zero, 1 << 20);
        Assert.Equal((0x9FC00, 639), (BinaryPrimitives.ReadUInt16LittleEndian(memory[0x40E..]) << 4, BinaryPrimitives.ReadUInt16LittleEndian(memory[0x413..])));
        Assert.Equal(1, memory[0x9FC00]);
        int at = Enumerable.Range(0xF000, 0x1000).Select(paragraph => paragraph << 4).First(Anchor(memory.ToArray()));
        Assert.Equal((0, 0), (Sum(memory.Slice(at, memory[at + 5])), Sum(memory.Slice(at + 16, 15))));
        int length = BinaryPrimitives.ReadUInt16LittleEndian(memory[(at + 22)..]);
        ReadOnlySpan<byte> structures = memory.Slice(BinaryPrimitives.ReadInt32LittleEndian(memory[(at + 24)..]), length);
        Assert.Equal((0, 24), (structures[0], structures[1]));
        Assert.True(structures.IndexOf(System.Text.Encoding.ASCII.GetBytes(product)) > 0);
        Assert.Equal([127, 4], structures[^6..^4].ToArray());

        // No table lies in what SMBIOS takes.
        AddressRange smbios = AddressRange.FromBounds(new GuestAddress((ulong)at), new GuestAddress((ulong)at + 31 + (ulong)structures.Length));
        Assert.DoesNotContain(((DirectBoot)plan.Boot!).Tables.Tables, table => smbios.Overlaps(new AddressRange(table.Address, (ulong)table.Bytes.Length)));
    }

    private static Func<int, bool> Anchor(byte[] memory) => at => memory.AsSpan(at).StartsWith("_SM_"u8);

    private static int Sum(ReadOnlySpan<byte> bytes)
    {
        byte sum = 0;
        foreach (byte value in bytes)
        {
            sum += value;
        }

        return sum;
    }

    private static MachinePlan Plan(TemporaryFile kernel, string board, params string[] options) => MachinePlan.Create(
        ConfigReader.Read(
        [
            new("--machine", board), new("--kernel", kernel.Path),
            .. options.Select(o => o.Split(' ', 2)).Select(o => new Setting(o[0], o[1])),
        ]),
        Hypervisors.LimitsOf(46));
}
