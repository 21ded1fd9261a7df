namespace Aperture.TestKit.Devices;

/// <summary>Records the messages that it was sent.</summary>
public sealed class RecordingMsiSink : IMsiSink
{
    private readonly List<MsiMessage> _sent = [];

    public int Count
    {
        get
        {
            lock (_sent)
            {
                return _sent.Count;
            }
        }
    }

    public void Send(Bdf requester, MsiMessage message)
    {
        lock (_sent)
        {
            _sent.Add(message);
        }
    }
}
