using Aperture.Devices.TestDevice;
using Aperture.Memory;
using Aperture.Pci;

namespace Aperture.Mediation.Mediators;

/// <summary>
/// Aperture's PCI test device (docs/test-device.md), one for each guest: registers and MSI-X in BAR 0, memory that can be mapped in BAR 2.
/// </summary>
public sealed class TestMediator : IMediator
{
    /// <summary>Bytes of BAR 0.</summary>
    public const ulong RegisterBytes = 16 << 10;

    /// <summary>MSI-X vectors.</summary>
    public const int Vectors = 8;

    private const ulong LargestMemory = 64UL << 30;

    private readonly ulong _memoryBytes;
    private readonly Lock _gate = new();

    // By guest's place, which has one guest at a time.
    private readonly Dictionary<string, RamBlock> _memory = [];

    /// <summary>Makes the mediator.</summary>
    /// <param name="memoryBytes">Bytes of BAR 2: a power of two from 4 KiB to 64 GiB.</param>
    /// <exception cref="ApertureException">Another size.</exception>
    public TestMediator(ulong memoryBytes = 1 << 20)
    {
        if (!ulong.IsPow2(memoryBytes) || memoryBytes is < GrantBook.Page or > LargestMemory)
        {
            throw new ApertureException($"the test mediator cannot have {ByteSize.Format(memoryBytes)} of memory; give ram= a power of two from 4K to 64G");
        }

        _memoryBytes = memoryBytes;
    }

    /// <inheritdoc/>
    public string Name => "test";

    /// <inheritdoc/>
    public FunctionDescription Describe(string guest)
    {
        RamBlock memory = RamBlock.Create($"test-{Environment.ProcessId}", _memoryBytes, shared: true);
        lock (_gate)
        {
            if (!_memory.TryAdd(guest, memory))
            {
                memory.Dispose();
                throw new ApertureException($"{guest} is named twice; give each guest a socket of its own");
            }
        }

        TestDeviceSpec spec = Spec(guest);
        TestMsixPlace msix = spec.MsixPlace!.Value;
        return new FunctionDescription(
            new PciIdentity(TestFunction.TestVendor, TestFunction.TestDevice, 0xFF0000, 1, TestFunction.TestVendor, TestFunction.TestDevice),
            [
                new BarDescription(0, BarKind.Memory32, RegisterBytes),
                new BarDescription(2, BarKind.Memory64Prefetchable, _memoryBytes)
                {
                    Parts = [new BarPart(0, _memoryBytes, BarPartKind.Fixed)],
                    Memory = memory,
                },
            ])
        {
            Msix = new MsixDescription(Vectors, msix.Bar, msix.TableOffset, msix.PendingOffset),
        };
    }

    /// <inheritdoc/>
    public IMediatorSession Open(IGuest guest)
    {
        ArgumentNullException.ThrowIfNull(guest);
        RamBlock memory;
        lock (_gate)
        {
            memory = _memory[guest.Name];
        }

        // What the guest before wrote is none of this one's business.
        for (ulong at = 0; at < _memoryBytes; at += 1 << 20)
        {
            memory.AsSpan(at, (int)Math.Min(1 << 20, _memoryBytes - at)).Clear();
        }

        return new Session(Spec(guest.Name), guest);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (RamBlock memory in _memory.Values)
        {
            memory.Dispose();
        }
    }

    private TestDeviceSpec Spec(string guest) => new()
    {
        Id = guest,
        Bars =
        [
            new TestBarSpec(0, BarKind.Memory32, RegisterBytes, TestBacking.Trap),
            new TestBarSpec(2, BarKind.Memory64Prefetchable, _memoryBytes, TestBacking.Ram),
        ],
        MsixVectors = Vectors,
    };

    private sealed class Session : IMediatorSession, ITestInterrupts
    {
        private readonly IGuest _guest;
        private readonly TestDeviceCore _core;

        public Session(TestDeviceSpec spec, IGuest guest)
        {
            _guest = guest;
            _core = new TestDeviceCore(spec, guest.Memory, this);
        }

        public bool MsiEnabled => false;

        public bool MsixEnabled => _guest.IsMsixEnabled;

        public void FireMsi(int vector)
        {
        }

        public void FireMsix(int vector) => _guest.RaiseMsix(vector);

        public void SetIntx(bool asserted) => _guest.SetIntx(asserted);

        public ulong Read(int bar, ulong offset, int size) =>
            _core.Handler(bar)!.Read(offset, size, out ulong value) == AccessResult.Ok ? value : ulong.MaxValue;

        public void Write(int bar, ulong offset, int size, ulong value) => _core.Handler(bar)!.Write(offset, size, value);

        public void Reset() => _core.Reset();

        public void Dispose()
        {
        }
    }
}
