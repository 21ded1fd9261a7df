namespace Aperture.Cli.Demo;

/// <summary>What one firmware did with the demo's machine.</summary>
/// <param name="Name">The firmware's name, for a heading.</param>
/// <param name="Version">What it calls itself.</param>
/// <param name="Chose">The addresses it chose, by function's name and BAR's index; a BAR that it gave none is absent.</param>
/// <param name="Events">What the monitor did meanwhile.</param>
internal sealed record FirmwareAccount(string Name, string Version, IReadOnlyDictionary<(string Function, int Bar), ulong> Chose, EventReport Events)
{
    /// <summary>What the operating system that it started printed; null when it started none.</summary>
    public GuestReport? Guest { get; init; }
}
