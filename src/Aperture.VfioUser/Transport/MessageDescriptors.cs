using Aperture.Linux;

namespace Aperture.VfioUser.Transport;

/// <summary>Descriptors that came with a message. Those that nobody takes are closed with it.</summary>
internal sealed class MessageDescriptors : IDisposable
{
    private readonly SafeFileDescriptor?[] _descriptors;

    /// <summary>Takes over the descriptors. <paramref name="lost"/>: there were more than may be.</summary>
    public MessageDescriptors(IEnumerable<SafeFileDescriptor> descriptors, bool lost) => (_descriptors, Lost) = ([.. descriptors], lost);

    /// <summary>No descriptors.</summary>
    public static MessageDescriptors None { get; } = new([], false);

    /// <summary>How many there are.</summary>
    public int Count => _descriptors.Length;

    /// <summary>There were more than may be; those are closed.</summary>
    public bool Lost { get; }

    /// <summary>One of them, which stays here.</summary>
    /// <exception cref="InvalidOperationException">It was taken.</exception>
    public SafeFileDescriptor this[int index] => _descriptors[index] ?? throw new InvalidOperationException("the descriptor was taken before");

    /// <summary>Takes one of them: the caller closes it.</summary>
    /// <exception cref="InvalidOperationException">It was taken.</exception>
    public SafeFileDescriptor Take(int index)
    {
        SafeFileDescriptor taken = this[index];
        _descriptors[index] = null;
        return taken;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        for (int i = 0; i < _descriptors.Length; i++)
        {
            _descriptors[i]?.Dispose();
            _descriptors[i] = null;
        }
    }
}
