using System.Buffers.Binary;
using Aperture.Configuration;
using Aperture.TestPayloads;
using Iced.Intel;
using static Iced.Intel.AssemblerRegisters;

namespace Aperture.Machine.Tests.Guests;

/// <summary>A Multiboot kernel of 32-bit code, started as <c>--kernel</c> does, which looks at what it was given and drives the test device.</summary>
[Collection(LocalKvm.Name)]
public class MultibootTests
{
    private const uint LoadedAt = 0x40_0000;
    private const uint Kept = 0x1000 + LoadedAt;
    private const uint Starts = 0x60_0000;
    private const int HeaderSize = 52 + 32;
    private const int CodeAt = HeaderSize + 12;
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);

    [Fact]
    public void The_kernel_is_entered_with_the_magic_number_and_finds_its_information()
    {
        Succeeds(
            code =>
            {
                Payload.Expect(code, 0x2BAD_B002, 1);

                // Memory, command line, modules, map, name; 639 KiB, and from 1 MiB to the end of 64 MiB.
                code.mov(eax, __dword_ptr[ebx]);
                Payload.Expect(code, 0b10_0100_1101, 2);
                code.mov(eax, __dword_ptr[ebx + 4]);
                Payload.Expect(code, 639, 3);
                code.mov(eax, __dword_ptr[ebx + 8]);
                Payload.Expect(code, (64 - 1) << 10, 4);

                // "kernel one": the file's name and the line.
                code.mov(esi, __dword_ptr[ebx + 16]);
                code.mov(eax, __dword_ptr[esi]);
                Payload.Expect(code, Text("kern"), 5);
                code.mov(eax, __dword_ptr[esi + 7]);
                Payload.Expect(code, Text("one\0"), 6);

                // One module of 5 bytes.
                code.mov(eax, __dword_ptr[ebx + 20]);
                Payload.Expect(code, 1, 7);
                code.mov(esi, __dword_ptr[ebx + 24]);
                code.mov(eax, __dword_ptr[esi + 4]);
                code.sub(eax, __dword_ptr[esi]);
                Payload.Expect(code, 5, 8);
                code.mov(esi, __dword_ptr[esi]);
                code.mov(eax, __dword_ptr[esi]);
                Payload.Expect(code, Text("MODU"), 9);

                // The map's first range: 20 bytes, RAM from 0.
                code.mov(esi, __dword_ptr[ebx + 48]);
                code.mov(eax, __dword_ptr[esi]);
                Payload.Expect(code, 20, 10);
                code.mov(eax, __dword_ptr[esi + 4]);
                Payload.Expect(code, 0, 11);
                code.mov(eax, __dword_ptr[esi + 12]);
                Payload.Expect(code, 0x9_FC00, 12);
                code.mov(eax, __dword_ptr[esi + 20]);
                Payload.Expect(code, 1, 13);

                // What follows the content of the file is zero, at the second start too, to which the first one's store is gone.
                Payload.ExpectMemory(code, Kept, 0, 14);
                Payload.Store(code, Kept, 0x1234);
                Label again = code.CreateLabel();
                code.cmp(__dword_ptr[Starts], 1);
                code.je(again);
                Payload.Store(code, Starts, 1);
                code.mov(edx, 0xCF9);
                code.mov(eax, 6);
                code.@out(dx, al);
                Payload.Spin(code);
                code.Label(ref again);
            });
    }

    [Fact]
    public void The_test_device_keeps_its_register_and_its_memory_and_says_how_many_processors_there_are()
    {
        Succeeds(
            code =>
            {
                Out(code, 0xE0, eax, 0x1122_3344);
                In(code, 0xE8, eax);
                Payload.Expect(code, 0x1122_3344, 1);
                code.mov(edx, 0xE9);
                code.mov(eax, 0xAA);
                code.@out(dx, al);
                code.xor(eax, eax);
                code.mov(edx, 0xE0);
                code.@in(ax, dx);
                Payload.Expect(code, 0xAA44, 2);
                Out(code, 0xE4, eax, LoadedAt);
                In(code, 0xE0, eax);
                Payload.Expect(code, 0x1122_AA44, 3);

                Payload.ExpectMemory(code, 0xFF00_0000, 0, 4);
                Payload.Store(code, 0xFF00_FFFC, 0xC0FFEE);
                Payload.ExpectMemory(code, 0xFF00_FFFC, 0xC0FFEE, 5);
                Payload.ExpectMemory(code, 0xFF01_0000, uint.MaxValue, 6);

                // fw_cfg, item 5.
                code.mov(edx, 0x510);
                code.mov(eax, 5);
                code.@out(dx, ax);
                code.inc(edx);
                code.xor(eax, eax);
                code.@in(al, dx);
                Payload.Expect(code, 2, 7);
            },
            "--cpus 2");
    }

    [Fact]
    public void A_write_to_a_line_port_is_an_interrupt_at_the_IO_APICs_input()
    {
        const byte Vector = 0x41;
        Succeeds(
            code =>
            {
                // The 8259s have the line too, and would be first.
                code.mov(al, 0xFF);
                code.@out(0x21, al);
                code.@out(0xA1, al);
                code.mov(esp, 0x50_0000);
                Payload.TakeInterrupts(code, Vector, body => Payload.Exit(body, 0x10), BootGdtCode);

                // Input 5 of the I/O APIC, edge, to this processor.
                Payload.Store(code, 0xFEC0_0000, 0x10 + (2 * 5) + 1);
                Payload.Store(code, 0xFEC0_0010, 0);
                Payload.Store(code, 0xFEC0_0000, 0x10 + (2 * 5));
                Payload.Store(code, 0xFEC0_0010, Vector);
                code.mov(edx, 0x2005);
                code.mov(eax, 1);
                code.@out(dx, al);
                Payload.Spin(code);
            });
    }

    private const ushort BootGdtCode = Aperture.Firmware.Boot.X86.BootGdt.CodeSelector;

    private static uint Text(string four) => BinaryPrimitives.ReadUInt32LittleEndian(System.Text.Encoding.ASCII.GetBytes(four));

    private static void Out(Assembler code, uint port, AssemblerRegister32 from, uint value)
    {
        code.mov(edx, port);
        code.mov(from, value);
        code.@out(dx, from);
    }

    private static void In(Assembler code, uint port, AssemblerRegister32 to)
    {
        code.mov(edx, port);
        code.@in(to, dx);
    }

    private static void Succeeds(Action<Assembler> program, params string[] options)
    {
        Guest.RequireKvm();
        using TemporaryFolder scratch = new();
        string folder = scratch.Path;
        string kernel = Path.Combine(folder, "kernel");
        string module = Path.Combine(folder, "module");
        File.WriteAllBytes(kernel, Kernel(program));
        File.WriteAllBytes(module, "MODUL"u8);
        using VirtualMachine machine = VirtualMachine.Create(
            ConfigReader.Read(
            [
                new("--kernel", kernel), new("--initramfs", module), new("--cmdline", "one"), new("--serial", "null"), new("--memory", "64M"),
                new("--device", "debug-exit"), new("--device", "pc-testdev"),
                .. options.Select(o => o.Split(' ', 2)).Select(o => new Setting(o[0], o[1])),
            ]),
            TimeProvider.System);
        using Timer watchdog = new(_ => machine.Stop("the guest was not done in time"), null, Patience, Timeout.InfiniteTimeSpan);
        Assert.Equal(new MachineOutcome(Payload.Success, "the guest wrote the debug-exit port"), machine.Run());
    }

    // ELF32: one program header, the Multiboot header behind it, then the code; 64 KiB of zeros behind that.
    private static byte[] Kernel(Action<Assembler> program)
    {
        Assembler code = new(32);
        program(code);
        Payload.Exit(code, 0x10);
        byte[] body = RomImage.Assemble(code, LoadedAt + CodeAt);
        byte[] file = new byte[CodeAt + body.Length];
        uint size = (uint)file.Length;
        new byte[] { 0x7F, 0x45, 0x4C, 0x46, 1, 1, 1 }.CopyTo(file, 0);
        Put(file, 16, 2 | 3 << 16, 1, LoadedAt + CodeAt, 52);
        Put(file, 40, 52 | 32 << 16, 1);
        Put(file, 52, 1, 0, LoadedAt, LoadedAt, size, 0x1_0000, 7, 0x1000);
        Put(file, HeaderSize, 0x1BAD_B002, 3, unchecked(0 - (0x1BAD_B002u + 3)));
        body.CopyTo(file, CodeAt);
        return file;
    }

    private static void Put(byte[] file, int at, params uint[] words)
    {
        foreach ((int i, uint word) in words.Index())
        {
            BinaryPrimitives.WriteUInt32LittleEndian(file.AsSpan(at + (4 * i)), word);
        }
    }
}
