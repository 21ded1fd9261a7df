using Aperture.Memory;

namespace Aperture.Board.Pc;

/// <summary>
/// A0000-FFFFF: the VGA window, which has no RAM, and the 13 pieces that the PAM registers route to RAM, to the firmware's last 128 KiB, or to nothing.
/// Keeps one region a piece and replaces only those whose routing changed.
/// </summary>
internal sealed class LegacyRouting : IMapPart
{
    private static readonly AddressRange VgaWindow = new(new GuestAddress(0xA_0000), 0x2_0000);
    private readonly RamBlock _ram;
    private readonly RamBlock? _firmware;
    private readonly IPcChipset _chipset;
    private readonly Region?[] _regions = new Region?[PamRegisters.Segments];
    private readonly PamAttribute?[] _applied = new PamAttribute?[PamRegisters.Segments];

    /// <summary>Makes the routing by <paramref name="chipset"/>'s registers; the pieces are placed with the first update.</summary>
    public LegacyRouting(RamBlock ram, RamBlock? firmware, IPcChipset chipset)
    {
        _ram = ram;
        _firmware = firmware;
        _chipset = chipset;
    }

    /// <summary>Hides RAM behind the VGA window; once.</summary>
    public static void PlaceVgaWindow(AddressChange change) =>
        change.Place(Region.Hole("vga-window", VgaWindow.Size), VgaWindow.Start, RegionPriority.Legacy);

    /// <inheritdoc/>
    public void Update(MapChange change)
    {
        for (int segment = 0; segment < PamRegisters.Segments; segment++)
        {
            PamAttribute wanted = _chipset.Pam(segment);
            if (_applied[segment] == wanted)
            {
                continue;
            }

            if (_regions[segment] is { } old)
            {
                change.Memory.Remove(old);
            }

            AddressRange range = PamRegisters.Range(segment);
            _regions[segment] = Make(range, wanted);
            _applied[segment] = wanted;
            if (_regions[segment] is { } region)
            {
                change.Memory.Place(region, range.Start, RegionPriority.Legacy);
            }
        }
    }

    // Null means that RAM shows as it is.
    private Region? Make(AddressRange range, PamAttribute attribute)
    {
        string name = $"pam-{range.Start.Value:x}";
        IAccessHandler? writes = attribute.WriteEnable ? new ShadowWrites(_ram, range.Start.Value) : null;
        if (attribute.ReadEnable)
        {
            return attribute.WriteEnable ? null : Region.ForRom(name, _ram, range.Start.Value, range.Size);
        }

        // The chip decodes the last 128 KiB of the flash a second time below 1 MiB.
        ulong below = GuestRam.HighBase.Value - ((1UL << 20) - range.Start.Value);
        ulong firmwareStart = GuestRam.HighBase.Value - (_firmware?.Size ?? 0);
        if (_firmware is not null && range.Start.Value >= 0xE_0000 && below >= firmwareStart)
        {
            return Region.ForRom(name, _firmware, below - firmwareStart, range.Size, writes);
        }

        return writes is null ? Region.Hole(name, range.Size) : Region.Trapped(name, range.Size, writes);
    }

    /// <summary>Write-only RAM: how firmware copies itself into the RAM below its own ROM.</summary>
    private sealed class ShadowWrites(RamBlock ram, ulong start) : IAccessHandler
    {
        public AccessResult Read(ulong offset, int size, out ulong value)
        {
            value = AccessWidth.AllOnes(size);
            return AccessResult.Unclaimed;
        }

        public AccessResult Write(ulong offset, int size, ulong value)
        {
            Span<byte> bytes = stackalloc byte[8];
            System.Buffers.Binary.BinaryPrimitives.WriteUInt64LittleEndian(bytes, value);
            ram.Write(start + offset, bytes[..size]);
            return AccessResult.Ok;
        }
    }
}
