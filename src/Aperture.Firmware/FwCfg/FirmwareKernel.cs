using System.Buffers.Binary;
using System.Text;
using Aperture.Firmware.Boot;
using Aperture.Firmware.Boot.X86;

namespace Aperture.Firmware.FwCfg;

/// <summary>
/// A kernel that firmware starts: OVMF reads its parts by key, SeaBIOS has an option ROM do it (<see cref="LinuxBootRom"/>). The addresses are for the option
/// ROM, which puts each part where they say; the setup part is handed out with the header's boot loader fields filled in
/// (Documentation/arch/x86/boot.rst, "The Real-Mode Kernel Header").
/// </summary>
public sealed class FirmwareKernel
{
    /// <summary>Where the real-mode part goes, with its heap up to <see cref="CommandLineAddress"/>.</summary>
    public static GuestAddress SetupAddress { get; } = new(0x1_0000);

    /// <summary>Where the command line goes.</summary>
    public static GuestAddress CommandLineAddress { get; } = new(0x2_0000);

    /// <summary>Where the protected-mode part goes.</summary>
    public static GuestAddress KernelAddress { get; } = new(0x10_0000);

    // Top of low RAM that firmware uses for itself: its ACPI tables and its own data.
    private const ulong FirmwareReserve = 1 << 20;
    private const byte UndefinedLoader = 0xFF;
    private const byte CanUseHeap = 0x80;

    private readonly BzImage _kernel;
    private readonly BootFile? _initrd;
    private readonly byte[] _commandLine;

    /// <summary>Puts the parts together. The files stay the caller's and must stay open as long as the machine runs.</summary>
    /// <exception cref="ApertureException">The kernel is no bzImage, or the command line is too long or holds a zero.</exception>
    public FirmwareKernel(KernelImage kernel, BootFile? initrd, string commandLine)
    {
        ArgumentNullException.ThrowIfNull(kernel);
        ArgumentNullException.ThrowIfNull(commandLine);
        _kernel = kernel as BzImage
            ?? throw new ApertureException(
                $"kernel {kernel.File.Path} is an ELF file, which firmware cannot start; give the bzImage, or boot without --firmware");
        _commandLine = Encoding.UTF8.GetBytes(commandLine + '\0');
        if (_commandLine.AsSpan().IndexOf((byte)0) != _commandLine.Length - 1)
        {
            throw new ApertureException("the kernel command line contains a zero byte");
        }

        if ((uint)_commandLine.Length - 1 > _kernel.CommandLineSize)
        {
            throw new ApertureException(
                $"the kernel command line has {_commandLine.Length - 1} bytes; kernel {kernel.File.Path} takes {_kernel.CommandLineSize}");
        }

        _initrd = initrd;
    }

    /// <summary>Adds the items to <paramref name="keys"/>.</summary>
    /// <param name="keys">Where to.</param>
    /// <param name="lowRamEnd">The end of the RAM that starts at address 0.</param>
    /// <exception cref="ApertureException">The initramfs does not fit.</exception>
    internal void AddTo(Dictionary<ushort, IFirmwareItem> keys, GuestAddress lowRamEnd)
    {
        GuestAddress initrdAt = PlaceInitrd(lowRamEnd);
        ulong setupSize = _kernel.PayloadOffset;
        ulong rest = _kernel.File.Length - setupSize;
        keys[FirmwareKey.SetupAddress] = BytesItem.U32((uint)SetupAddress.Value);
        keys[FirmwareKey.SetupSize] = BytesItem.U32((uint)setupSize);
        keys[FirmwareKey.SetupData] = new BytesItem(Setup(initrdAt));
        keys[FirmwareKey.KernelAddress] = BytesItem.U32((uint)KernelAddress.Value);
        keys[FirmwareKey.KernelEntry] = BytesItem.U32((uint)KernelAddress.Value);
        keys[FirmwareKey.KernelSize] = BytesItem.U32((uint)rest);
        keys[FirmwareKey.KernelData] = new FileItem(_kernel.File, setupSize, rest);
        keys[FirmwareKey.CommandLineAddress] = BytesItem.U32((uint)CommandLineAddress.Value);
        keys[FirmwareKey.CommandLineSize] = BytesItem.U32((uint)_commandLine.Length);
        keys[FirmwareKey.CommandLineData] = new BytesItem(_commandLine);
        keys[FirmwareKey.InitrdAddress] = BytesItem.U32((uint)initrdAt.Value);
        keys[FirmwareKey.InitrdSize] = BytesItem.U32((uint)(_initrd?.Length ?? 0));
        if (_initrd is not null)
        {
            keys[FirmwareKey.InitrdData] = new FileItem(_initrd);
        }
    }

    private GuestAddress PlaceInitrd(GuestAddress lowRamEnd)
    {
        if (_initrd is null)
        {
            return GuestAddress.Zero;
        }

        ulong ramEnd = Math.Min(lowRamEnd.Value, 1UL << 32);
        ulong end = Math.Min(ramEnd > FirmwareReserve ? ramEnd - FirmwareReserve : 0, _kernel.InitrdAddressMax.Value + 1);
        ulong lowest = _kernel.PreferredAddress.Value + _kernel.InitSize;
        if (end < lowest || end - lowest < _initrd.Length + 4096)
        {
            throw new ApertureException(
                $"initramfs {_initrd.Path} of {ByteSize.Format(_initrd.Length)} does not fit between the kernel's end at 0x{lowest:x} and 0x{end:x}; give the "
                    + $"guest more memory");
        }

        return new GuestAddress(end - _initrd.Length).AlignDown(4096);
    }

    private byte[] Setup(GuestAddress initrdAt)
    {
        byte[] setup = new byte[_kernel.PayloadOffset];
        _kernel.File.Read(0, setup);
        uint room = (uint)(CommandLineAddress - SetupAddress);
        setup[0x210] = UndefinedLoader;
        setup[0x211] |= CanUseHeap;
        BinaryPrimitives.WriteUInt32LittleEndian(setup.AsSpan(0x218), (uint)initrdAt.Value);
        BinaryPrimitives.WriteUInt32LittleEndian(setup.AsSpan(0x21C), (uint)(_initrd?.Length ?? 0));
        BinaryPrimitives.WriteUInt16LittleEndian(setup.AsSpan(0x224), (ushort)(room - 0x200));
        BinaryPrimitives.WriteUInt32LittleEndian(setup.AsSpan(0x228), (uint)CommandLineAddress.Value);
        return setup;
    }
}
