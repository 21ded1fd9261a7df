using System.Buffers.Binary;
using System.Text;

namespace Aperture.Firmware.Fdt;

/// <summary>
/// Flattens a device tree (Devicetree Specification 0.4, chapter 5): header, memory reservations, structure block, strings block, without room between.
/// </summary>
public sealed class FdtWriter
{
    /// <summary>The most that arm64 Linux maps of it (Documentation/arch/arm64/booting.rst, section 2): a larger one ends in silence.</summary>
    public const int MaxSize = 2 << 20;

    private readonly List<byte> _structure = [];
    private readonly List<byte> _strings = [];
    private readonly Dictionary<string, uint> _names = new(StringComparer.Ordinal);

    private FdtWriter()
    {
    }

    /// <summary>The bytes of the tree below <paramref name="root"/>.</summary>
    /// <param name="root">The root.</param>
    /// <param name="bootCpu">The <c>reg</c> of the processor that starts, or its low half (5.2, boot_cpuid_phys).</param>
    /// <param name="reserved">Memory that the kernel must leave alone (5.3).</param>
    /// <exception cref="ApertureException">It has more than <see cref="MaxSize"/> bytes.</exception>
    public static byte[] Write(FdtNode root, uint bootCpu = 0, params ReadOnlySpan<AddressRange> reserved)
    {
        ArgumentNullException.ThrowIfNull(root);
        FdtWriter writer = new();
        writer.Add(root);
        writer.Token(FdtFormat.End);
        int reservations = (FdtFormat.HeaderSize + FdtFormat.ReservationAlignment - 1) & -FdtFormat.ReservationAlignment;
        int structure = reservations + ((reserved.Length + 1) * 16);
        int strings = structure + writer._structure.Count;
        int total = strings + writer._strings.Count;
        if (total > MaxSize)
        {
            throw new ApertureException(
                $"the guest's device tree has {total} bytes and the kernel takes at most {MaxSize} (2M); give the machine fewer processors or windows");
        }

        byte[] bytes = new byte[total];
        ReadOnlySpan<uint> header =
        [
            FdtFormat.Magic, (uint)total, (uint)structure, (uint)strings, (uint)reservations, FdtFormat.Version, FdtFormat.OldestCompatible, bootCpu,
            (uint)writer._strings.Count, (uint)writer._structure.Count,
        ];
        for (int i = 0; i < header.Length; i++)
        {
            BinaryPrimitives.WriteUInt32BigEndian(bytes.AsSpan(4 * i), header[i]);
        }

        // The entry of zeros that ends the list is there already.
        for (int i = 0; i < reserved.Length; i++)
        {
            BinaryPrimitives.WriteUInt64BigEndian(bytes.AsSpan(reservations + (16 * i)), reserved[i].Start.Value);
            BinaryPrimitives.WriteUInt64BigEndian(bytes.AsSpan(reservations + (16 * i) + 8), reserved[i].Size);
        }

        writer._structure.CopyTo(bytes, structure);
        writer._strings.CopyTo(bytes, strings);
        return bytes;
    }

    private void Add(FdtNode node)
    {
        Token(FdtFormat.BeginNode);
        _structure.AddRange(Encoding.ASCII.GetBytes(node.Name));
        _structure.Add(0);
        Pad();
        foreach (FdtProperty property in node.Properties)
        {
            Token(FdtFormat.Property);
            Token((uint)property.Value.Length);
            Token(NameOf(property));
            _structure.AddRange(property.Value.Span);
            Pad();
        }

        foreach (FdtNode child in node.Children)
        {
            Add(child);
        }

        Token(FdtFormat.EndNode);
    }

    // Each name is there once (5.5).
    private uint NameOf(FdtProperty property)
    {
        if (!_names.TryGetValue(property.Name, out uint offset))
        {
            offset = (uint)_strings.Count;
            _names.Add(property.Name, offset);
            _strings.AddRange(Encoding.ASCII.GetBytes(property.Name));
            _strings.Add(0);
        }

        return offset;
    }

    private void Token(uint value)
    {
        Span<byte> bytes = stackalloc byte[FdtFormat.TokenSize];
        BinaryPrimitives.WriteUInt32BigEndian(bytes, value);
        _structure.AddRange(bytes);
    }

    private void Pad()
    {
        while (_structure.Count % FdtFormat.TokenSize != 0)
        {
            _structure.Add(0);
        }
    }
}
