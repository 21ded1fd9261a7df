using System.Text.Json;
using Aperture.Pci;
using Aperture.Placement.Map;

namespace Aperture.Emission.Tests;

/// <summary>QEMU as it is started by the script, after its firmware has run: what a guest would see.</summary>
public class QemuTests(ITestOutputHelper output)
{
    [Fact]
    public async Task Qemu_has_the_planned_buses_places_and_BARs_after_its_firmware_ran()
    {
        Assert.SkipUnless(QemuProcess.IsInstalled, "qemu-system-x86_64 is not installed");
        EmissionPlan plan = Samples.ForQemu();
        using TemporaryFolder folder = new();
        string script = folder.Executable("script", Emitter.Emit("qemu", plan));
        await using QemuProcess qemu = await QemuProcess.StartAsync(script, folder.Path, TestContext.Current.CancellationToken);

        JsonElement buses = await qemu.PciAfterFirmwareAsync(TestContext.Current.CancellationToken);
        foreach (HostBridgePlacement host in plan.Map.HostBridges)
        {
            JsonElement root = buses.EnumerateArray().Single(bus => bus.GetProperty("bus").GetByte() == host.FirstBus);
            Compare(host.Functions, root.GetProperty("devices"));
        }
    }

    private void Compare(IReadOnlyList<FunctionPlacement> planned, JsonElement seen)
    {
        // Each planned function is there, and nothing besides but the function that carries the extra root bus (Red Hat's 000b, pxb-pcie).
        Assert.Equal(
            planned.Select(f => (f.Address.Device, f.Address.Function)),
            seen.EnumerateArray().Where(d => !IsExpander(d)).Select(d => (d.GetProperty("slot").GetInt32(), d.GetProperty("function").GetInt32())).Order());
        foreach (FunctionPlacement function in planned)
        {
            JsonElement device = seen.EnumerateArray()
                .Single(d => d.GetProperty("slot").GetInt32() == function.Address.Device && d.GetProperty("function").GetInt32() == function.Address.Function);
            if (function.Bridge is not { } bridge)
            {
                Bars(function, device);
                continue;
            }

            JsonElement behind = device.GetProperty("pci_bridge");
            JsonElement numbers = behind.GetProperty("bus");
            Assert.Equal(
                (function.Name, bridge.Primary, bridge.Secondary, bridge.Subordinate),
                (function.Name, numbers.GetProperty("number").GetByte(), numbers.GetProperty("secondary").GetByte(), numbers.GetProperty("subordinate")
                    .GetByte()));
            Window(function.Name, "memory", bridge.Memory, numbers.GetProperty("memory_range"));
            Window(function.Name, "prefetchable", bridge.Prefetchable, numbers.GetProperty("prefetchable_range"));
            if (behind.TryGetProperty("devices", out JsonElement devices))
            {
                Compare(bridge.Functions, devices);
            }
            else
            {
                Assert.Empty(bridge.Functions);
            }
        }
    }

    private static bool IsExpander(JsonElement device) =>
        device.GetProperty("id") is JsonElement id && id.GetProperty("vendor").GetInt32() == 0x1B36 && id.GetProperty("device").GetInt32() == 0x000B;

    private void Bars(FunctionPlacement function, JsonElement device)
    {
        (int Index, BarKind Kind, ulong Size)[] seen = [.. device.GetProperty("regions").EnumerateArray().Select(Region)];
        Assert.Equal(function.Bars.Select(bar => (bar.Demand.Index, bar.Demand.Kind, bar.Size)), seen.Order());
        foreach (JsonElement region in device.GetProperty("regions").EnumerateArray())
        {
            output.WriteLine($"{function.Address} {function.Name} bar{region.GetProperty("bar").GetInt32()}: 0x{region.GetProperty("address").GetInt64():x}, "
                + $"planned {function.Bar(region.GetProperty("bar").GetInt32())!.Address}");
        }
    }

    // What the firmware gave a port that was told a reserve: at least that. Where it lies is its own affair.
    private void Window(string name, string kind, AddressRange? planned, JsonElement seen)
    {
        ulong start = seen.GetProperty("base").GetUInt64();
        ulong last = seen.GetProperty("limit").GetUInt64();
        output.WriteLine($"{name} {kind} window: 0x{start:x}-0x{last:x}, planned {planned}");
        if (planned is { } range)
        {
            Assert.True(last > start && last - start + 1 >= Math.Min(range.Size, 1 << 20),
                $"{name} has a {kind} window 0x{start:x}-0x{last:x}, planned {range}");
        }

        if (planned is { } reserved && (name.StartsWith("rp", StringComparison.Ordinal) || name.StartsWith("hot", StringComparison.Ordinal)))
        {
            Assert.True(last - start + 1 >= reserved.Size, $"{name} has a {kind} window 0x{start:x}-0x{last:x}, smaller than {reserved}");
        }
    }

    private static (int Index, BarKind Kind, ulong Size) Region(JsonElement region)
    {
        bool wide = region.TryGetProperty("mem_type_64", out JsonElement mem64) && mem64.GetBoolean();
        bool prefetch = region.TryGetProperty("prefetch", out JsonElement pref) && pref.GetBoolean();
        BarKind kind = (region.GetProperty("type").GetString(), wide, prefetch) switch
        {
            ("io", _, _) => BarKind.Io,
            (_, true, true) => BarKind.Memory64Prefetchable,
            (_, true, false) => BarKind.Memory64,
            (_, false, true) => BarKind.Memory32Prefetchable,
            _ => BarKind.Memory32,
        };
        return (region.GetProperty("bar").GetInt32(), kind, region.GetProperty("size").GetUInt64());
    }
}
