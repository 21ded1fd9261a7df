namespace Aperture.Devices.Tests.Flash;

/// <summary>
/// What a driver may count on, told as transactions instead of bus cycles: the whole effect of one command sequence. Written from the data
/// sheet's command table, without states.
/// </summary>
internal sealed class PflashModel(byte[] content, bool readOnly)
{
    public byte[] Content { get; } = content;

    public int Status { get; private set; } = 0x80;

    public void Program(int offset, ReadOnlySpan<byte> bytes)
    {
        Status |= 0x80 | (readOnly ? 0x10 : 0);
        for (int i = 0; !readOnly && i < bytes.Length && offset + i < Content.Length; i++)
        {
            Content[offset + i] = bytes[i];
        }
    }

    public void Erase(int offset)
    {
        Status |= 0x80 | (readOnly ? 0x20 : 0);
        for (int at = offset / 4096 * 4096, end = at + 4096; !readOnly && at < end; at++)
        {
            Content[at] = 0xFF;
        }
    }

    public void Refuse() => Status |= 0x80 | 0x30;

    public void Clear() => Status = 0;
}
