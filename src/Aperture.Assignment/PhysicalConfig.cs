using System.Buffers.Binary;
using Aperture.Linux;
using Aperture.Pci.Capabilities;
using Aperture.Pci.Registers;

namespace Aperture.Assignment;

/// <summary>
/// The device's own configuration registers, and the order in which its command and power registers follow the guest's: what lets the device decode is
/// written before the guest's map changes, what stops it after. Never throws; a device that is gone reads all-ones and is reported once.
/// Reads may be made by any thread; writes with the hierarchy's lock, or while the function is not ready by the one thread that settles it.
/// </summary>
internal sealed class PhysicalConfig
{
    // The registers that every function has (PCI Local Bus 3.0, section 6.1).
    private const ulong HeaderSize = 64;

    private readonly IVfioDevice _device;
    private readonly int _powerRegister;
    private readonly ulong _size;
    private PciCommand _command;
    private bool _asleep;
    private int _gone;

    /// <summary>Takes over the device.</summary>
    /// <param name="device">The device.</param>
    /// <param name="powerRegister">Offset of the power management control register; 0 when it has none.</param>
    public PhysicalConfig(IVfioDevice device, int powerRegister)
    {
        _device = device;
        _powerRegister = powerRegister;
        _size = Math.Min(device.Regions.FirstOrDefault(r => r.Index == VfioRegionIndex.Config)?.Size ?? 0, ConfigSpace.ExtendedSize);
    }

    /// <summary>Told once, with the errno, when the device stops answering.</summary>
    public Action<int>? Gone { get; set; }

    /// <summary>True once the device stopped answering; of one that may come back (<see cref="IVfioDevice.IsAway"/>) as long as it is away.</summary>
    public bool IsGone => Volatile.Read(ref _gone) != 0 || _device.IsAway;

    /// <summary>
    /// Reads the whole configuration space: 4096 or 256 bytes. What a device does not have of the latter is zero: drivers of mediated devices may have a few
    /// bytes less, but none less than the header.
    /// </summary>
    /// <exception cref="ApertureException">The device does not answer.</exception>
    public static byte[] Snapshot(IVfioDevice device)
    {
        VfioRegion? region = device.Regions.FirstOrDefault(r => r.Index == VfioRegionIndex.Config);
        byte[] config = new byte[region?.Size >= ConfigSpace.ExtendedSize ? ConfigSpace.ExtendedSize : ConfigSpace.ConventionalSize];
        int errno = region is null || region.Size < HeaderSize
            ? Errno.ENXIO
            : device.Read(VfioRegionIndex.Config, 0, config.AsSpan(0, (int)Math.Min(region.Size, (ulong)config.Length)));
        return errno == 0
            ? config
            : throw new ApertureException($"{device.Name}: its configuration space cannot be read: {Errno.Name(errno)}", ApertureException.HostFailure);
    }

    /// <summary>Reads 1, 2 or 4 bytes; all-ones when the device does not answer.</summary>
    public uint Read(int offset, int size)
    {
        Span<byte> bytes = stackalloc byte[4];
        bytes.Fill(0xFF);
        int there = There(offset, size);
        bytes[there..].Clear();
        if (there > 0)
        {
            ReadRegion(VfioRegionIndex.Config, (ulong)offset, bytes[..there]);
        }

        return BinaryPrimitives.ReadUInt32LittleEndian(bytes) & (uint)AccessWidth.AllOnes(size);
    }

    /// <summary>Writes 1, 2 or 4 bytes.</summary>
    public void Write(int offset, int size, uint value)
    {
        Span<byte> bytes = stackalloc byte[4];
        BinaryPrimitives.WriteUInt32LittleEndian(bytes, value);
        if (There(offset, size) is > 0 and int there)
        {
            WriteRegion(VfioRegionIndex.Config, (ulong)offset, bytes[..there]);
        }
    }

    /// <summary>Reads from a region; all-ones when the device does not answer.</summary>
    public void ReadRegion(int region, ulong offset, Span<byte> destination)
    {
        int errno = 0;
        try
        {
            errno = IsGone ? Errno.ENODEV : _device.Read(region, offset, destination);
        }
        catch (ObjectDisposedException)
        {
            // A vCPU whose access was under way when the function was taken from it.
            errno = Errno.ENODEV;
        }

        if (errno != 0)
        {
            destination.Fill(0xFF);
            Failed(errno);
        }
    }

    /// <summary>Writes to a region; dropped when the device does not answer.</summary>
    public void WriteRegion(int region, ulong offset, ReadOnlySpan<byte> source)
    {
        int errno = 0;
        try
        {
            errno = IsGone ? Errno.ENODEV : _device.Write(region, offset, source);
        }
        catch (ObjectDisposedException)
        {
            errno = Errno.ENODEV;
        }

        if (errno != 0)
        {
            Failed(errno);
        }
    }

    /// <summary>The device is given back: from here on it is not touched, and its absence is no news.</summary>
    public void Release() => Interlocked.Exchange(ref _gone, 1);

    /// <summary>Before the map follows: enables what <paramref name="wanted"/> has more than now. Nothing is taken away.</summary>
    public void Give(PciCommand wanted) => WriteCommand(_command | (wanted & ~PciCommand.InterruptDisable));

    /// <summary>After the map followed: the device has exactly what the guest gives it.</summary>
    public void Take(PciCommand wanted) => WriteCommand(wanted);

    /// <summary>Wakes the device, or puts it to sleep once the map followed; the kernel waits until it has done so, 10 ms or more.</summary>
    public void SetPower(bool awake)
    {
        if (awake == _asleep)
        {
            WritePower(!awake);
        }
    }

    /// <summary>Everything off and D0, whatever this class believes: before and after a reset of the device. May wait as <see cref="SetPower"/> does.</summary>
    public void Quiesce()
    {
        _command = PciCommand.None;
        Write(PciRegisters.Command, 2, 0);
        WritePower(false);
    }

    // How many of these bytes the device has.
    private int There(int offset, int size) => (int)Math.Clamp((long)_size - offset, 0, size);

    // An access failed: finds out whether the device is gone, and says so once.
    private void Failed(int errno)
    {
        if (IsGone)
        {
            return;
        }

        Span<byte> id = stackalloc byte[4];
        int again = _device.Read(VfioRegionIndex.Config, PciRegisters.VendorId, id);
        bool absent = again != 0 || BinaryPrimitives.ReadUInt32LittleEndian(id) == uint.MaxValue;
        if (absent && Interlocked.Exchange(ref _gone, 1) == 0)
        {
            Gone?.Invoke(again == 0 ? errno : again);
        }
    }

    private void WriteCommand(PciCommand value)
    {
        if (value != _command)
        {
            _command = value;
            Write(PciRegisters.Command, 2, (uint)value);
        }
    }

    private void WritePower(bool sleep)
    {
        _asleep = sleep;
        if (_powerRegister != 0)
        {
            // Only the state is ours to set; PME stays off (PCI Bus Power Management 1.2, section 3.2.4).
            Write(_powerRegister, 2, sleep ? (uint)PowerState.D3Hot : 0);
        }
    }
}
