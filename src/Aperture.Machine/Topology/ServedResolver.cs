using Aperture.Assignment;
using Aperture.Configuration.Kinds;

namespace Aperture.Machine.Topology;

/// <summary>Finds out what devices that other processes serve ask of the address map.</summary>
/// <param name="ask">Asks a server for the BARs of its device.</param>
internal sealed class ServedResolver(Func<VfioUserSpec, IReadOnlyList<DeviceBar>> ask)
{
    private readonly HashSet<string> _taken = new(StringComparer.Ordinal);

    /// <summary>What a device is called that its user gave no name: as its server's socket.</summary>
    public static string NameOf(VfioUserSpec spec)
    {
        // An id has fewer characters than a file's name.
        const int Longest = 64;
        string file = Path.GetFileName(spec.Socket);
        string name = new([.. file.Take(Longest).Select(c => char.IsAsciiLetterOrDigit(c) || c is '-' or '_' or '.' ? c : '-')]);
        return name.Length > 0 ? name : spec.Kind.Word;
    }

    /// <summary>The part for <paramref name="spec"/>.</summary>
    /// <exception cref="ApertureException">Nobody serves it, or it cannot be given to a guest as asked.</exception>
    public AssignedPart Resolve(VfioUserSpec spec)
    {
        // A socket serves one client; the second would wait for the first to go.
        if (!_taken.Add(Path.GetFullPath(spec.Socket)))
        {
            throw new ApertureException(
                $"{spec.Socket} is given to the guest twice; a socket serves one device to one client, so name it once in --device vfio-user.");
        }

        AssignedPart part = new(spec, null, []);
        return part with { Bars = AssignedBars.Of(part.Name, spec, BarsOnHost.Opened(spec.Socket, ask(spec))) };
    }
}
