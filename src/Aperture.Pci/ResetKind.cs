namespace Aperture.Pci;

/// <summary>How hard a function is reset (PCI Express 5.0, section 6.6).</summary>
public enum ResetKind : byte
{
    /// <summary>Function level reset, asked for through the PCI Express capability: one function, sticky bits survive.</summary>
    Function,

    /// <summary>Conventional (hot) reset of a bus: every function below it, sticky bits survive.</summary>
    Conventional,

    /// <summary>Power on: nothing survives.</summary>
    Cold,
}
