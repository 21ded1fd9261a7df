using Aperture.Assignment;
using Aperture.Linux;

namespace Aperture.VfioUser.Server;

/// <summary>How a touch of a page is answered.</summary>
public enum FaultAnswerKind : byte
{
    /// <summary>Reads see all-ones, writes are lost.</summary>
    Refused = 0,

    /// <summary>This access goes through <see cref="IServedDevice.Read"/> or <see cref="IServedDevice.Write"/>.</summary>
    Trap = 1,

    /// <summary>The client may map pages.</summary>
    Grant = 2,
}

/// <summary>The answer to a touch of a page.</summary>
/// <param name="Kind">What kind of answer.</param>
/// <param name="Offset">Of the first granted page in the region; of the page that was touched in other answers.</param>
/// <param name="Size">Bytes granted.</param>
/// <param name="File">What they are mapped from: the device's, open until its end. The client gets the whole of it.</param>
/// <param name="FileOffset">Of the first page in the file.</param>
/// <param name="IsWritable">The client may write.</param>
/// <param name="Generation">That of the newest revocation, when the answer was made.</param>
public readonly record struct ServedGrant(
    FaultAnswerKind Kind, ulong Offset, ulong Size, SafeFileDescriptor? File, ulong FileOffset, bool IsWritable, ulong Generation);

/// <summary>
/// A served device with parts of which nothing can be mapped at first: a client that knows the extension (docs/vfio-user.md) asks at the first touch of a page,
/// and gives pages back when it is told to. Other clients reach these parts by messages.
/// </summary>
public interface IFaultingDevice : IServedDevice
{
    /// <summary>The areas of a region where touches are answered; empty where the device answers none, or does not trust its client with descriptors.</summary>
    IReadOnlyList<VfioArea> FaultingAreas(int region);

    /// <summary>The client touched a page of such an area.</summary>
    ServedGrant Fault(int region, ulong offset, bool isWrite);
}
