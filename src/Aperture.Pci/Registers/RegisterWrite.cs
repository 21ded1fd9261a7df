namespace Aperture.Pci.Registers;

/// <summary>One guest write inside an aligned 32-bit word, after the access modes were applied.</summary>
/// <param name="Register">Offset in bytes of the word, a multiple of 4; relative to the capability where a capability gets it.</param>
/// <param name="Before">The word before.</param>
/// <param name="After">The word after.</param>
/// <param name="Written">What the guest wrote, in its byte lanes, zero elsewhere.</param>
/// <param name="Lanes">0xFF in every byte that the guest wrote.</param>
public readonly record struct RegisterWrite(int Register, uint Before, uint After, uint Written, uint Lanes)
{
    /// <summary>The bits that changed.</summary>
    public uint Changed => Before ^ After;
}
