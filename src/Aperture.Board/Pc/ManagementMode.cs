using Aperture.Firmware.FwCfg;

namespace Aperture.Board.Pc;

/// <summary>What a machine with system management mode needs beside RAM that only this mode sees.</summary>
/// <param name="RaiseSmi">Raises an SMI: with true at every processor, otherwise at the one whose access the calling thread answers.</param>
/// <param name="Features">What firmware and machine agreed on.</param>
public sealed record ManagementMode(Action<bool> RaiseSmi, SmiFeatures Features)
{
    /// <summary>Raises an SMI at whom it was agreed.</summary>
    internal void Raise() => RaiseSmi(Features.IsBroadcast);
}
