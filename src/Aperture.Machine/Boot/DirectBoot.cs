using Aperture.Devices;
using Aperture.Firmware;
using Aperture.Kvm;
using Aperture.Machine.Board;
using Aperture.Machine.Configuration;
using Aperture.Memory;
using Aperture.Placement;

namespace Aperture.Machine.Boot;

/// <summary>
/// Starts a kernel without firmware: programs the chipset and the PCI tree, puts the tables, the kernel and its initramfs into RAM. Can be
/// repeated, for a reset.
/// </summary>
internal sealed class DirectBoot : IDisposable
{
    // Where firmware keeps its tables on a PC, and where a guest finds the RSDP by scanning (ACPI 6.5, 5.2.5.1).
    private static readonly GuestAddress TablesAddress = new(0xE_0000);

    // What KVM keeps for itself below the local APIC's neighbours; see KvmVmOptions.ReservedPages.
    private const ulong KvmPages = 0x4000;

    private readonly MachineConfig _config;
    private readonly PlacementMap _map;
    private readonly KernelImage _kernel;
    private readonly BootFile? _initramfs;

    /// <summary>Opens the files of <paramref name="config"/>.</summary>
    /// <exception cref="ApertureException">A file cannot be read or is not what it should be.</exception>
    public DirectBoot(MachineConfig config, PlacementMap map)
    {
        _config = config;
        _map = map;
        _kernel = KernelImage.Open(config.Kernel!);
        try
        {
            _initramfs = config.Initramfs is { } path ? BootFile.Open(path, "initramfs") : null;
        }
        catch
        {
            _kernel.Dispose();
            throw;
        }
    }

    /// <summary>Brings board and RAM to where the kernel starts; with the vCPUs stopped and the board reset.</summary>
    /// <returns>How the boot processor enters the kernel.</returns>
    public BootState Prepare(Q35Board board, GuestRam ram)
    {
        PciProgrammer.Program(board, _map, ram);
        PlatformDescription platform = Describe(board, ram);
        AcpiTableSet tables = AcpiTables.Build(platform, TablesAddress);
        MemoryMapEntry kvm = new(new AddressRange(new KvmVmOptions().ReservedPages, KvmPages), MemoryKind.Reserved);
        BootPlan plan = LinuxBoot.Plan(_kernel, new BootRequest
        {
            MemoryMap = MemoryMap.For(platform, tables.Area, [kvm]),
            RsdpAddress = tables.RsdpAddress,
            CommandLine = _config.CommandLine,
            Initramfs = _initramfs,
        });
        foreach (AcpiTable table in tables.Tables)
        {
            ram.Block.Write(table.Address.Value, table.Bytes.Span);
        }

        foreach (BootSegment segment in plan.Segments)
        {
            Load(segment, ram);
        }

        return State(plan.Entry);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _kernel.Dispose();
        _initramfs?.Dispose();
    }

    private PlatformDescription Describe(Q35Board board, GuestRam ram)
    {
        HostBridgePlacement bridge = _map.HostBridges[0];
        PciExBar ecam = board.Hub.PciExBar;
        List<AddressRange> memory = [ram.LowRange];
        if (!ram.HighRange.IsEmpty)
        {
            memory.Add(ram.HighRange);
        }

        return new PlatformDescription
        {
            ApicIds = [.. Enumerable.Range(0, _config.Cpus).Select(i => (uint)i)],
            Ram = memory,
            Ecam = ecam.Enabled ? new EcamRegion(ecam.Range, (ushort)bridge.Segment, 0, ecam.LastBus) : null,
            HostBridge = new HostBridgeWindows(bridge.FirstBus, ecam.LastBus, HostBridgeWindows.StandardIo, bridge.Mmio32Windows, bridge.Mmio64Windows),
            InterruptRoutes = InterruptRouter.Routes,
            SoftOffSleepType = AcpiPmBlock.SoftOffSleepType,
        };
    }

    private static BootState State(BootEntry entry) => entry.Mode == BootMode.Long64
        ? BootState.Linux64(entry.InstructionPointer, entry.BootInformation, entry.PageTables, entry.Gdt.Start)
        : BootState.Pvh(entry.InstructionPointer, entry.BootInformation, entry.Gdt.Start);

    private static void Load(BootSegment segment, GuestRam ram)
    {
        const int Chunk = 1 << 20;
        for (ulong done = 0; done < segment.Length;)
        {
            int now = (int)Math.Min(Chunk, segment.Length - done);
            segment.Read(done, Slice(ram, segment.Address + done, now));
            done += (ulong)now;
        }

        // On a reset the RAM is not fresh, so the tail has to be cleared.
        for (ulong done = 0; done < segment.ZeroTail;)
        {
            int now = (int)Math.Min(Chunk, segment.ZeroTail - done);
            Slice(ram, segment.Address + segment.Length + done, now).Clear();
            done += (ulong)now;
        }
    }

    private static Span<byte> Slice(GuestRam ram, GuestAddress address, int length)
    {
        ulong offset = ram.LowRange.Contains(address) ? address.Value : address - GuestRam.HighBase + ram.Low.Size;
        return ram.Block.AsSpan(offset, length);
    }
}
