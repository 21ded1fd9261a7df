using System.Buffers.Binary;
using System.Text;

namespace Aperture.Firmware.Fdt;

/// <summary>
/// A node of a device tree in the making (Devicetree Specification 0.4, section 2.2): properties in the order in which they were added, then children in
/// theirs. Names that the specification does not allow, and a name twice, are mistakes of the caller.
/// </summary>
public sealed class FdtNode
{
    private const int LongestName = 31;
    private const string NodePunctuation = ",._+-";
    private const string PropertyPunctuation = ",._+?#-";
    private readonly List<FdtProperty> _properties = [];
    private readonly List<FdtNode> _children = [];

    private FdtNode(string name) => Name = name;

    /// <summary>The name with the unit address, empty for the root.</summary>
    public string Name { get; }

    /// <summary>The properties, in order.</summary>
    public IReadOnlyList<FdtProperty> Properties => _properties;

    /// <summary>The children, in order.</summary>
    public IReadOnlyList<FdtNode> Children => _children;

    /// <summary>A root without anything below.</summary>
    public static FdtNode Root() => new("");

    /// <summary>Adds a child and returns it.</summary>
    /// <exception cref="ArgumentException">The name is not one (2.2.1), or there is a child of that name.</exception>
    public FdtNode Node(string name)
    {
        ArgumentNullException.ThrowIfNull(name);
        int at = name.IndexOf('@', StringComparison.Ordinal);
        string own = at < 0 ? name : name[..at];
        if (!IsName(own, NodePunctuation, LongestName) || !char.IsAsciiLetter(own[0]) || (at >= 0 && !IsName(name[(at + 1)..], NodePunctuation, LongestName)))
        {
            throw new ArgumentException($"'{name}' cannot name a device tree node", nameof(name));
        }

        if (_children.Exists(child => child.Name == name))
        {
            throw new ArgumentException($"there are two nodes {name} below {(Name.Length == 0 ? "the root" : Name)}", nameof(name));
        }

        FdtNode node = new(name);
        _children.Add(node);
        return node;
    }

    /// <summary>Adds a child for what is at <paramref name="address"/>, named <c>name@address</c> (2.2.1.1), and returns it.</summary>
    public FdtNode Node(string name, GuestAddress address) => Node($"{name}@{address.Value:x}");

    /// <summary>Adds a property that says all by being there.</summary>
    public FdtNode Flag(string name) => Add(name, ReadOnlyMemory<byte>.Empty);

    /// <summary>Adds a property of raw bytes.</summary>
    public FdtNode Bytes(string name, ReadOnlyMemory<byte> value) => Add(name, value.ToArray());

    /// <summary>Adds a string list (2.2.4); each string ends with a zero.</summary>
    /// <exception cref="ArgumentException">A string has a zero character in it.</exception>
    public FdtNode Text(string name, params ReadOnlySpan<string> texts)
    {
        List<byte> bytes = [];
        foreach (string text in texts)
        {
            ArgumentNullException.ThrowIfNull(text, nameof(texts));
            if (text.Contains('\0', StringComparison.Ordinal))
            {
                throw new ArgumentException($"a string of the property {name} has a zero character in it", nameof(texts));
            }

            bytes.AddRange(Encoding.UTF8.GetBytes(text));
            bytes.Add(0);
        }

        return Add(name, bytes.ToArray());
    }

    /// <summary>Adds an array of 32-bit cells.</summary>
    public FdtNode Cells(string name, params ReadOnlySpan<uint> cells)
    {
        byte[] bytes = new byte[4 * cells.Length];
        for (int i = 0; i < cells.Length; i++)
        {
            BinaryPrimitives.WriteUInt32BigEndian(bytes.AsSpan(4 * i), cells[i]);
        }

        return Add(name, bytes);
    }

    /// <summary>Adds one number of 64 bits (2.2.4, <c>u64</c>).</summary>
    public FdtNode Number(string name, ulong value) => Cells(name, (uint)(value >> 32), (uint)value);

    /// <summary>Adds a <c>reg</c>-like list of address and size, two cells each, as below a root with two cells for both.</summary>
    public FdtNode Ranges(string name, params ReadOnlySpan<AddressRange> ranges)
    {
        List<uint> cells = [];
        foreach (AddressRange range in ranges)
        {
            AddCells(cells, range.Start.Value);
            AddCells(cells, range.Size);
        }

        return Cells(name, [.. cells]);
    }

    /// <summary>Appends <paramref name="value"/> as two cells, the high half first.</summary>
    internal static void AddCells(List<uint> cells, ulong value)
    {
        cells.Add((uint)(value >> 32));
        cells.Add((uint)value);
    }

    private FdtNode Add(string name, ReadOnlyMemory<byte> value)
    {
        if (!IsName(name, PropertyPunctuation, LongestName))
        {
            throw new ArgumentException($"'{name}' cannot name a device tree property", nameof(name));
        }

        if (_properties.Exists(property => property.Name == name))
        {
            throw new ArgumentException($"the node {(Name.Length == 0 ? "/" : Name)} has two properties {name}", nameof(name));
        }

        _properties.Add(new FdtProperty(name, value));
        return this;
    }

    private static bool IsName(string name, string punctuation, int longest) =>
        name.Length > 0 && name.Length <= longest
        && name.All(c => char.IsAsciiLetterOrDigit(c) || punctuation.Contains(c, StringComparison.Ordinal));
}
