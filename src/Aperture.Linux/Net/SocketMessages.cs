using System.Runtime.InteropServices;

namespace Aperture.Linux.Net;

/// <summary>
/// Bytes together with file descriptors over a socket of the local host (sendmsg(2), recvmsg(2), cmsg(3), SCM_RIGHTS of unix(7)). Interrupted calls are
/// repeated; a peer that is gone raises no signal.
/// </summary>
public static unsafe partial class SocketMessages
{
    /// <summary>More descriptors than this travel with no message (SCM_MAX_FD).</summary>
    public const int MostDescriptors = 253;

    // bits/socket.h, asm-generic/socket.h
    internal const int SocketLevel = 1;
    internal const int Rights = 1;
    internal const int NoSignal = 0x4000;
    internal const int ControlTruncated = 8;
    internal const int CloseOnExec = 0x40000000;

    /// <summary>
    /// Sends <paramref name="head"/>, then <paramref name="tail"/>, with <paramref name="descriptors"/> on their first byte. Of a blocking socket all is sent,
    /// unless its timeout ends first. The caller keeps the descriptors open.
    /// </summary>
    /// <returns>The bytes sent, or minus the errno.</returns>
    public static int TrySend(SafeFileDescriptor socket, ReadOnlySpan<byte> head, ReadOnlySpan<byte> tail, ReadOnlySpan<SafeFileDescriptor> descriptors)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan(descriptors.Length, MostDescriptors);
        ControlHeader* control = stackalloc ControlHeader[descriptors.IsEmpty ? 0 : ControlRoom(descriptors.Length)];
        for (int i = 0; i < descriptors.Length; i++)
        {
            // SAFETY: the room after the header is that of as many numbers as there are descriptors.
            ((int*)(control + 1))[i] = descriptors[i].Number;
        }

        nuint length = descriptors.IsEmpty ? 0 : ControlLength(descriptors.Length);
        if (length != 0)
        {
            // SAFETY: there is room for one header.
            *control = new ControlHeader(length, SocketLevel, Rights);
        }

        // SAFETY: both spans are pinned for the call and their own lengths are the bounds; the control data live on this stack.
        fixed (byte* first = head, second = tail)
        {
            Vector* vectors = stackalloc Vector[2];
            vectors[0] = new Vector((nint)first, (nuint)head.Length);
            vectors[1] = new Vector((nint)second, (nuint)tail.Length);
            Message message = new() { Vectors = (nint)vectors, Count = 2, Control = length == 0 ? 0 : (nint)control, ControlLength = length };
            while (true)
            {
                nint sent = sendmsg(socket, &message, NoSignal);
                int errno = sent < 0 ? Marshal.GetLastPInvokeError() : 0;
                if (errno != Errno.EINTR)
                {
                    return sent < 0 ? -errno : (int)sent;
                }
            }
        }
    }

    /// <summary>
    /// Receives up to the buffer's length, and the descriptors that came with the bytes: they are added to <paramref name="descriptors"/>, whose owner closes
    /// them. More than <paramref name="mostDescriptors"/> are closed by the kernel.
    /// </summary>
    /// <param name="socket">The socket.</param>
    /// <param name="buffer">Where the bytes go.</param>
    /// <param name="mostDescriptors">How many descriptors may come; at most <see cref="MostDescriptors"/>.</param>
    /// <param name="descriptors">Where the descriptors go.</param>
    /// <param name="lost">True when descriptors came that could not be taken: too many, or this process has no number left.</param>
    /// <returns>The bytes received; 0 when the peer is gone; or minus the errno.</returns>
    public static int TryReceive(SafeFileDescriptor socket, Span<byte> buffer, int mostDescriptors, List<SafeFileDescriptor> descriptors, out bool lost)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan((uint)mostDescriptors, (uint)MostDescriptors, nameof(mostDescriptors));
        ArgumentNullException.ThrowIfNull(descriptors);
        ControlHeader* control = stackalloc ControlHeader[ControlRoom(mostDescriptors)];

        // SAFETY: the span is pinned for the call and its own length is the bound; the control data live on this stack, and what the kernel says it wrote
        // there is at most what it was given.
        fixed (byte* start = buffer)
        {
            Vector vector = new((nint)start, (nuint)buffer.Length);
            Message message = default;
            nint received;
            int errno;
            do
            {
                message = new() { Vectors = (nint)(&vector), Count = 1, Control = (nint)control, ControlLength = ControlLength(mostDescriptors) };
                received = recvmsg(socket, &message, CloseOnExec);
                errno = received < 0 ? Marshal.GetLastPInvokeError() : 0;
            }
            while (errno == Errno.EINTR);

            lost = errno == 0 && (message.Flags & ControlTruncated) != 0;
            if (errno == 0 && message.ControlLength >= (nuint)sizeof(ControlHeader) && control->Level == SocketLevel && control->Type == Rights)
            {
                Take(control, Math.Min(message.ControlLength, control->Length), descriptors);
            }

            return errno != 0 ? -errno : (int)received;
        }
    }

    private static void Take(ControlHeader* control, nuint length, List<SafeFileDescriptor> descriptors)
    {
        // SAFETY: the kernel wrote length bytes, header included, into the caller's control data.
        ReadOnlySpan<int> numbers = new(control + 1, (int)((length - (nuint)sizeof(ControlHeader)) / sizeof(int)));
        foreach (int number in numbers)
        {
            descriptors.Add(new SafeFileDescriptor(number));
        }
    }

    // CMSG_LEN: without what would align a next header, so that the kernel takes no more descriptors than asked for.
    private static nuint ControlLength(int descriptors) => (nuint)(sizeof(ControlHeader) + descriptors * sizeof(int));

    // In headers, which keeps the data aligned.
    private static int ControlRoom(int descriptors) => 1 + (descriptors * sizeof(int) + sizeof(ControlHeader) - 1) / sizeof(ControlHeader);

    [LibraryImport("libc", SetLastError = true)]
    private static partial nint sendmsg(SafeFileDescriptor socket, Message* message, int flags);

    [LibraryImport("libc", SetLastError = true)]
    private static partial nint recvmsg(SafeFileDescriptor socket, Message* message, int flags);

    /// <summary>struct msghdr.</summary>
    [StructLayout(LayoutKind.Sequential)]
    internal struct Message
    {
        internal nint Name;
        internal uint NameLength;
        internal nint Vectors;
        internal nuint Count;
        internal nint Control;
        internal nuint ControlLength;
        internal int Flags;
    }

    /// <summary>struct iovec.</summary>
    [StructLayout(LayoutKind.Sequential)]
    internal readonly record struct Vector(nint Start, nuint Length);

    /// <summary>struct cmsghdr.</summary>
    [StructLayout(LayoutKind.Sequential)]
    internal readonly record struct ControlHeader(nuint Length, int Level, int Type);
}
