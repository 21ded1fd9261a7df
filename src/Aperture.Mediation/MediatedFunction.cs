using System.Buffers.Binary;
using Aperture.Pci;
using Aperture.Pci.Capabilities;
using Aperture.Pci.Registers;

namespace Aperture.Mediation;

/// <summary>The configuration space of a mediated function, by its description. On no bus: the guest's monitor has that.</summary>
internal sealed class MediatedFunction : PciFunction
{
    private const byte IntA = 1;

    private readonly MsixCapability? _msix;
    private readonly MsixDescription _place;

    /// <summary>Makes it in its reset state.</summary>
    /// <exception cref="ApertureException">The description contradicts itself or the PCI specification.</exception>
    public MediatedFunction(string name, FunctionDescription description)
        : base(name, description.Identity, ConfigSpace.ConventionalSize)
    {
        foreach (BarDescription bar in description.Bars)
        {
            AddBar(bar.Index, bar.Kind, bar.Size);
        }

        if (description.Msix is { } msix)
        {
            _place = msix;
            _msix = new MsixCapability(msix.Vectors, msix.Bar, msix.TableOffset, msix.Bar, msix.PendingOffset);
            AddCapability(_msix);
        }

        foreach (CapabilityBytes bytes in description.Capabilities)
        {
            AddCapability(new FixedCapability(bytes));
        }

        if (description.HasIntx)
        {
            SetInterruptPin(IntA);
        }
    }

    /// <summary>Reads registers.</summary>
    public void Read(ulong offset, Span<byte> destination)
    {
        while (!destination.IsEmpty)
        {
            int size = Math.Min(Pieces.Natural(offset, destination.Length), 4);
            Pieces.Store(ReadConfig((int)offset, size), destination[..size]);
            offset += (ulong)size;
            destination = destination[size..];
        }
    }

    /// <summary>Writes registers; true when bus master enable may have changed.</summary>
    public bool Write(ulong offset, ReadOnlySpan<byte> source)
    {
        ConfigChange change = ConfigChange.None;
        while (!source.IsEmpty)
        {
            int size = Math.Min(Pieces.Natural(offset, source.Length), 4);
            change |= WriteConfig((int)offset, size, (uint)Pieces.Load(source[..size]));
            offset += (ulong)size;
            source = source[size..];
        }

        return (change & ConfigChange.BusMaster) != 0;
    }

    /// <summary>The MSI-X structure that has the byte, and where in it; null when none has.</summary>
    public IAccessHandler? FindMsix(int bar, ulong offset, out ulong within)
    {
        within = offset - _place.TableOffset;
        if (_msix is null || bar != _place.Bar)
        {
            return null;
        }

        if (within < (ulong)_msix.TableSize)
        {
            return _msix.Table;
        }

        within = offset - _place.PendingOffset;
        return within < (ulong)_msix.PendingSize ? _msix.PendingBits : null;
    }

    private sealed class FixedCapability(CapabilityBytes bytes) : StandardCapability(bytes.Id, 2 + bytes.Bytes.Count)
    {
        protected override void Define()
        {
            for (int i = 0; i < bytes.Bytes.Count; i++)
            {
                Config.Define(Offset + 2 + i, 1, bytes.Bytes[i]);
            }
        }
    }
}

/// <summary>Accesses as a bus makes them: 1, 2, 4 or 8 bytes at a multiple of their number, little-endian.</summary>
internal static class Pieces
{
    /// <summary>The longest such access at the start of <paramref name="length"/> bytes.</summary>
    public static int Natural(ulong offset, int length)
    {
        int size = 8;
        while (size > length || (offset & (ulong)(size - 1)) != 0)
        {
            size >>= 1;
        }

        return size;
    }

    /// <summary>Bytes as a number.</summary>
    public static ulong Load(ReadOnlySpan<byte> bytes) => bytes.Length switch
    {
        1 => bytes[0],
        2 => BinaryPrimitives.ReadUInt16LittleEndian(bytes),
        4 => BinaryPrimitives.ReadUInt32LittleEndian(bytes),
        _ => BinaryPrimitives.ReadUInt64LittleEndian(bytes),
    };

    /// <summary>The low bytes of a number.</summary>
    public static void Store(ulong value, Span<byte> bytes)
    {
        for (int i = 0; i < bytes.Length; i++)
        {
            bytes[i] = (byte)(value >> (8 * i));
        }
    }
}
