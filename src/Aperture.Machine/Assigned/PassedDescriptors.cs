using Aperture.Linux;

namespace Aperture.Machine.Assigned;

/// <summary>
/// The descriptors that <c>fd=</c> names, by their numbers in this process: those that it inherited, which are nobody's until they are taken, and those that
/// came with a request of the control channel, which are the request's until then. Thread-safe.
/// </summary>
internal sealed class PassedDescriptors
{
    private readonly Lock _gate = new();
    private readonly Dictionary<int, SafeFileDescriptor> _sent = [];

    /// <summary>Lets <paramref name="files"/> be taken until the result is disposed. They stay the caller's, who closes those that nobody took.</summary>
    public IDisposable Offer(IReadOnlyCollection<SafeFileDescriptor> files)
    {
        lock (_gate)
        {
            foreach (SafeFileDescriptor file in files)
            {
                _sent.Add(file.Number, file);
            }
        }

        return new Offered(this, [.. files.Select(file => file.Number)]);
    }

    /// <summary>The descriptor of that number, which the caller owns from now on.</summary>
    public SafeFileDescriptor Take(int number)
    {
        lock (_gate)
        {
            if (_sent.Remove(number, out SafeFileDescriptor? file))
            {
                file.SetHandleAsInvalid();
            }

            return new SafeFileDescriptor(number);
        }
    }

    private sealed class Offered(PassedDescriptors owner, IReadOnlyList<int> numbers) : IDisposable
    {
        public void Dispose()
        {
            lock (owner._gate)
            {
                foreach (int number in numbers)
                {
                    owner._sent.Remove(number);
                }
            }
        }
    }
}
