using System.Globalization;
using System.Text.Json;
using Aperture.Machine.Assigned;
using Aperture.Machine.Hotplug;
using Aperture.Machine.Verification;
using Aperture.Pci;

namespace Aperture.Machine.Control;

/// <summary>The commands of the control channel (docs/run.md).</summary>
internal sealed class ControlCommands(Supervision supervision, MachineRequests requests, PassedDescriptors passed, Action pressPowerButton)
    : IControlCommands
{
    private const int LongestWait = 3600;

    /// <inheritdoc/>
    public void Execute(ControlRequest request, Utf8JsonWriter answer, CancellationToken ended)
    {
        switch (request.Command)
        {
            case "verify":
                Comparison result = supervision.Verify("asked");
                answer.WriteBoolean("pins_held", result.HoldsPins);
                answer.WriteDifferences(result.Differences);
                break;
            case "map":
                MapFindings found = supervision.Find();
                WriteMap(found, answer);
                answer.WriteRegions(supervision.Board, found.Slots);
                break;
            case "device-add":
                Add(request, answer);
                break;
            case "device-remove":
                Remove(request, answer, ended);
                break;
            case "power-button":
                pressPowerButton();
                break;
            case "quit":
                requests.Stop("the control channel asked for the end");
                break;
            default:
                throw new ApertureException($"'{request.Command}' is not a command; write verify, map, device-add, device-remove, power-button or quit.");
        }
    }

    private void Add(ControlRequest request, Utf8JsonWriter answer)
    {
        bool several = request.Lists.TryGetValue("devices", out IReadOnlyList<string>? devices) && devices.Count > 0;
        if (several && request.Members.ContainsKey("device"))
        {
            throw new ApertureException("device-add has \"device\" or \"devices\", which come into one slot together; give one of them.");
        }

        Dictionary<int, int> numbers = request.Descriptors.ToDictionary(each => each.Key, each => each.Value.Number);
        using IDisposable offered = passed.Offer([.. request.Descriptors.Values]);
        IReadOnlyList<PciFunction> added = supervision.Hotplug.Attach(several ? devices! : [request.Require("device")], numbers);
        if (several)
        {
            answer.WriteStartArray("functions");
            foreach (PciFunction function in added)
            {
                answer.WriteStartObject();
                WritePlace(function, answer);
                answer.WriteEndObject();
            }

            answer.WriteEndArray();
        }
        else
        {
            WritePlace(added[0], answer);
        }

        if (added[0].Bus?.Parent is { } port && PortCapacity.Shortage(added, port) is { } note)
        {
            answer.WriteString("note", note);
        }
    }

    private static void WritePlace(PciFunction function, Utf8JsonWriter answer)
    {
        answer.WriteString("function", function.Name);
        answer.WriteString("bdf", function.Bdf.ToString());
    }

    private void Remove(ControlRequest request, Utf8JsonWriter answer, CancellationToken ended)
    {
        string id = request.Require("id");
        int wait = Wait(request);
        Task<IReadOnlyList<string>> gone = supervision.Hotplug.Detach(id, request.Has("surprise"));
        try
        {
            bool removed = gone.Wait(TimeSpan.FromSeconds(wait), ended);
            answer.WriteBoolean("removed", removed);
            answer.WriteStartArray("functions");
            foreach (string name in removed ? gone.Result : [])
            {
                answer.WriteStringValue(name);
            }

            answer.WriteEndArray();
        }
        catch (AggregateException failure) when (failure.InnerException is ApertureException sentence)
        {
            throw sentence;
        }
    }

    private static int Wait(ControlRequest request)
    {
        string text = request.Members.GetValueOrDefault("wait", "0");
        return int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out int seconds) && seconds <= LongestWait
            ? seconds
            : throw new ApertureException($"\"wait\" is a number of seconds from 0 to {LongestWait}.");
    }

    private static void WriteMap(MapFindings found, Utf8JsonWriter json)
    {
        json.WriteStartArray("bars");
        foreach (FoundFunction function in found.Functions)
        {
            foreach (FoundBar bar in function.Bars)
            {
                json.WriteStartObject();
                json.WriteString("function", function.Name);
                json.WriteString("bdf", function.Place.ToString());
                json.WriteString("bar", BarKinds.BarName(bar.Index));
                json.WriteAddress("address", bar.Address);
                json.WriteString("size", $"0x{bar.Size:x}");
                json.WriteBoolean("decodes", bar.DecodedAt is not null);
                json.WriteEndObject();
            }
        }

        json.WriteEndArray();
        WriteRanges("memory", found.View, json);
        WriteRanges("slots", found.Slots ?? [], json);
        WriteServers(found.Servers, json);
        json.WriteGranted(found.Granted);
    }

    private static void WriteServers(IReadOnlyList<ServerMappings> servers, Utf8JsonWriter json)
    {
        json.WriteStartArray("servers");
        foreach (ServerMappings server in servers)
        {
            json.WriteStartObject();
            json.WriteString("device", server.Device);
            json.WriteStartArray("reaches");
            foreach (IommuMapping mapping in server.Mappings)
            {
                json.WriteStartObject();
                json.WriteRange(mapping.Range);
                json.WriteString("region", mapping.Owner);
                json.WriteBoolean("mapped", mapping.IsMapped);
                if (mapping.Reason is { } reason)
                {
                    json.WriteString("reason", reason);
                }

                json.WriteEndObject();
            }

            json.WriteEndArray();
            json.WriteEndObject();
        }

        json.WriteEndArray();
    }

    private static void WriteRanges(string name, IReadOnlyList<FoundRange> ranges, Utf8JsonWriter json)
    {
        json.WriteStartArray(name);
        foreach (FoundRange range in ranges)
        {
            json.WriteStartObject();
            json.WriteRange(range.Range);
            json.WriteString("region", range.Owner);
            json.WriteBoolean("ram", range.IsRam);
            json.WriteBoolean("readonly", range.IsReadOnly);
            json.WriteEndObject();
        }

        json.WriteEndArray();
    }
}
