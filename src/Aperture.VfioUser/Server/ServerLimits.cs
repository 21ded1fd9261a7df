using Aperture.VfioUser.Protocol;

namespace Aperture.VfioUser.Server;

/// <summary>What a server allows its clients, and how long it waits for them.</summary>
public sealed record ServerLimits
{
    /// <summary>The most data in one message, in bytes; a client that can less gets less.</summary>
    public uint MaxTransfer { get; init; } = VersionCapabilities.DefaultTransfer;

    /// <summary>The most descriptors in one message from the client.</summary>
    public uint MaxDescriptors { get; init; } = 64;

    /// <summary>The most runs of memory at one time.</summary>
    public uint MaxDmaMaps { get; init; } = VersionCapabilities.DefaultDmaMaps;

    /// <summary>
    /// How long a client may take to say its version, to finish a message, to take a reply and to answer an access to its memory, in milliseconds. A client
    /// that says nothing otherwise is served for ever.
    /// </summary>
    public int PatienceMilliseconds { get; init; } = 5000;
}

/// <summary>What client and server agreed on (vfio-user protocol, "VFIO_USER_VERSION").</summary>
/// <param name="Minor">The minor version.</param>
/// <param name="ToServer">The most data in one message to the server, in bytes.</param>
/// <param name="ToClient">The most data in one message to the client, in bytes.</param>
/// <param name="DescriptorsToServer">The most descriptors in one message to the server.</param>
/// <param name="DescriptorsToClient">The most descriptors in one message to the client.</param>
/// <param name="DmaMaps">The most runs of memory.</param>
internal sealed record Agreement(ushort Minor, uint ToServer, uint ToClient, uint DescriptorsToServer, uint DescriptorsToClient, uint DmaMaps)
{
    private const uint LeastTransfer = 8;

    /// <summary>
    /// What a server with these limits makes of a proposal, and its reply; null when it cannot. The reply names nothing that was not proposed, and nothing that
    /// is more.
    /// </summary>
    public static Agreement? Make(VersionMessage proposal, ServerLimits limits, bool twin, bool faults, out VersionMessage reply)
    {
        VersionCapabilities wish = proposal.Capabilities;
        uint toServer = Math.Min(limits.MaxTransfer, wish.MaxTransfer ?? VersionCapabilities.DefaultTransfer);
        uint descriptors = Math.Min(limits.MaxDescriptors, wish.MaxDescriptors ?? VersionCapabilities.DefaultDescriptors);
        uint maps = Math.Min(limits.MaxDmaMaps, wish.MaxDmaMaps ?? VersionCapabilities.DefaultDmaMaps);
        ushort minor = Math.Min(proposal.Minor, VersionMessage.OurMinor);
        reply = new VersionMessage(VersionMessage.OurMajor, minor, new VersionCapabilities
        {
            MaxDescriptors = wish.MaxDescriptors is null ? null : descriptors,
            MaxTransfer = wish.MaxTransfer is null ? null : toServer,
            MaxDmaMaps = wish.MaxDmaMaps is null ? null : maps,
            PageSizes = wish.PageSizes,
            WriteMultiple = wish.WriteMultiple is true ? true : null,
            TwinSocket = twin ? new TwinSocketCapability(true, 0) : null,
            Faults = faults ? 1u : null,
        });
        return proposal.Major != VersionMessage.OurMajor || toServer < LeastTransfer ? null : new Agreement(
            minor,
            toServer,
            Math.Min(limits.MaxTransfer, wish.MaxTransfer ?? VersionCapabilities.DefaultTransfer),
            descriptors,
            wish.MaxDescriptors ?? VersionCapabilities.DefaultDescriptors,
            maps);
    }
}
