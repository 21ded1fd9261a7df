using System.Text;
using Aperture.Firmware.Memory;

namespace Aperture.Firmware.Boot.Arm64;

/// <summary>What a direct boot of an arm64 kernel is asked to do beside its kernel.</summary>
public sealed record Arm64BootRequest
{
    /// <summary>Guest RAM, by rising address.</summary>
    public required IReadOnlyList<AddressRange> Ram { get; init; }

    /// <summary>The initial RAM file system, or null.</summary>
    public BootFile? Initramfs { get; init; }

    /// <summary>The device tree once it is known where the initial RAM file system is, which is empty without one.</summary>
    public required Func<AddressRange, byte[]> DeviceTree { get; init; }
}

/// <summary>Everything that must be in guest memory, and how an arm64 kernel is entered.</summary>
/// <param name="Segments">What to copy; segments do not overlap, and all lie in RAM.</param>
/// <param name="Entry">The first instruction.</param>
/// <param name="DeviceTree">What X0 holds.</param>
public sealed record Arm64BootPlan(IReadOnlyList<BootSegment> Segments, GuestAddress Entry, GuestAddress DeviceTree);

/// <summary>
/// Decides where an arm64 kernel, its initial RAM file system and its device tree go (Documentation/arch/arm64/booting.rst). All are below 4 GiB: the kernel
/// reaches an initial RAM file system only within 32 GiB of itself, and old ones need the tree near, too.
/// </summary>
public static class Arm64Boot
{
    /// <summary>The kernel's base is a multiple of this; the tree does not share such a block with anything else.</summary>
    public const ulong BlockSize = 2UL << 20;

    /// <summary>The longest command line that the kernel keeps, without its zero (COMMAND_LINE_SIZE of arch/arm64).</summary>
    public const int LongestCommandLine = 2047;

    private const ulong PageSize = 4096;

    /// <summary>Plans the boot of <paramref name="kernel"/>.</summary>
    /// <exception cref="ApertureException">It is not for arm64, or something does not fit: one sentence with both sizes.</exception>
    public static Arm64BootPlan Plan(KernelImage kernel, Arm64BootRequest request)
    {
        ArgumentNullException.ThrowIfNull(kernel);
        ArgumentNullException.ThrowIfNull(request);
        if (kernel is not Arm64Image image)
        {
            throw new ApertureException(
                $"kernel {kernel.File.Path} is for x86, and the virt board's processors are arm64; use an arm64 Image, or --machine q35");
        }

        LoadArea area = new(request.Ram.Select(ram => new MemoryMapEntry(ram, MemoryKind.Ram)));
        AddressRange run = TakeKernel(area, image, request.Ram);
        AddressRange initramfs = TakeInitramfs(area, request, run);
        byte[] tree = request.DeviceTree(initramfs);
        AddressRange treeAt = area.TakeLowest(((ulong)tree.Length + BlockSize - 1) & ~(BlockSize - 1), BlockSize, GuestAddress.Zero)
            ?? throw new ApertureException($"there is no RAM left for the device tree ({Amount((ulong)tree.Length)}); give the guest more memory");
        List<BootSegment> segments = [image.At(run.Start), new("device tree", treeAt.Start, tree)];
        if (request.Initramfs is { } file)
        {
            segments.Add(new BootSegment("initramfs", initramfs.Start, file, 0, file.Length));
        }

        return new Arm64BootPlan(segments, run.Start, treeAt.Start);
    }

    /// <summary>Checks that the kernel keeps all of <paramref name="commandLine"/>.</summary>
    /// <exception cref="ApertureException">It is too long, or has a zero in it.</exception>
    public static void CheckCommandLine(string commandLine)
    {
        ArgumentNullException.ThrowIfNull(commandLine);
        int length = Encoding.UTF8.GetByteCount(commandLine);
        if (commandLine.Contains('\0', StringComparison.Ordinal))
        {
            throw new ApertureException("the kernel command line has a zero character in it");
        }

        if (length > LongestCommandLine)
        {
            throw new ApertureException($"the kernel command line is too long: it has {length} bytes, the kernel takes {LongestCommandLine}");
        }
    }

    // The lowest place is right for both kinds: one that may be anywhere, and one that gives up the memory below itself.
    private static AddressRange TakeKernel(LoadArea area, Arm64Image kernel, IReadOnlyList<AddressRange> ram)
    {
        ulong offset = kernel.TextOffset;
        foreach (AddressRange range in ram)
        {
            // The memory before the image is the kernel's as well, up to the multiple of 2 MiB.
            GuestAddress start = range.Start.AlignUp(BlockSize);
            if (area.TryTake(new AddressRange(start, offset + kernel.MemorySize)))
            {
                return new AddressRange(start + offset, kernel.MemorySize);
            }
        }

        throw new ApertureException(
            $"kernel {kernel.File.Path} needs {Amount(offset + kernel.MemorySize)} of RAM, but the guest has {Amount(area.RamSize)} below 4 GiB; give it more "
                + "memory");
    }

    private static AddressRange TakeInitramfs(LoadArea area, Arm64BootRequest request, AddressRange kernel)
    {
        if (request.Initramfs is not { } file)
        {
            return default;
        }

        // Behind the kernel, so that what the kernel gives up below itself is never it.
        return area.TakeLowest(file.Length, PageSize, kernel.Last + 1) ?? throw new ApertureException(
            $"initramfs {file.Path} is too large for the guest's RAM: it has {Amount(file.Length)}, and "
                + $"{Amount(area.LargestFree(kernel.Last + 1, new GuestAddress(uint.MaxValue)))} are free beside the kernel; give the guest more memory");
    }

    // Whole MiB rounded up, or bytes when it is less than one.
    private static string Amount(ulong bytes) => bytes < 1 << 20 ? $"{bytes} bytes" : ByteSize.Format((bytes + (1 << 20) - 1) >> 20 << 20);
}
