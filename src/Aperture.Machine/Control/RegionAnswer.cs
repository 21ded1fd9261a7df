using System.Text.Json;
using Aperture.Board;
using Aperture.Machine.Verification;
using Aperture.Memory;

namespace Aperture.Machine.Control;

/// <summary>The regions of a machine with what was dispatched to them, as the control channel and the last event tell it.</summary>
internal static class RegionAnswer
{
    /// <summary>
    /// Writes <c>regions</c>: every run of both views, by rising address, and without an address what left the map and was accessed; and <c>unclaimed</c>. A
    /// region with several runs has its counts in each.
    /// </summary>
    public static void WriteRegions(this Utf8JsonWriter json, PciBoard board, IReadOnlyList<FoundRange>? slots)
    {
        json.WriteStartArray("regions");
        Write(json, "memory", board.Memory, slots);
        Write(json, "ports", board.Ports, []);
        json.WriteEndArray();
        json.WriteStartObject("unclaimed");
        Write(json, "memory", board.Unclaimed);
        Write(json, "ports", board.UnclaimedPorts);
        json.WriteEndObject();
    }

    /// <summary>Writes <c>regions</c>: the counts of every region that was accessed, by its name.</summary>
    public static void WriteCounts(this Utf8JsonWriter json, PciBoard board)
    {
        json.WriteStartArray("regions");
        foreach ((string name, AddressSpace space) in (ReadOnlySpan<(string, AddressSpace)>)[("memory", board.Memory), ("ports", board.Ports)])
        {
            foreach (RegionCount count in space.Counts.Where(c => c.Reads + c.Writes > 0))
            {
                json.WriteStartObject();
                json.WriteString("space", name);
                json.WriteString("region", count.Name);
                Write(json, count.Reads, count.Writes);
                json.WriteEndObject();
            }
        }

        json.WriteEndArray();
    }

    /// <summary>Writes <c>granted</c>: memory whose pages come at a touch, what is in place there, and what happened to it.</summary>
    public static void WriteGranted(this Utf8JsonWriter json, IReadOnlyList<FoundGranted> all)
    {
        json.WriteStartArray("granted");
        foreach (FoundGranted granted in all)
        {
            json.WriteStartObject();
            json.WriteRange(granted.Range);
            json.WriteString("region", granted.Owner);
            json.WriteNumber("touches", granted.Counts.Faults);
            json.WriteNumber("grants", granted.Counts.Grants);
            json.WriteNumber("revocations", granted.Counts.Revocations);
            json.WriteNumber("refusals", granted.Counts.Refusals);
            json.WriteStartArray("pages");
            foreach (FoundGrant grant in granted.Grants)
            {
                json.WriteStartObject();
                json.WriteRange(grant.Range);
                if (grant.Source is { } source)
                {
                    json.WriteNumber("source", source);
                    json.WriteString("source_offset", $"0x{grant.SourceOffset:x}");
                }

                json.WriteString("access", grant.Source is null ? "refused" : grant.IsWritable ? "read-write" : "read");
                json.WriteEndObject();
            }

            json.WriteEndArray();
            json.WriteEndObject();
        }

        json.WriteEndArray();
    }

    private static void Write(Utf8JsonWriter json, string name, AddressSpace space, IReadOnlyList<FoundRange>? slots)
    {
        HashSet<string> present = new(StringComparer.Ordinal);
        foreach (ref readonly FlatRange run in space.View.Ranges)
        {
            present.Add(run.Region.Name);
            json.WriteStartObject();
            json.WriteString("space", name);
            json.WriteString("region", run.Region.Name);
            json.WriteRange(run.Range);
            json.WriteString("kind", Kind(run.Region));
            json.WriteString("backing", Backing(run, slots));
            Write(json, run.Region.Reads, run.Region.Writes);
            json.WriteEndObject();
        }

        foreach (RegionCount gone in space.Counts.Where(c => c.Reads + c.Writes > 0 && !present.Contains(c.Name)))
        {
            json.WriteStartObject();
            json.WriteString("space", name);
            json.WriteString("region", gone.Name);
            Write(json, gone.Reads, gone.Writes);
            json.WriteEndObject();
        }
    }

    private static void Write(Utf8JsonWriter json, string space, UnclaimedLog log)
    {
        json.WriteStartObject(space);
        Write(json, log.Reads, log.Writes);
        json.WriteEndObject();
    }

    private static void Write(Utf8JsonWriter json, ulong reads, ulong writes)
    {
        json.WriteNumber("reads", reads);
        json.WriteNumber("writes", writes);
    }

    private static string Kind(Region region) => region.Kind switch
    {
        RegionKind.Ram => region.IsReadOnly ? "rom" : "ram",
        RegionKind.Device => "device",
        _ => "trapped",
    };

    // Whether the guest gets there by itself.
    private static string Backing(in FlatRange run, IReadOnlyList<FoundRange>? slots)
    {
        if (run.Region.Block is null)
        {
            return "handler";
        }

        if (slots is null)
        {
            return "hypervisor";
        }

        ulong mapped = 0;
        foreach (FoundRange slot in slots)
        {
            mapped += run.Range.Intersect(slot.Range).Size;
        }

        return mapped == run.Range.Size ? run.Region.Block.Faulting is null ? "slot" : "slot, as granted" : mapped == 0 ? "traps" : "slot, edges trap";
    }
}
