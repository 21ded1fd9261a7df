using System.Buffers.Binary;
using System.Text;

namespace Aperture.Firmware.Tests.Fdt;

/// <summary>A node as a reader of the flattened format finds it.</summary>
internal sealed class ReadNode(string name)
{
    public string Name { get; } = name;

    public Dictionary<string, byte[]> Properties { get; } = [];

    public List<ReadNode> Children { get; } = [];

    public ReadNode this[string path] => path.Split('/', StringSplitOptions.RemoveEmptyEntries)
        .Aggregate(this, (node, part) => node.Children.Single(child => child.Name == part));

    public uint[] Cells(string property) =>
        [.. Properties[property].Chunk(4).Select(four => BinaryPrimitives.ReadUInt32BigEndian(four))];

    public string[] Texts(string property) => Encoding.UTF8.GetString(Properties[property]).TrimEnd('\0').Split('\0');

    public IEnumerable<ReadNode> All => Children.SelectMany(child => child.All).Prepend(this);
}

/// <summary>Reads a flattened tree by the text of the Devicetree Specification 0.4, chapter 5, and refuses whatever that does not allow.</summary>
internal sealed class FdtReader
{
    private readonly byte[] _bytes;
    private readonly int _strings;
    private readonly int _stringsSize;
    private int _at;

    private FdtReader(byte[] bytes)
    {
        _bytes = bytes;
        Assert.Equal(0xD00DFEEDu, Word(0));
        Assert.Equal((uint)bytes.Length, Word(4));
        Assert.Equal(17u, Word(20));
        Assert.Equal(16u, Word(24));
        BootCpu = Word(28);
        _strings = (int)Word(12);
        _stringsSize = (int)Word(32);
        Assert.True(_strings + _stringsSize <= bytes.Length);
        _at = (int)Word(16);
        Assert.Equal(0, _at % 8);
        for (; ; _at += 16)
        {
            ulong start = BinaryPrimitives.ReadUInt64BigEndian(bytes.AsSpan(_at));
            ulong size = BinaryPrimitives.ReadUInt64BigEndian(bytes.AsSpan(_at + 8));
            if (start == 0 && size == 0)
            {
                break;
            }

            Reserved.Add((start, size));
        }

        _at = (int)Word(8);
        Assert.Equal(0, _at % 4);
        int end = _at + (int)Word(36);
        Assert.Equal(1u, Next());
        Root = Node();
        Assert.Equal(9u, Next());
        Assert.Equal(end, _at);
    }

    public uint BootCpu { get; }

    public List<(ulong Start, ulong Size)> Reserved { get; } = [];

    public ReadNode Root { get; }

    public static FdtReader Read(byte[] bytes) => new(bytes);

    private ReadNode Node()
    {
        ReadNode node = new(TextAt(_at));
        _at += node.Name.Length + 1;
        Align();
        while (true)
        {
            switch (Next())
            {
                case 3:
                    Assert.Empty(node.Children);
                    int length = (int)Next();
                    int name = (int)Next();
                    Assert.InRange(name, 0, _stringsSize - 1);
                    node.Properties.Add(TextAt(_strings + name), _bytes[_at..(_at + length)]);
                    _at += length;
                    Align();
                    break;
                case 1:
                    node.Children.Add(Node());
                    break;
                case var token:
                    Assert.Equal(2u, token);
                    return node;
            }
        }
    }

    private string TextAt(int at) => Encoding.UTF8.GetString(_bytes.AsSpan(at, Array.IndexOf(_bytes, (byte)0, at) - at));

    private void Align()
    {
        for (; _at % 4 != 0; _at++)
        {
            Assert.Equal(0, _bytes[_at]);
        }
    }

    private uint Next()
    {
        uint word = Word(_at);
        _at += 4;
        return word;
    }

    private uint Word(int at) => BinaryPrimitives.ReadUInt32BigEndian(_bytes.AsSpan(at));
}
