using System.Buffers.Binary;
using System.Text;
using Aperture.Firmware.FwCfg;

namespace Aperture.Devices.FwCfg;

/// <summary>
/// What a <see cref="FwCfgDevice"/> device offers: items with a key of their own and files, which get keys from 0x20 on in the order of their names
/// (QEMU docs/specs/fw_cfg.rst). Filled by the board, then handed to the device, which takes a copy.
/// </summary>
public sealed class FwCfgItems
{
    /// <summary>The longest file name; the directory's field also holds a zero.</summary>
    public const int LongestName = 55;

    /// <summary>Most files: the generic keys from 0x20 to 0x3FFF.</summary>
    public const int MostFiles = FwCfgKey.ArchitectureBits - FwCfgKey.FirstFile;

    private const int EntrySize = 64;

    private readonly Dictionary<ushort, IFirmwareItem> _keys = [];
    private readonly SortedDictionary<string, IFirmwareItem> _files = new(StringComparer.Ordinal);

    /// <summary>Sets the item of <paramref name="key"/>, replacing an earlier one.</summary>
    /// <exception cref="ApertureException">The key is the device's own or a file's, or the item is too long.</exception>
    public void Set(ushort key, IFirmwareItem item)
    {
        ArgumentNullException.ThrowIfNull(item);
        bool architecture = (key & FwCfgKey.Architecture) != 0;
        if ((key & FwCfgKey.WriteChannel) != 0 || key is FwCfgKey.Signature or FwCfgKey.Features or FwCfgKey.Directory
            || (!architecture && key >= FwCfgKey.FirstFile))
        {
            throw new ApertureException($"firmware configuration key 0x{key:x} cannot be set: it is not an item with a key of its own");
        }

        _keys[key] = Checked($"key 0x{key:x}", item);
    }

    /// <summary>Adds or replaces the file <paramref name="name"/>.</summary>
    /// <exception cref="ApertureException">The name is empty, longer than 55 bytes or not printable ASCII, there are too many files, or the item is too
    /// long.</exception>
    public void SetFile(string name, IFirmwareItem item)
    {
        ArgumentNullException.ThrowIfNull(item);
        if (name is not { Length: > 0 and <= LongestName } || !name.All(static c => c is > ' ' and <= '~'))
        {
            throw new ApertureException($"'{name}' cannot name a firmware configuration file: 1 to {LongestName} printable ASCII characters can");
        }

        if (_files.Count == MostFiles && !_files.ContainsKey(name))
        {
            throw new ApertureException($"firmware configuration file {name} is one too many: {MostFiles} are possible");
        }

        _files[name] = Checked($"file {name}", item);
    }

    /// <summary>Every item by its key, with the signature, the feature bits and the directory.</summary>
    internal Dictionary<ushort, IFirmwareItem> Resolve(uint features)
    {
        Dictionary<ushort, IFirmwareItem> items = new(_keys);
        byte[] featureBytes = new byte[4];
        BinaryPrimitives.WriteUInt32LittleEndian(featureBytes, features);
        items[FwCfgKey.Signature] = new FwCfgBytes("QEMU"u8.ToArray());
        items[FwCfgKey.Features] = new FwCfgBytes(featureBytes);

        byte[] directory = new byte[4 + (EntrySize * _files.Count)];
        BinaryPrimitives.WriteUInt32BigEndian(directory, (uint)_files.Count);
        Span<byte> entry = directory.AsSpan(4);
        ushort key = FwCfgKey.FirstFile;
        foreach ((string name, IFirmwareItem item) in _files)
        {
            BinaryPrimitives.WriteUInt32BigEndian(entry, (uint)item.Length);
            BinaryPrimitives.WriteUInt16BigEndian(entry[4..], key);
            Encoding.ASCII.GetBytes(name, entry[8..]);
            items[key++] = item;
            entry = entry[EntrySize..];
        }

        items[FwCfgKey.Directory] = new FwCfgBytes(directory);
        return items;
    }

    private static IFirmwareItem Checked(string what, IFirmwareItem item) => item.Length <= uint.MaxValue
        ? item
        : throw new ApertureException($"firmware configuration {what} has {ByteSize.Format(item.Length)}: less than 4 GiB can be told");
}
