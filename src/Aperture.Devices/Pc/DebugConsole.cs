using Aperture.Devices.Serial;

namespace Aperture.Devices.Pc;

/// <summary>
/// A console of one port, by convention 0x402: every byte written goes to the backend, reads give <see cref="Signature"/>, by which
/// firmware finds it.
/// </summary>
/// <param name="backend">Where the bytes go.</param>
public sealed class DebugConsole(ISerialBackend backend) : IAccessHandler
{
    /// <summary>Ports taken.</summary>
    public const ushort Length = 1;

    /// <summary>What the port reads as.</summary>
    public const byte Signature = 0xE9;

    /// <inheritdoc/>
    public AccessResult Read(ulong offset, int size, out ulong value)
    {
        bool claimed = AccessLanes.Starts(offset, size, Length);
        value = claimed ? (AccessWidth.AllOnes(size) & ~0xFFUL) | Signature : ulong.MaxValue;
        return claimed ? AccessResult.Ok : AccessResult.Unclaimed;
    }

    /// <inheritdoc/>
    public AccessResult Write(ulong offset, int size, ulong value)
    {
        if (!AccessLanes.Starts(offset, size, Length))
        {
            return AccessResult.Unclaimed;
        }

        backend.Write((byte)value);
        return AccessResult.Ok;
    }
}
