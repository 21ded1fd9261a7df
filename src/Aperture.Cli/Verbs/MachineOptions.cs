using Aperture.Cli.CommandLine;
using Aperture.Machine.Configuration;

namespace Aperture.Cli.Verbs;

/// <summary>The options that describe a virtual machine, spelled as Cloud Hypervisor spells them where it has the option.</summary>
internal static class MachineOptions
{
    /// <summary>All of them, in the order help shows them.</summary>
    public static IReadOnlyList<OptionSpec> All { get; } =
    [
        new("--kernel", "FILE", "boot this bzImage or PVH ELF, directly or through --firmware"),
        new("--initramfs", "FILE", "initial RAM file system for --kernel"),
        new("--cmdline", "TEXT", "command line for --kernel"),
        new("--firmware", "FILE[,vars=FILE[,template=FILE][,snapshot=on]]",
            "image of up to 16 MiB, mapped to end at 4 GiB, started at the reset vector; with --kernel it starts that; vars= is UEFI's variable flash"),
        new("--boot", "menu=on[,wait=MS]", "the firmware offers its boot menu (default: it does not)"),
        new("--cpus", "boot=N", "processors, 1 to 64 (default 1)"),
        new("--memory", "size=SIZE[,hugepages=on]", "RAM, such as 512M or 4G (default 512M)"),
        new("--machine", "q35|i440fx", "the board (default q35); i440fx has conventional PCI without ECAM and PCI Express ports"),
        new("--device", "test,id=ID[,addr=DD.F|,port=PORT][,barN=KIND:SIZE[:trap|ram]...][,rom=SIZE|FILE][,ids=VVVV:DDDD][,msi=N][,msix=N][,bars=barN@ADDRESS,...][,policy=lock|follow|stop]",
            "a PCI test device; KIND is io, mem32, mem32p, mem64 or mem64p; bars= (or fixed-bars=) pins BARs to addresses, policy= says what a guest that moves one gets", Repeatable: true),
        new("--device", "vfio,host=DDDD:BB:DD.F[,id=ID][,addr=DD.F|,port=PORT][,bars=all=host|barN=host|barN@ADDRESS,...][,policy=lock|follow|stop][,rom=off|FILE][,resize=barN@SIZE][,x_nv_gpudirect_clique=N]",
            "a device of this host (docs/passthrough.md), also named by sysfs=PATH or fd=N; bars=all=host gives its BARs the addresses they have on the host", Repeatable: true),
        new("--vfio", "auto|container|iommufd", "how devices are opened (default auto: iommufd where the kernel has it)"),
        new("--device", "disk,file=PATH[,id=ID][,readonly=on][,snapshot=on][,serial=TEXT][,bootindex=N][,addr=DD.F|,port=PORT]",
            "a virtio disk over a raw image", Repeatable: true),
        new("--device", "vga[,addr=DD.F][,rom=FILE|none][,text=FILE]", "a standard VGA adapter; text= writes what its screen says in text modes", Repeatable: true),
        new("--device", "debug-exit[,port=0xf4]", "a port whose write of v ends the VM with exit code (v << 1) | 1", Repeatable: true),
        new("--device", "debugcon,file=PATH[,port=0x402]", "a port whose bytes go to a file: what firmware prints for debugging", Repeatable: true),
        new("--root-port", "id=ID[,addr=DD.F][,memory=SIZE|BASE:SIZE][,prefetchable=SIZE|BASE:SIZE][,io=SIZE][,buses=N]",
            "a PCI Express root port, with room kept for devices that are attached later", Repeatable: true),
        new("--switch", "id=ID,port=PORT[,downstream=N][,memory=SIZE][,prefetchable=SIZE][,io=SIZE][,buses=N]",
            "a switch below PORT, with downstream ports ID.0, ID.1, ... and the room that each keeps", Repeatable: true),
        new("--mmio-window", "BASE:SIZE", "the host bridge's 64-bit window (default: chosen)"),
        new("--mmio32-window", "BASE:SIZE", "the host bridge's 32-bit window (default: chosen)"),
        new("--phys-bits", "N", "the guest's physical address bits (default: the host's)"),
        new("--mirror", "all|A,B,...", "give the guest these host functions at their host addresses, with the bridges above them; all is for plan only"),
        new("--host", "FILE", "plan only: the machine that --mirror and vfio devices mean: a captured tree, an archive of one, or an lspci dump (default: this machine)"),
        new("--serial", "tty|stdio|null|file=PATH", "where the first serial port goes (default tty)"),
        new("--screenshot", "FILE", "write the display's picture at the end of the run, as PNG"),
        new("--events", "FILE", "write events as JSON lines"),
        new("--control", "PATH", "listen there for aperture verify, attach and detach (docs/run.md)"),
        new("--accel", "auto|kvm|lab", "auto uses KVM if it can run the guest, else the lab, and says so"),
        new(ConfigFile.Option, "FILE", "a configuration file in JSON (docs/vm-config.schema.json); other options override it or add to its lists"),
        new("--no-reboot", null, "end when the guest resets"),
    ];
}
