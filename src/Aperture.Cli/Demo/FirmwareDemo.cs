using System.Text;
using Aperture.Configuration;
using Aperture.Machine;
using Aperture.Machine.Topology;
using Aperture.Pci;
using Aperture.Placement.Map;
using Aperture.Report;

namespace Aperture.Cli.Demo;

/// <summary>
/// Starts SeaBIOS and OVMF on a machine like the demo's, and sets the map that each chose beside what Linux found after the handover and what Aperture planned.
/// What cannot be started here is said in one sentence and left out.
/// </summary>
internal static class FirmwareDemo
{
    // What the lab's guests have; the plan does not depend on it as long as the pins fit.
    private const int PhysicalAddressBits = 48;

    private const ulong MiB = 1UL << 20;
    private const ulong GiB = 1UL << 30;

    // A bridge has one prefetchable window, and SeaBIOS puts a 64-bit BAR beside a 32-bit one there only below 4 GiB; 32-bit OVMF places nothing at all on a
    // machine with a BAR larger than the low hole.
    private static readonly DemoDevice[] Devices = [.. DemoMachine.Devices.Select(d => d with { Bars = [.. d.Bars.Select(Suited)] })];

    private static readonly Setting[] Machine =
    [
        new("--memory", "512M"), .. DemoMachine.Topology(Devices).Chunk(2).Select(pair => new Setting(pair[0], pair[1])),
    ];

    private static DemoBar Suited(DemoBar bar) => bar with
    {
        Kind = bar.Kind == BarKind.Memory32Prefetchable ? BarKind.Memory32 : bar.Kind,
        Size = bar.Size > GiB ? 256 * MiB : bar.Size,
    };

    /// <summary>Runs both and prints the table. False when something contradicts itself.</summary>
    public static bool Run(DemoFolder folder, string accel)
    {
        PlacementMap plan = MachineTopology.Of(ConfigReader.Read(Machine, boots: false), Hypervisors.LimitsOf(PhysicalAddressBits)).Result.Require();
        List<FunctionPlacement> functions = [.. plan.HostBridges.SelectMany(b => All(b.Functions)).Where(f => f.Bars.Count > 0)];
        List<FirmwareAccount> accounts = [];
        if (SeaBiosDemo.Run(folder, Machine, functions.ToDictionary(f => f.Address.ToString(), f => f.Name)) is { } seaBios)
        {
            accounts.Add(seaBios);
        }

        if (OvmfDemo.Run(folder, accel, Machine, functions.Select(f => f.Name)) is { } ovmf)
        {
            accounts.Add(ovmf);
        }

        return accounts.Count == 0 || Print(functions, accounts);
    }

    private static bool Print(List<FunctionPlacement> functions, List<FirmwareAccount> accounts)
    {
        TextTable table = new(["FUNCTION", "DEVICE", "BAR", ">SIZE", .. accounts.SelectMany(Heads), ">APERTURE'S PLAN", ""]);
        int rows = 0;
        int wrong = 0;
        foreach (FunctionPlacement function in functions)
        {
            foreach (BarPlacement bar in function.Bars)
            {
                bool agrees = accounts.All(a => Agrees(a, function, bar));
                rows++;
                wrong += agrees ? 0 : 1;
                table.Add(
                    [
                        function.Address.ToString(), function.Name, BarKinds.BarName(bar.Demand.Index), ByteSize.Format(bar.Demand.Size),
                        .. accounts.SelectMany(a => Cells(a, function, bar)),
                        bar.Address.ToString(), Remark(bar, agrees),
                    ]);
            }
        }

        StringBuilder lines = new();
        table.Write(lines);
        Console.WriteLine("The same machine under each firmware; 32-bit BARs not prefetchable, the 64G one 256M. Firmware places pinned BARs as it likes; when "
            + "the operating system takes over, the plan is put in place:");
        Console.WriteLine();
        Console.Write(lines);
        Console.WriteLine();
        foreach (FirmwareAccount account in accounts)
        {
            Console.WriteLine($"{account.Name}: {account.Version}");
        }

        string handed = accounts.Any(a => a.Guest is not null) ? ", and after the handover where the plan has it and Linux reads it" : "";
        Console.WriteLine($"{rows} BARs; {(wrong == 0 ? $"each answers where the firmware put it{handed}" : $"{wrong} WRONG")}.");
        return wrong == 0;
    }

    private static string[] Heads(FirmwareAccount account) => account.Guest is null ? [">" + account.Name] : [">" + account.Name, ">HANDED OVER"];

    private static IEnumerable<string> Cells(FirmwareAccount account, FunctionPlacement function, BarPlacement bar)
    {
        yield return account.Chose.TryGetValue((function.Name, bar.Demand.Index), out ulong address) ? $"0x{address:x}" : "-";
        if (account.Guest is { } guest)
        {
            yield return guest.Region(function.Address, bar.Demand.Index)?.ToString() ?? "-";
        }
    }

    private static string Remark(BarPlacement bar, bool agrees) =>
        !agrees ? "WRONG" : bar.Demand.Pin is not null ? "pinned" : bar.Demand.Kind == BarKind.Rom ? "off, but while it is read" : "";

    // What the monitor decoded against what the firmware chose and, after the handover, against what the guest found and the plan has. A ROM answers only while
    // it is read.
    private static bool Agrees(FirmwareAccount account, FunctionPlacement function, BarPlacement bar)
    {
        string region = $"{function.Name}.{BarKinds.BarName(bar.Demand.Index)}";
        bool isRom = bar.Demand.Kind == BarKind.Rom;
        GuestAddress? first = account.Events.FirmwareDecoded(region);
        bool isFirmwares = account.Chose.TryGetValue((function.Name, bar.Demand.Index), out ulong chosen) ? first?.Value == chosen || (first is null && isRom)
            : first is null && isRom;
        return isFirmwares && (account.Guest is not { } guest
            || (account.Events.IsHandedOver && guest.Region(function.Address, bar.Demand.Index) == bar.Address
                && (isRom || account.Events.Decoded(region)?.Address == bar.Address)));
    }

    private static IEnumerable<FunctionPlacement> All(IEnumerable<FunctionPlacement> functions) =>
        functions.SelectMany(f => f.Bridge is { } bridge ? All(bridge.Functions).Prepend(f) : [f]);
}
