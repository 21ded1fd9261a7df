using Aperture.Board;
using Aperture.Board.Virt;
using Aperture.Configuration;
using Aperture.Firmware.Boot;
using Aperture.Firmware.Boot.Arm64;
using Aperture.Firmware.Fdt;
using Aperture.Firmware.Platform;
using Aperture.Hypervisor.Arm64;
using Aperture.Memory;
using Aperture.Placement.Map;

namespace Aperture.Machine.Boot;

/// <summary>Starts an arm64 kernel: programs the PCI tree, puts the kernel, its initramfs and the device tree into RAM.</summary>
internal sealed class Arm64Start : KernelStart
{
    private const int SeedLength = 32;

    private readonly PlacementMap _map;
    private readonly Arm64BootPlan _plan;

    /// <summary>Decides where <paramref name="files"/>, which must stay open, and the device tree go.</summary>
    /// <exception cref="ApertureException">Something does not fit, or the kernel is not arm64's.</exception>
    public Arm64Start(MachineConfig config, PlacementMap map, KernelFiles files, VirtProcessors processors)
    {
        _map = map;
        Arm64Boot.CheckCommandLine(config.CommandLine);
        VirtDescription machine = VirtTelling.Planned(map, processors);
        _plan = Arm64Boot.Plan(files.Kernel, new Arm64BootRequest
        {
            Ram = machine.Ram,
            Initramfs = files.Initramfs,
            DeviceTree = initramfs => FdtWriter.Write(VirtTree.Build(machine, new TreeChoices
            {
                CommandLine = config.CommandLine,
                Initramfs = initramfs,

                // Everything is programmed before the kernel runs.
                KeepsPci = true,
                RandomSeed = Seed(),
            })),
        });
    }

    /// <inheritdoc/>
    public override BootState Prepare(PciBoard board, GuestRam ram)
    {
        PciProgrammer.Program(board, _map);
        foreach (BootSegment segment in _plan.Segments)
        {
            Load(segment, ram);
        }

        return new BootState(_plan.Entry, _plan.DeviceTree);
    }

    // Without one a kernel has to wait until it has gathered as much from its devices, of which a guest has few.
    private static byte[] Seed()
    {
        byte[] seed = new byte[SeedLength];
        using FileStream random = File.OpenRead("/dev/urandom");
        random.ReadExactly(seed);
        return seed;
    }
}
