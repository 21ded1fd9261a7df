using System.Buffers.Binary;

namespace Aperture.Firmware.FwCfg;

/// <summary>
/// How firmware and machine agree on what an SMI does (QEMU, docs/specs of ICH9's SMI features; OvmfPkg, SmiFeatures.c): firmware reads what there is, writes
/// what it wants, and selects the third file, which says whether it gets that. From then on it stays so until a reset.
/// </summary>
public sealed class SmiFeatures
{
    /// <summary>What can be had, 64 bits.</summary>
    public const string SupportedFile = "etc/smi/supported-features";

    /// <summary>What firmware wants, 64 bits.</summary>
    public const string RequestedFile = "etc/smi/requested-features";

    /// <summary>One byte: 1 once it was agreed.</summary>
    public const string AgreedFile = "etc/smi/features-ok";

    private const ulong Broadcast = 1 << 0;
    private readonly byte[] _requested = new byte[sizeof(ulong)];
    private bool _agreed;
    private volatile bool _broadcast;

    /// <summary>A command raises an SMI at every processor, not only at the one that wrote it. Any thread.</summary>
    public bool IsBroadcast => _broadcast;

    /// <summary>The three files.</summary>
    public IEnumerable<KeyValuePair<string, IFirmwareItem>> Files =>
    [
        new(SupportedFile, BytesItem.U64(Broadcast)),
        new(RequestedFile, new Requested(this)),
        new(AgreedFile, new Agreed(this)),
    ];

    private void Agree()
    {
        ulong wanted = BinaryPrimitives.ReadUInt64LittleEndian(_requested);
        if (!_agreed && (wanted & ~Broadcast) == 0)
        {
            _agreed = true;
            _broadcast = (wanted & Broadcast) != 0;
        }
    }

    private void Reset()
    {
        Array.Clear(_requested);
        (_agreed, _broadcast) = (false, false);
    }

    private sealed class Requested(SmiFeatures features) : IFirmwareItem
    {
        public ulong Length => sizeof(ulong);

        public bool IsWritable => !features._agreed;

        public bool Read(ulong offset, Span<byte> destination)
        {
            features._requested.AsSpan((int)offset, destination.Length).CopyTo(destination);
            return true;
        }

        public bool Write(ulong offset, ReadOnlySpan<byte> source)
        {
            source.CopyTo(features._requested.AsSpan((int)offset));
            return true;
        }

        public void Reset() => features.Reset();
    }

    private sealed class Agreed(SmiFeatures features) : IFirmwareItem
    {
        public ulong Length => 1;

        public void Select() => features.Agree();

        public bool Read(ulong offset, Span<byte> destination)
        {
            destination.Fill(features._agreed ? (byte)1 : (byte)0);
            return true;
        }
    }
}
