using Aperture;
using Aperture.Mediation;
using Aperture.Memory;
using Aperture.Pci;

// A whiteboard: one page that all guests write on, and a page of its own for each. BAR 0 has one register: writing it rings every other guest's bell, reading it
// says how often it was rung. Usage: Whiteboard SOCKET...
using MediationHost host = new(new Whiteboard(), new Silence());
foreach (string path in args)
{
    host.Listen(path);
}

host.Wait();

internal sealed class Whiteboard : IMediator
{
    private const ulong Page = 4096;
    private const ulong MostGuests = 15;

    private readonly RamBlock _memory = RamBlock.Create("whiteboard", (1 + MostGuests) * Page, shared: true);
    private readonly Lock _gate = new();
    private readonly Session?[] _guests = new Session?[MostGuests];

    public string Name => "whiteboard";

    public FunctionDescription Describe(string guest) => new(
        new PciIdentity(0xA9E7, 0x0003, 0xFF0000),
        [
            new BarDescription(0, BarKind.Memory32, 8 << 10),
            new BarDescription(2, BarKind.Memory32Prefetchable, 2 * Page) { Parts = [new BarPart(0, 2 * Page, BarPartKind.Mediated)] },
        ])
    {
        Msix = new MsixDescription(Vectors: 1, Bar: 0, TableOffset: 0x1000, PendingOffset: 0x1800),
    };

    public IMediatorSession Open(IGuest guest)
    {
        lock (_gate)
        {
            int place = Array.IndexOf(_guests, null);
            if (place < 0)
            {
                throw new ApertureException("fifteen guests are here already; end one of them");
            }

            _memory.AsSpan((1 + (ulong)place) * Page, (int)Page).Clear();
            return _guests[place] = new Session(this, guest, place);
        }
    }

    public void Dispose() => _memory.Dispose();

    private sealed class Session(Whiteboard board, IGuest guest, int place) : IMediatorSession
    {
        private int _rung;

        public ulong Read(int bar, ulong offset, int size) => bar == 0 && offset == 0 ? (uint)Volatile.Read(ref _rung) : 0;

        public void Write(int bar, ulong offset, int size, ulong value)
        {
            lock (board._gate)
            {
                foreach (Session other in board._guests.OfType<Session>().Where(s => s != this))
                {
                    Interlocked.Increment(ref other._rung);
                    other.Bell();
                }
            }
        }

        // The first page is everybody's, the second the guest's own.
        public FaultAnswer Fault(in Fault fault) => FaultAnswer.Give(fault.Offset < Page
            ? new Grant(fault.Bar, 0, Page, board._memory, 0, GrantProtection.ReadWrite, IsShared: true)
            : new Grant(fault.Bar, Page, Page, board._memory, (1 + (ulong)place) * Page, GrantProtection.ReadWrite));

        public void Dispose()
        {
            lock (board._gate)
            {
                board._guests[place] = null;
            }
        }

        private void Bell() => guest.RaiseMsix(0);
    }
}

internal sealed class Silence : IEventSink
{
    public bool Enabled => false;
    public TimeSpan Elapsed => TimeSpan.Zero;

    public void Write(string kind, Action<System.Text.Json.Utf8JsonWriter>? fields = null)
    {
    }

    public void Notice(string kind, string sentence, Action<System.Text.Json.Utf8JsonWriter>? fields = null) => Console.Error.WriteLine(sentence);
}
