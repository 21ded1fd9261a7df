using System.Text;

namespace Aperture.Firmware.Boot.X86;

/// <summary>Decides where a kernel, its initramfs, its command line and the boot structures go.</summary>
public static class LinuxBoot
{
    /// <summary>The 64-bit entry's distance from the start of the protected-mode part (boot.rst, "64-bit Boot Protocol").</summary>
    internal const uint Entry64Offset = 0x200;

    // What a kernel may touch before it makes its own tables: everything it is loaded with lies below 4 GiB.
    private const int MappedGib = 4;

    /// <summary>The longest command line for a PVH kernel, which states none: Linux's COMMAND_LINE_SIZE less the terminating zero.</summary>
    private const uint PvhCommandLineSize = 2047;

    /// <summary>
    /// Plans the boot of <paramref name="kernel"/>: the 64-bit Linux protocol for a bzImage, PVH or Multiboot for an ELF file. Everything is placed below
    /// 4 GiB in what <see cref="BootRequest.MemoryMap"/> calls RAM: the small structures below 640 KiB, the kernel where it asks to be or at
    /// the lowest place above, the initramfs as high as the kernel and the RAM allow.
    /// </summary>
    /// <exception cref="ApertureException">Something does not fit: one sentence with both sizes.</exception>
    public static BootPlan Plan(KernelImage kernel, BootRequest request)
    {
        ArgumentNullException.ThrowIfNull(request);
        return kernel switch
        {
            BzImage image => PlanBzImage(image, request),
            ElfImage image => PlanPvh(image, request),
            MultibootImage image => PlanMultiboot(image, request),
            { Architecture: KernelArchitecture.Arm64 } => throw new ApertureException(
                $"kernel {kernel.File.Path} is for arm64, and this board's processors are x86; use an x86-64 kernel, or --machine virt"),
            _ => throw new ArgumentException("unknown kind of kernel", nameof(kernel)),
        };
    }

    private static BootPlan PlanBzImage(BzImage kernel, BootRequest request)
    {
        var area = new LoadArea(request.MemoryMap);
        byte[] commandLine = CommandLine(request.CommandLine, kernel.CommandLineSize);
        AddressRange gdt = TakeFixed(area, BootLayout.Gdt, BootGdt.Size, "descriptor table");
        AddressRange zeroPage = TakeFixed(area, BootLayout.Information, BootParams.Size, "zero page");
        AddressRange tables = TakeFixed(area, BootLayout.PageTables, (ulong)IdentityPageTables.Size(MappedGib, gigabytePages: false), "page tables");
        AddressRange line = TakeFixed(area, BootLayout.CommandLine, (ulong)commandLine.Length, "command line");
        AddressRange run = TakeKernel(area, kernel);
        AddressRange initramfs = TakeInitramfs(area, request, kernel.InitrdAddressMax);

        List<BootSegment> segments =
        [
            new("descriptor table", gdt.Start, Gdt(longMode: true)),
            new("zero page", zeroPage.Start, BootParams.Build(kernel, run.Start, line.Start, initramfs, request.RsdpAddress, request.MemoryMap)),
            new("page tables", tables.Start, PageTables(tables.Start)),
            new("command line", line.Start, commandLine),
            new("kernel", run.Start, kernel.File, kernel.PayloadOffset, kernel.PayloadLength),
        ];
        AddInitramfs(segments, request, initramfs);
        return new BootPlan(
            segments,
            new BootEntry(
                BootMode.Long64,
                run.Start + Entry64Offset,
                zeroPage.Start,
                tables.Start,
                gdt,
                BootGdt.CodeSelector,
                BootGdt.DataSelector,
                BootGdt.TaskSelector));
    }

    private static BootPlan PlanPvh(ElfImage kernel, BootRequest request)
    {
        int size = PvhStartInfo.SizeFor(request.Initramfs is not null, request.MemoryMap.Count);
        byte[] line = CommandLine(request.CommandLine, PvhCommandLineSize);
        ProtectedStart start = new(BootMode.Pvh32, kernel.PvhEntry, kernel.Segments, line, "start info", size);
        return PlanProtected(
            kernel, request, start, (at, line, initramfs) => PvhStartInfo.Build(at, line, initramfs, request.RsdpAddress, request.MemoryMap));
    }

    // The first word of the command line is the kernel's name, as every Multiboot loader has it and kernels expect it.
    private static BootPlan PlanMultiboot(MultibootImage kernel, BootRequest request)
    {
        int size = MultibootInformation.SizeFor(request.Initramfs is not null, request.MemoryMap.Count);
        byte[] line = CommandLine($"{Path.GetFileName(kernel.File.Path)} {request.CommandLine}".TrimEnd(' '), uint.MaxValue);
        ProtectedStart start = new(BootMode.Multiboot32, kernel.Entry, kernel.Segments, line, "Multiboot information", size);
        return PlanProtected(
            kernel, request, start, (at, line, initramfs) => MultibootInformation.Build(at, line, initramfs, request.MemoryMap));
    }

    /// <summary>What the two 32-bit protocols say of a kernel.</summary>
    /// <param name="Mode">The protocol.</param>
    /// <param name="Entry">Where it is entered.</param>
    /// <param name="Segments">What is loaded.</param>
    /// <param name="CommandLine">With its zero.</param>
    /// <param name="Structure">What messages call the structure that the kernel gets.</param>
    /// <param name="StructureSize">Its bytes.</param>
    private sealed record ProtectedStart(
        BootMode Mode, GuestAddress Entry, IReadOnlyList<ElfSegment> Segments, byte[] CommandLine, string Structure, int StructureSize);

    /// <summary>
    /// A start in 32-bit mode with one structure, which <paramref name="build"/> makes when it knows where itself, the command line and the initramfs are.
    /// </summary>
    private static BootPlan PlanProtected(
        KernelImage kernel, BootRequest request, ProtectedStart start, Func<GuestAddress, GuestAddress, AddressRange, byte[]> build)
    {
        var area = new LoadArea(request.MemoryMap);

        // The kernel's place is fixed, so it goes first and the rest around it.
        foreach (ElfSegment part in start.Segments)
        {
            if (!area.TryTake(part.Range))
            {
                throw new ApertureException(
                    $"kernel {kernel.File.Path} must be at {part.Range}, which is not all RAM (the guest has {Megabytes(area.RamSize)} below 4 GiB)");
            }
        }

        AddressRange gdt = TakeLow(area, BootGdt.Size, "descriptor table");
        AddressRange info = TakeLow(area, (ulong)start.StructureSize, start.Structure);
        AddressRange line = TakeLow(area, (ulong)start.CommandLine.Length, "command line");
        AddressRange initramfs = TakeInitramfs(area, request, new GuestAddress(uint.MaxValue));

        List<BootSegment> segments =
        [
            new("descriptor table", gdt.Start, Gdt(longMode: false)),
            new(start.Structure, info.Start, build(info.Start, line.Start, initramfs)),
            new("command line", line.Start, start.CommandLine),
        ];
        foreach (ElfSegment part in start.Segments)
        {
            segments.Add(new BootSegment("kernel", part.Address, kernel.File, part.FileOffset, part.FileSize, part.MemorySize - part.FileSize));
        }

        AddInitramfs(segments, request, initramfs);
        return new BootPlan(
            segments,
            new BootEntry(
                start.Mode,
                start.Entry,
                info.Start,
                GuestAddress.Zero,
                gdt,
                BootGdt.CodeSelector,
                BootGdt.DataSelector,
                BootGdt.TaskSelector));
    }

    /// <summary>
    /// The kernel's memory from its load address on. A relocatable kernel loaded below its preferred address moves itself up there, so lower places
    /// gain nothing.
    /// </summary>
    private static AddressRange TakeKernel(LoadArea area, BzImage kernel)
    {
        ulong size = Math.Max(kernel.InitSize, kernel.PayloadLength);
        GuestAddress lowest = kernel.PreferredAddress > BootLayout.FirstMiB ? kernel.PreferredAddress : BootLayout.FirstMiB;
        ulong alignment = Math.Max(kernel.Alignment, BootLayout.PageSize);
        AddressRange? found = null;
        if (lowest.Value <= uint.MaxValue)
        {
            if (kernel.IsRelocatable)
            {
                found = area.TakeLowest(size, alignment, lowest);
            }
            else if (AddressRange.Fits(kernel.PreferredAddress, size) && new AddressRange(kernel.PreferredAddress, size) is var exact && area.TryTake(exact))
            {
                found = exact;
            }
        }

        return found ?? throw new ApertureException(
            $"kernel {kernel.File.Path} needs {Megabytes(size)} of RAM from {kernel.PreferredAddress} on, but the guest has {Megabytes(area.RamSize)} below 4 "
                + $"GiB; give it more memory");
    }

    private static AddressRange TakeInitramfs(LoadArea area, BootRequest request, GuestAddress highest)
    {
        if (request.Initramfs is not { } file)
        {
            return default;
        }

        return area.TakeHighest(file.Length, BootLayout.PageSize, BootLayout.FirstMiB, highest)
            ?? throw new ApertureException(
                $"initramfs {file.Path} is too large for the guest's RAM: it has {Megabytes(file.Length)}, and "
                    + $"{Megabytes(area.LargestFree(BootLayout.FirstMiB, highest))} are free beside the kernel; give the guest more memory");
    }

    private static void AddInitramfs(List<BootSegment> segments, BootRequest request, AddressRange at)
    {
        if (request.Initramfs is { } file)
        {
            segments.Add(new BootSegment("initramfs", at.Start, file, 0, at.Size));
        }
    }

    private static AddressRange TakeFixed(LoadArea area, GuestAddress at, ulong size, string what)
    {
        var range = new AddressRange(at, size);
        return area.TryTake(range) ? range : throw NoRoom(area, what);
    }

    private static AddressRange TakeLow(LoadArea area, ulong size, string what) =>
        area.TakeLowest(size, BootLayout.PageSize, BootLayout.Gdt) ?? throw NoRoom(area, what);

    private static ApertureException NoRoom(LoadArea area, string what) =>
        new($"there is no RAM for the {what} below 640K: the guest has {Megabytes(area.RamSize)} below 4 GiB; give it more memory");

    /// <summary>The line's bytes and a zero.</summary>
    private static byte[] CommandLine(string text, uint longest)
    {
        if (text.Contains('\0'))
        {
            throw new ApertureException("the kernel command line has a zero character in it");
        }

        int length = Encoding.UTF8.GetByteCount(text);
        ulong limit = Math.Min(longest, BootLayout.CommandLineRoom - 1);
        if ((ulong)length > limit)
        {
            throw new ApertureException($"the kernel command line is too long: it has {length} bytes, the kernel takes {limit}");
        }

        byte[] bytes = new byte[length + 1];
        Encoding.UTF8.GetBytes(text, bytes);
        return bytes;
    }

    /// <summary>A size for a sentence: whole MiB rounded up, or bytes when it is less than one.</summary>
    private static string Megabytes(ulong bytes) =>
        bytes < 1 << 20 ? $"{bytes} bytes" : ByteSize.Format((bytes + (1 << 20) - 1) >> 20 << 20);

    private static byte[] Gdt(bool longMode)
    {
        byte[] table = new byte[BootGdt.Size];
        BootGdt.Write(table, longMode);
        return table;
    }

    private static byte[] PageTables(GuestAddress at)
    {
        byte[] tables = new byte[IdentityPageTables.Size(MappedGib, gigabytePages: false)];
        IdentityPageTables.Write(tables, at, MappedGib);
        return tables;
    }
}
