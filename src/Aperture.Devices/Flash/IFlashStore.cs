namespace Aperture.Devices.Flash;

/// <summary>Where the content of a flash bank outlives the machine.</summary>
public interface IFlashStore
{
    /// <summary>
    /// Bytes of the bank changed; called on the vCPU's thread under the bank's lock, after the change shows in its memory. Must not throw: a store that fails
    /// reports it and lets the machine go on.
    /// </summary>
    void Changed(ulong offset, ReadOnlySpan<byte> bytes);
}
