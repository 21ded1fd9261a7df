using Aperture.Memory;
using Aperture.Pci;

namespace Aperture.Mediation.Tests;

/// <summary>A mediator that does what a test says: BAR 0 trapped, BAR 2 mediated but for its last page, all guests over one memory of zeros.</summary>
internal sealed class FakeMediator : IMediator
{
    public const ulong Window = 16 * GrantBook.Page;

    public RamBlock Memory { get; } = RamBlock.Create("fake", Window, shared: true);

    public Func<IGuest, Fault, FaultAnswer> OnFault { get; set; } = static (_, _) => FaultAnswer.Refuse;

    public Action<IGuest, string> OnCall { get; set; } = static (_, _) => { };

    public List<string> Log { get; } = [];

    public FunctionDescription Description { get; set; } = new(
        new PciIdentity(0x1234, 0x5678, 0x010203, 4),
        [
            new BarDescription(0, BarKind.Memory32, GrantBook.Page),
            new BarDescription(2, BarKind.Memory64, Window) { Parts = [new BarPart(0, Window - GrantBook.Page, BarPartKind.Mediated)] },
        ]);

    public string Name => "fake";

    public Grant Identity(ulong offset, ulong size, GrantProtection protection = GrantProtection.ReadWrite, bool shared = false) =>
        new(2, offset, size, Memory, offset, protection, shared);

    public FunctionDescription Describe(string guest) => Description;

    public IMediatorSession Open(IGuest guest)
    {
        Session session = new(this, guest);
        session.Note("open");
        return session;
    }

    public void Dispose() => Memory.Dispose();

    private sealed class Session(FakeMediator owner, IGuest guest) : IMediatorSession
    {
        public void Note(string what)
        {
            lock (owner.Log)
            {
                owner.Log.Add(what);
            }

            owner.OnCall(guest, what);
        }

        public ulong Read(int bar, ulong offset, int size)
        {
            Note($"read {bar} 0x{offset:x} {size}");
            return 0x8877665544332211;
        }

        public void Write(int bar, ulong offset, int size, ulong value) => Note($"write {bar} 0x{offset:x} {size} 0x{value:x}");

        public FaultAnswer Fault(in Fault fault)
        {
            Note($"fault 0x{fault.Offset:x} {(fault.IsWrite ? "write" : "read")}");
            return owner.OnFault(guest, fault);
        }

        public void BusMasterChanged(bool enabled) => Note($"master {enabled}");

        public void Reset() => Note("reset");

        public void Dispose() => Note("end");
    }
}
