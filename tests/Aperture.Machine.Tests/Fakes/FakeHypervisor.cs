using Aperture.Hypervisor;
using Aperture.Hypervisor.X86;
using Aperture.Memory;
using Aperture.TestKit.Devices;
using Aperture.TestKit.Parts.Boards;

namespace Aperture.Machine.Tests.Fakes;

/// <summary>
/// A hypervisor without a processor: its guest is a program of the test's, run on one thread, which makes accesses as a vCPU would. With
/// <see cref="Kind.Whole"/> it has slots and vCPUs of its own, as KVM; with <see cref="Kind.DeviceModel"/> neither, as a device model for Xen, and the test
/// starts the guest.
/// </summary>
internal sealed class FakeHypervisor(FakeHypervisor.Kind kind, Action<IVcpuExits, int> guest) : IHypervisor
{
    public enum Kind
    {
        Whole,
        DeviceModel,
    }

    public HypervisorLimits Limits { get; init; } = new(
        46, [new KeptRange(new AddressRange(new GuestAddress(0xFEFF_C000), 0x4000), "the pages that the fake keeps")])
    {
        HasManagementMode = kind == Kind.Whole,
    };

    /// <summary>The VM, after it was made.</summary>
    public FakeVm? Vm { get; private set; }

    /// <summary>What making a VM fails with.</summary>
    public string? Refusal { get; init; }

    public bool IsDisposed { get; private set; }

    public IVm CreateVm() => Refusal is null ? Vm = new FakeVm(kind, guest) : throw new ApertureException(Refusal, ApertureException.HostFailure);

    public void Dispose()
    {
        Assert.True(Vm is null or { IsDisposed: true }, "the VM ends before its hypervisor");
        IsDisposed = true;
    }
}

/// <summary>The VM of a <see cref="FakeHypervisor"/>.</summary>
internal sealed class FakeVm(FakeHypervisor.Kind kind, Action<IVcpuExits, int> guest) : IVm, IExitSource, IExits, IExitRanges
{
    private readonly Dictionary<uint, FakeLine> _lines = [];
    private readonly List<IVcpuExits> _answers = [];
    private FakeVcpus? _vcpus;

    public FakeSlots Table { get; } = new();

    /// <summary>What system management mode sees.</summary>
    public FakeSlots ManagementTable { get; } = new();

    public FakeFollower Memory { get; } = new();

    public FakeFollower Ports { get; } = new();

    public bool IsDisposed { get; private set; }

    public bool ExitsEnded { get; private set; }

    public FakeVcpus OwnVcpus => _vcpus!;

    IMemorySlotBackend? IVm.Slots => kind == FakeHypervisor.Kind.Whole ? Table : null;

    IMemorySlotBackend? IVm.ManagementSlots => kind == FakeHypervisor.Kind.Whole ? ManagementTable : null;

    IExitRanges? IVm.ExitRanges => kind == FakeHypervisor.Kind.DeviceModel ? this : null;

    IFlatViewListener IExitRanges.Memory => Memory;

    IFlatViewListener IExitRanges.Ports => Ports;

    public IGuestInterrupts? EventInterrupts => null;

    public IIoEvents? IoEvents => null;

    public IPostedWrites? PostedWrites => null;

    public IDeviceFiles? DeviceFiles => null;

    public long DroppedMessages => 0;

    public IVcpus? Vcpus => _vcpus;

    public long Count => 0;

    public IReadOnlyDictionary<string, ulong> HypervisorCounts { get; } = new Dictionary<string, ulong>();

    public int ControllerResets { get; private set; }

    /// <summary>The inputs of interrupt controllers that the machine has.</summary>
    public IReadOnlyCollection<FakeLine> Lines => _lines.Values;

    public IInterruptLine Line(uint gsi) => _lines.TryGetValue(gsi, out FakeLine? line) ? line : _lines[gsi] = new FakeLine();

    public void Send(Bdf requester, MsiMessage message)
    {
    }

    public void ResetInterruptControllers() => ControllerResets++;

    public IExitSource PrepareExits() => this;

    public IExits Begin(Func<int, IVcpuExits> answer)
    {
        _answers.Add(answer(0));
        _vcpus = kind == FakeHypervisor.Kind.Whole ? new FakeVcpus(_answers[0], guest) : null;
        return this;
    }

    /// <summary>Where the vCPUs are another's: that one starts the guest, and waits for its end.</summary>
    public void RunGuest()
    {
        Thread thread = new(() => guest(_answers[0], 1));
        thread.Start();
        thread.Join();
    }

    // Of the exits first, of the VM second.
    public void Dispose()
    {
        IsDisposed = ExitsEnded;
        ExitsEnded = true;
    }
}

/// <summary>Records what a space shows.</summary>
internal sealed class FakeFollower : IFlatViewListener
{
    private volatile FlatView _view = FlatView.Empty;

    /// <summary>The name of what is told to exit at <paramref name="address"/>; null where nothing is.</summary>
    public string? At(ulong address)
    {
        FlatView view = _view;
        int index = view.IndexOf(new GuestAddress(address));
        return index < 0 ? null : view.Ranges[index].Region.Name;
    }

    public void Commit(FlatView old, FlatView next, FlatViewDiff diff) => _view = next;
}

/// <summary>One vCPU that runs a program of the test's, once after each reset.</summary>
internal sealed class FakeVcpus(IVcpuExits answers, Action<IVcpuExits, int> guest) : IVcpus
{
    private Thread? _thread;
    private int _resets;

    /// <summary>What was asked of the vCPUs, in order; a stop's request only the first time.</summary>
    public List<string> Calls { get; } = [];

    public void Reset(EntryState entry)
    {
        Calls.Add(entry switch
        {
            Hypervisor.Arm64.BootState boot => $"reset to {boot.ProgramCounter} with {boot.DeviceTree}",
            BootState { Flat: { } flat } => $"reset to {flat.InstructionPointer}",
            _ => "reset",
        });
        _resets++;
    }

    public void Resume()
    {
        Calls.Add("resume");
        _thread = new Thread(() => guest(answers, _resets));
        _thread.Start();
    }

    public void RaiseSmi(bool all) => Calls.Add(all ? "SMI at all" : "SMI");

    public bool RequestStop() => true;

    public void Stop()
    {
        _thread!.Join();
        Calls.Add("stop");
    }

    public IDisposable StopVcpus() => new Held();

    private sealed class Held : IDisposable
    {
        public void Dispose()
        {
        }
    }
}
