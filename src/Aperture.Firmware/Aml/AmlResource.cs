using System.Buffers.Binary;

namespace Aperture.Firmware.Aml;

/// <summary>One descriptor of a resource template (ACPI 6.5 6.4).</summary>
public sealed class AmlResource
{
    // Small items: tag and length in one byte (6.4.2).
    private const byte IrqNoFlagsTag = 0x22;
    private const byte IoTag = 0x47;

    // Large items: tag, then a 16-bit length (6.4.3).
    private const byte Memory32FixedTag = 0x86;
    private const byte DWordSpaceTag = 0x87;
    private const byte WordSpaceTag = 0x88;
    private const byte ExtendedInterruptTag = 0x89;
    private const byte QWordSpaceTag = 0x8A;

    // Resource types of address space descriptors (6.4.3.5).
    private const byte MemorySpace = 0;
    private const byte IoSpace = 1;
    private const byte BusSpace = 2;

    // General flags: bit 2 minimum fixed, bit 3 maximum fixed; bit 0 consumer; bit 1 subtractive decode.
    private const byte FixedProducer = 0x0C;

    // Type specific flags of I/O: all of the range, ISA and non-ISA (6.4.3.5.5).
    private const byte EntireRange = 0x03;

    // The other side of the bridge is another kind of space.
    private const byte TypeTranslation = 0x10;

    private AmlResource(byte[] bytes) => Bytes = bytes;

    internal ReadOnlyMemory<byte> Bytes { get; }

    /// <summary>Bus numbers a bridge produces.</summary>
    public static AmlResource WordBusNumber(byte first, byte last) =>
        Space(WordSpaceTag, 2, BusSpace, FixedProducer, 0, Ordered(first, last));

    /// <summary>I/O ports a bridge forwards; inside 0 to 0xFFFF.</summary>
    public static AmlResource WordIO(AddressRange range) => Space(WordSpaceTag, 2, IoSpace, FixedProducer, EntireRange, range);

    /// <summary>I/O ports a bridge forwards, in 32-bit form.</summary>
    public static AmlResource DWordIO(AddressRange range) => Space(DWordSpaceTag, 4, IoSpace, FixedProducer, EntireRange, range);

    /// <summary>
    /// I/O ports a bridge forwards, which processors reach through memory: port n is byte n from <paramref name="memory"/> on (6.4.3.5.5, _TTP).
    /// </summary>
    public static AmlResource DWordIOInMemory(AddressRange ports, GuestAddress memory) =>
        Space(DWordSpaceTag, 4, IoSpace, FixedProducer, EntireRange | TypeTranslation, ports, memory.Value);

    /// <summary>Memory below 4 GiB that a bridge forwards.</summary>
    public static AmlResource DWordMemory(AddressRange range, AmlCaching caching = AmlCaching.NonCacheable) =>
        Space(DWordSpaceTag, 4, MemorySpace, FixedProducer, MemoryFlags(caching), range);

    /// <summary>Memory anywhere that a bridge forwards.</summary>
    public static AmlResource QWordMemory(AddressRange range, AmlCaching caching = AmlCaching.NonCacheable) =>
        Space(QWordSpaceTag, 8, MemorySpace, FixedProducer, MemoryFlags(caching), range);

    /// <summary>Memory anywhere that the device itself occupies.</summary>
    public static AmlResource QWordMemoryConsumer(AddressRange range) =>
        Space(QWordSpaceTag, 8, MemorySpace, FixedProducer | 1, MemoryFlags(AmlCaching.NonCacheable), range);

    /// <summary>Memory below 4 GiB that the device itself occupies (6.4.3.4), readable and writable.</summary>
    public static AmlResource Memory32Fixed(AddressRange range)
    {
        CheckWidth(range, 4);
        byte[] bytes = [Memory32FixedTag, 9, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0];
        BinaryPrimitives.WriteUInt32LittleEndian(bytes.AsSpan(4), (uint)range.Start.Value);
        BinaryPrimitives.WriteUInt32LittleEndian(bytes.AsSpan(8), (uint)range.Size);
        return new AmlResource(bytes);
    }

    /// <summary>I/O ports that the device itself occupies, at one fixed place (6.4.2.5), all 16 address bits decoded.</summary>
    public static AmlResource IO(ushort port, byte count)
    {
        byte[] bytes = [IoTag, 1, 0, 0, 0, 0, 1, count];
        BinaryPrimitives.WriteUInt16LittleEndian(bytes.AsSpan(2), port);
        BinaryPrimitives.WriteUInt16LittleEndian(bytes.AsSpan(4), port);
        return new AmlResource(bytes);
    }

    /// <summary>ISA interrupts, edge and active high (6.4.2.1).</summary>
    public static AmlResource IrqNoFlags(params ReadOnlySpan<byte> irqs)
    {
        int mask = 0;
        foreach (byte irq in irqs)
        {
            ArgumentOutOfRangeException.ThrowIfGreaterThan(irq, 15, nameof(irqs));
            mask |= 1 << irq;
        }

        return new AmlResource([IrqNoFlagsTag, (byte)mask, (byte)(mask >> 8)]);
    }

    /// <summary>One global system interrupt that the device uses (6.4.3.6).</summary>
    public static AmlResource Interrupt(uint gsi, bool levelTriggered, bool activeLow, bool shared)
    {
        byte flags = (byte)(1 | (levelTriggered ? 0 : 2) | (activeLow ? 4 : 0) | (shared ? 8 : 0));
        byte[] bytes = [ExtendedInterruptTag, 6, 0, flags, 1, 0, 0, 0, 0];
        BinaryPrimitives.WriteUInt32LittleEndian(bytes.AsSpan(5), gsi);
        return new AmlResource(bytes);
    }

    /// <summary>An address space descriptor: granularity, minimum, maximum, translation and length, each <paramref name="width"/> bytes.</summary>
    private static AmlResource Space(byte tag, int width, byte type, byte general, byte specific, AddressRange range, ulong translation = 0)
    {
        CheckWidth(range, width);
        byte[] bytes = new byte[6 + 5 * width];
        bytes[0] = tag;
        BinaryPrimitives.WriteUInt16LittleEndian(bytes.AsSpan(1), (ushort)(bytes.Length - 3));
        bytes[3] = type;
        bytes[4] = general;
        bytes[5] = specific;
        Put(bytes.AsSpan(6 + width), width, range.Start.Value);
        Put(bytes.AsSpan(6 + 2 * width), width, range.Last.Value);
        Put(bytes.AsSpan(6 + 3 * width), width, translation);
        Put(bytes.AsSpan(6 + 4 * width), width, range.Size);
        return new AmlResource(bytes);
    }

    private static byte MemoryFlags(AmlCaching caching) => (byte)((int)caching << 1 | 1);

    private static AddressRange Ordered(byte first, byte last) =>
        AddressRange.FromBounds(new GuestAddress(first), new GuestAddress(last));

    private static void CheckWidth(AddressRange range, int width)
    {
        ulong largest = width == 8 ? ulong.MaxValue : (1UL << 8 * width) - 1;
        if (range.IsEmpty || range.Last.Value > largest || range.Size > largest)
        {
            throw new ArgumentOutOfRangeException(nameof(range), $"{range} cannot be said in a {8 * width}-bit resource descriptor");
        }
    }

    private static void Put(Span<byte> to, int width, ulong value)
    {
        for (int i = 0; i < width; i++)
        {
            to[i] = (byte)(value >> 8 * i);
        }
    }
}

/// <summary>The caching attribute of a memory window (ACPI 6.5 6.4.3.5.5).</summary>
public enum AmlCaching : byte
{
    /// <summary>Not cacheable; Linux places prefetchable and other BARs in such a window alike.</summary>
    NonCacheable = 0,

    /// <summary>Cacheable.</summary>
    Cacheable = 1,

    /// <summary>Cacheable with write combining.</summary>
    WriteCombining = 2,

    /// <summary>Cacheable and prefetchable: Linux then keeps every non-prefetchable BAR out.</summary>
    Prefetchable = 3,
}
