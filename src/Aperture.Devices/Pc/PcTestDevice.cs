using System.Buffers.Binary;

namespace Aperture.Devices.Pc;

/// <summary>
/// <c>--device pc-testdev</c>: what test kernels for monitors drive, at the ports and the address that QEMU's device of this name has (hw/misc/pc-testdev.c). A
/// register that keeps what is written, a port that forgets a page's mapping, one port for each interrupt input, and memory behind a handler.
/// </summary>
public sealed class PcTestDevice : IResettable
{
    /// <summary>The first of the twelve ports with the register (four), the page port (four), and the register again (four).</summary>
    public const ushort RegisterPort = 0xE0;

    /// <summary>How many ports there are from <see cref="RegisterPort"/> on.</summary>
    public const int RegisterPorts = 12;

    /// <summary>The port of interrupt input 0.</summary>
    public const ushort LinePort = 0x2000;

    /// <summary>Interrupt inputs, a port each.</summary>
    public const int Lines = 24;

    /// <summary>Bytes of memory.</summary>
    public const int MemorySize = 64 << 10;

    /// <summary>Where the memory is.</summary>
    public const ulong MemoryAddress = 0xFF00_0000;

    private readonly LineSwitches _lines;
    private readonly RegisterFile _register = new();
    private readonly Scratch _memory = new();

    /// <summary>A device that drives <paramref name="line"/>'s results, one for each input from 0 on.</summary>
    public PcTestDevice(Func<uint, IInterruptLine> line)
    {
        ArgumentNullException.ThrowIfNull(line);
        _lines = new LineSwitches([.. Enumerable.Range(0, Lines).Select(input => line((uint)input))]);
    }

    /// <summary>The handler of the ports from <see cref="RegisterPort"/> on.</summary>
    public IAccessHandler Registers => _register;

    /// <summary>The handler of the ports from <see cref="LinePort"/> on.</summary>
    public IAccessHandler Inputs => _lines;

    /// <summary>The handler of the memory.</summary>
    public IAccessHandler Memory => _memory;

    /// <inheritdoc/>
    public void Reset()
    {
        _register.Reset();
        _lines.Reset();
        _memory.Reset();
    }

    /// <summary>
    /// One 32-bit register, shown at offsets 0 and 8; an access of any size takes its bytes. At offset 4 a 32-bit write of a page's address asks the monitor to
    /// drop its mapping of that page, which nothing that the guest can see depends on: it is taken and has no effect.
    /// </summary>
    private sealed class RegisterFile : IAccessHandler
    {
        private const uint PageOffset = 4;

        private uint _value;

        public AccessResult Read(ulong offset, int size, out ulong value)
        {
            bool claimed = IsRegister(offset, size);
            value = claimed ? Volatile.Read(ref _value) >> Shift(offset) & AccessWidth.AllOnes(size) : ulong.MaxValue;
            return claimed ? AccessResult.Ok : AccessResult.Unclaimed;
        }

        public AccessResult Write(ulong offset, int size, ulong value)
        {
            if (!IsRegister(offset, size))
            {
                return offset == PageOffset && size == 4 ? AccessResult.Ok : AccessResult.Unclaimed;
            }

            uint mask = (uint)AccessWidth.AllOnes(size) << Shift(offset);
            uint placed = (uint)value << Shift(offset) & mask;
            uint before;
            do
            {
                before = Volatile.Read(ref _value);
            }
            while (Interlocked.CompareExchange(ref _value, before & ~mask | placed, before) != before);

            return AccessResult.Ok;
        }

        public void Reset() => Volatile.Write(ref _value, 0);

        private static int Shift(ulong offset) => (int)(8 * (offset & 3));

        private static bool IsRegister(ulong offset, int size) =>
            size is 1 or 2 or 4 && offset < RegisterPorts && (offset & 4) == 0 && (offset & 3) + (ulong)size <= 4;
    }

    /// <summary>A byte written to port n is the level of interrupt input n: 0 deasserts, anything else asserts. Nothing can be read.</summary>
    private sealed class LineSwitches(IInterruptLine[] lines) : IAccessHandler
    {
        public AccessResult Read(ulong offset, int size, out ulong value)
        {
            value = ulong.MaxValue;
            return AccessResult.Unclaimed;
        }

        public AccessResult Write(ulong offset, int size, ulong value)
        {
            if (size != 1 || offset >= Lines)
            {
                return AccessResult.Unclaimed;
            }

            lines[offset].Set((byte)value != 0);
            return AccessResult.Ok;
        }

        public void Reset()
        {
            foreach (IInterruptLine line in lines)
            {
                line.Set(false);
            }
        }
    }

    /// <summary>Memory whose every access leaves the guest. An access that passes its end is nobody's.</summary>
    private sealed class Scratch : IAccessHandler
    {
        private readonly byte[] _bytes = new byte[MemorySize];

        public AccessResult Read(ulong offset, int size, out ulong value)
        {
            value = ulong.MaxValue;
            if (!IsInside(offset, size))
            {
                return AccessResult.Unclaimed;
            }

            Span<byte> bytes = stackalloc byte[sizeof(ulong)];
            bytes.Clear();
            _bytes.AsSpan((int)offset, size).CopyTo(bytes);
            value = BinaryPrimitives.ReadUInt64LittleEndian(bytes);
            return AccessResult.Ok;
        }

        public AccessResult Write(ulong offset, int size, ulong value)
        {
            if (!IsInside(offset, size))
            {
                return AccessResult.Unclaimed;
            }

            Span<byte> bytes = stackalloc byte[sizeof(ulong)];
            BinaryPrimitives.WriteUInt64LittleEndian(bytes, value);
            bytes[..size].CopyTo(_bytes.AsSpan((int)offset));
            return AccessResult.Ok;
        }

        public void Reset() => _bytes.AsSpan().Clear();

        private static bool IsInside(ulong offset, int size) => size is 1 or 2 or 4 or 8 && offset <= (ulong)(MemorySize - size);
    }
}
