using Aperture.Board;
using Aperture.Board.Virt;
using Aperture.Configuration;
using Aperture.Configuration.Kinds;
using Aperture.Hypervisor;
using Aperture.Hypervisor.Arm64;
using Aperture.Machine.Boot;
using Aperture.Placement.Map;
using Aperture.Placement.Platforms;

namespace Aperture.Machine.Kinds;

/// <summary>The virt machine of arm64.</summary>
internal sealed class VirtMachine : MachineKind
{
    private VirtMachine()
    {
    }

    /// <summary>The one there is.</summary>
    public static VirtMachine Instance { get; } = new();

    /// <summary>Firmware is the first flash bank, and starts at its beginning without a device tree in X0.</summary>
    public override EntryState FirmwareEntry { get; } = new BootState(VirtMap.FlashCode.Start, GuestAddress.Zero);

    /// <summary>The interrupt controller of a machine with <paramref name="cpus"/> processors.</summary>
    /// <exception cref="ApertureException">There is no place for so many.</exception>
    public static GicDescription GicOf(int cpus) => new(
        VirtMap.Distributor.Start,
        [.. VirtTelling.Redistributors(cpus).Select(run => new RedistributorRegion(run.Start, (int)(run.Size / RedistributorRegion.Stride)))],
        VirtMap.Its.Start,
        VirtMap.SpiCount);

    /// <inheritdoc/>
    public override void Check(MachineConfig config)
    {
        ArgumentNullException.ThrowIfNull(config);
        if (config.Firmware is not null)
        {
            throw new ApertureException("--machine virt starts kernels directly and has no firmware here; give --kernel alone, or use --machine q35.");
        }

        if (config.Devices.FirstOrDefault(d => d is VgaSpec or DebugExitSpec or DebugConsoleSpec or PcTestDeviceSpec) is { } pc)
        {
            throw new ApertureException($"--machine virt has no {pc.Kind.Word}, which is a PC's; leave it out, or use --machine q35.");
        }
    }

    /// <inheritdoc/>
    public override KernelStart Start(MachineConfig config, PlacementMap map, KernelFiles files, HypervisorLimits limits)
    {
        ArgumentNullException.ThrowIfNull(limits);
        Arm64Guest guest = limits.Arm64 ?? throw new ArgumentException("the limits of another architecture's guests", nameof(limits));
        if (!guest.HasIts && config.Devices.OfType<AssignedSpec>().FirstOrDefault() is { } device)
        {
            throw new ApertureException(
                $"--device {device.Kind.Word} needs an interrupt translation service for its messages, which this host's KVM does not make (its interrupt "
                    + "controller has no ITS); leave the device out, or use another host.",
                ApertureException.HostFailure);
        }

        ulong[] affinities = [.. Enumerable.Range(0, config.Cpus).Select(index => (ulong)Affinity.Of(index).Value)];
        return new Arm64Start(config, map, files, new VirtProcessors(affinities, guest.HasIts, guest.HasPmu));
    }

    /// <inheritdoc/>
    public override MachineBoard Build(BoardParts parts, MachineSite site)
    {
        ArgumentNullException.ThrowIfNull(site);
        VirtBoard board = site.Owned.Own(new VirtBoard(parts, new VirtParts(site.Ram, site.Vm.Line, site.Clock) { Serial = site.Console }));
        return new MachineBoard(board.Board, board.Serial, board.PressPowerButton);
    }
}
