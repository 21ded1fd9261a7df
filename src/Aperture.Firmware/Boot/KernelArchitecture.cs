namespace Aperture.Firmware.Boot;

/// <summary>Which processors a kernel is for.</summary>
public enum KernelArchitecture
{
    /// <summary>32- or 64-bit x86.</summary>
    X86,

    /// <summary>64-bit Arm.</summary>
    Arm64,
}
