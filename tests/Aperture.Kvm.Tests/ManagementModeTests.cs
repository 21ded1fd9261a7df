using Aperture.TestPayloads;
using Iced.Intel;
using static Iced.Intel.AssemblerRegisters;

namespace Aperture.Kvm.Tests;

/// <summary>System management mode, as far as KVM has it: interrupts that lead into it, memory of its own, exits that say so.</summary>
public sealed class ManagementModeTests
{
    private const byte Port = 0x80;
    private const byte HandlerPort = 0x81;
    private const uint Device = 0xB_8000;

    // Where a processor's handler is after a reset: SMBASE + 0x8000 (SDM 3C, "System Management Mode").
    private const ulong SmBase = 0x3_0000;
    private const int Handler = 0x8000;

    private readonly PageMemory _own = new(64 << 10);

    [Fact]
    public void An_interrupt_runs_the_handler_in_its_own_memory_before_the_next_instruction_and_goes_back()
    {
        using KvmGuest guest = Start(code =>
        {
            PayloadParts.Out8(code, Port, 1);
            code.mov(__dword_ptr[Device], 0x1111);
            PayloadParts.Out8(code, Port, 2);
            PayloadParts.Done(code);
        });
        guest.Exits.PortWrites = (port, _, value) =>
        {
            if (port == Port && value == 1)
            {
                guest.Vcpus.RaiseSmi(all: false);
            }
        };
        Assert.Equal(["out1 80 1", "out1 81 5a", "write4 b8000 1111", "out1 80 2"], guest.Run());
        Assert.Equal(["write4 b8000 77777777"], guest.Exits.Management!.Log);

        // The processor's state was saved where only the mode sees it; nothing of it is in what everybody sees.
        Assert.NotEqual(0u, BitConverter.ToUInt32(_own.Bytes[0xFEFC..]));
    }

    [Fact]
    public void A_processor_that_never_leaves_the_guest_by_itself_takes_it_whoever_asks()
    {
        using KvmGuest guest = Start(code =>
        {
            PayloadParts.Out8(code, Port, 1);
            PayloadParts.Spin(code);
        });
        int taken = 0;
        guest.Exits.PortWrites = (port, _, value) =>
        {
            if (port == HandlerPort && Interlocked.Increment(ref taken) == 3)
            {
                guest.Exits.PortWrite(ScriptedExits.DonePort, 4, 0);
            }
        };
        guest.Go();
        for (int asked = 1; asked <= 3; asked++)
        {
            // From a thread that answers nothing, while the guest never leaves by itself.
            Assert.True(SpinWait.SpinUntil(() => Volatile.Read(ref taken) == asked - 1 && guest.Exits.Log.Contains("out1 80 1"), TimeSpan.FromSeconds(20)));
            guest.Vcpus.RaiseSmi(all: true);
        }

        guest.Finished();
        Assert.Equal(3, taken);
    }

    [Fact]
    public void A_reset_forgets_an_interrupt_that_was_not_taken_and_ends_the_mode()
    {
        using KvmGuest guest = Start(code =>
        {
            PayloadParts.Out8(code, Port, 1);
            PayloadParts.Done(code);
        });
        guest.Vcpus.RaiseSmi(all: true);
        Assert.Equal(["out1 80 1"], guest.Run());

        // Once more, ended inside the handler.
        guest.Exits.Log.Clear();
        guest.Exits.PortWrites = (port, _, _) =>
        {
            if (port == Port)
            {
                guest.Vcpus.RaiseSmi(all: false);
            }
            else
            {
                guest.Exits.PortWrite(ScriptedExits.DonePort, 4, 0);
            }
        };
        Assert.Equal(["out1 80 1", "out1 81 5a"], guest.Run());
        guest.Exits.Log.Clear();
        guest.Exits.PortWrites = null;
        Assert.Equal(["out1 80 1"], guest.Run());
    }

    private KvmGuest Start(Action<Assembler> program)
    {
        KvmGuest guest = KvmGuest.Start(RomImage.Protected32(program));
        if (guest.Vm.ManagementMemory is not { } memory)
        {
            guest.Dispose();
            Assert.Skip("this host's KVM has no system management mode (KVM_CAP_X86_SMM)");
            return guest;
        }

        Assembler handler = new(16);
        PayloadParts.Out8(handler, HandlerPort, 0x5A);
        handler.mov(eax, 0x7777_7777);
        handler.mov(ebx, (int)Device);
        handler.mov(__dword_ptr[ebx], eax);
        handler.rsm();
        RomImage.Assemble(handler, SmBase + Handler).CopyTo(_own.Bytes[Handler..]);
        memory.Set(0, new GuestAddress(SmBase), (ulong)_own.Bytes.Length, _own.Address, readOnly: false, logDirty: false);
        return guest;
    }
}
