using System.Collections.Immutable;
using Aperture.Host.Model;

namespace Aperture.Mirror;

/// <summary>
/// Which of a host's functions a guest gets: all of them, or named ones with everything below them. The bridges above come along by themselves.
/// </summary>
public sealed record MirrorSelection
{
    private MirrorSelection(ImmutableArray<PciAddress> named) => Named = named;

    /// <summary>Every function of the host.</summary>
    public static MirrorSelection All { get; } = new([]);

    /// <summary>The functions by name; empty means all.</summary>
    public ImmutableArray<PciAddress> Named { get; }

    /// <summary>True when every function was asked for.</summary>
    public bool IsAll => Named.IsEmpty;

    /// <summary>Reads <c>all</c>, or addresses as lspci prints them between commas: <c>0000:3b:00.0,5e:00.1</c>.</summary>
    /// <exception cref="ApertureException">An item is not an address.</exception>
    public static MirrorSelection Parse(string text)
    {
        ArgumentNullException.ThrowIfNull(text);
        if (text == "all")
        {
            return All;
        }

        ImmutableArray<PciAddress>.Builder named = ImmutableArray.CreateBuilder<PciAddress>();
        foreach (string item in text.Split(',', StringSplitOptions.TrimEntries))
        {
            named.Add(PciAddress.TryParse(item, out PciAddress address)
                ? address
                : throw new ApertureException(
                    $"--mirror {text}: '{item}' is not a function; write all, or addresses such as 0000:3b:00.0 with commas between."));
        }

        return new MirrorSelection([.. named.Distinct().Order()]);
    }

    /// <summary>The functions that are meant, in address order.</summary>
    /// <exception cref="ApertureException">The host has no such function.</exception>
    internal IReadOnlyList<HostFunction> Of(HostMachine host)
    {
        if (IsAll)
        {
            return host.Functions;
        }

        SortedDictionary<PciAddress, HostFunction> chosen = [];
        foreach (PciAddress address in Named)
        {
            HostFunction function = host.Find(address)
                ?? throw new ApertureException($"{host.Origin.Name} has no function {address} to mirror; 'aperture host' lists those that are there.");
            Stack<HostFunction> open = new([function]);
            while (open.TryPop(out HostFunction? next))
            {
                if (chosen.TryAdd(next.Address, next))
                {
                    next.Children.ToList().ForEach(child => open.Push(host.Find(child)!));
                }
            }
        }

        return [.. chosen.Values];
    }
}
