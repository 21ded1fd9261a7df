using System.Text;
using Aperture.Configuration;
using Aperture.Machine;
using Aperture.Machine.Topology;
using Aperture.Pci;
using Aperture.Placement.Map;
using Aperture.Report;

namespace Aperture.Cli.Demo;

/// <summary>
/// Starts SeaBIOS and OVMF on a machine like the demo's, and sets the map that each chose beside what Aperture planned and what the monitor decodes. What
/// cannot be started here is said in one sentence and left out.
/// </summary>
internal static class FirmwareDemo
{
    // What the lab's guests have; the plan does not depend on it as long as the pins fit.
    private const int PhysicalAddressBits = 48;

    private const ulong MiB = 1UL << 20;
    private const ulong GiB = 1UL << 30;

    // A bridge has one prefetchable window, and SeaBIOS puts a 64-bit BAR beside a 32-bit one there only below 4 GiB; 32-bit OVMF places nothing at all on a
    // machine with a BAR larger than the low hole, and the demo's low pin is where SeaBIOS puts the disk's large BAR.
    private static readonly DemoDevice[] Devices = [.. DemoMachine.Devices.Select(d => d with { Bars = [.. d.Bars.Select(Suited)] })];

    private static readonly Setting[] Machine =
    [
        new("--memory", "512M"), .. DemoMachine.Topology(Devices).Chunk(2).Select(pair => new Setting(pair[0], pair[1])),
    ];

    private static DemoBar Suited(DemoBar bar) => bar with
    {
        Kind = bar.Kind == BarKind.Memory32Prefetchable ? BarKind.Memory32 : bar.Kind,
        Size = bar.Size > GiB ? 256 * MiB : bar.Size,
        Pin = bar.Pin is { } pin && pin.Value < 4 * GiB ? new GuestAddress(0xd100_0000) : bar.Pin,
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
        TextTable table = new(["FUNCTION", "DEVICE", "BAR", ">SIZE", .. accounts.Select(a => ">" + a.Name), ">APERTURE'S PLAN", ""]);
        int rows = 0;
        int wrong = 0;
        foreach (FunctionPlacement function in functions)
        {
            foreach (BarPlacement bar in function.Bars)
            {
                bool agrees = accounts.All(a => Agrees(a, function.Name, bar));
                rows++;
                wrong += agrees ? 0 : 1;
                table.Add(
                    [
                        function.Address.ToString(), function.Name, BarKinds.BarName(bar.Demand.Index), ByteSize.Format(bar.Demand.Size),
                        .. accounts.Select(a => a.Chose.TryGetValue((function.Name, bar.Demand.Index), out ulong address) ? $"0x{address:x}" : "-"),
                        bar.Address.ToString(), Remark(bar, agrees),
                    ]);
            }
        }

        StringBuilder lines = new();
        table.Write(lines);
        Console.WriteLine("The same machine under each firmware, to its boot attempt or shell; 32-bit BARs not prefetchable, the 64G one 256M, the low pin "
            + "elsewhere:");
        Console.WriteLine();
        Console.Write(lines);
        Console.WriteLine();
        foreach (FirmwareAccount account in accounts)
        {
            Console.WriteLine($"{account.Name}: {account.Version}");
        }

        Console.WriteLine($"{rows} BARs; {(wrong == 0 ? "each answers where the firmware put it, or where it is pinned" : $"{wrong} WRONG")}.");
        return wrong == 0;
    }

    private static string Remark(BarPlacement bar, bool agrees) =>
        !agrees ? "WRONG" : bar.Demand.Pin is not null ? "pinned: stays as planned" : bar.Demand.Kind == BarKind.Rom ? "off, but while it is read" : "";

    // What the monitor decoded last against what the firmware chose. A ROM answers only while the firmware reads it, if it does.
    private static bool Agrees(FirmwareAccount account, string function, BarPlacement bar)
    {
        ulong? answers = account.Events.Decoded($"{function}.{BarKinds.BarName(bar.Demand.Index)}")?.Address.Value;
        return bar.Demand.Pin is { } pin
            ? answers == pin.Value
            : account.Chose.TryGetValue((function, bar.Demand.Index), out ulong chosen)
            && (answers == chosen || (answers is null && bar.Demand.Kind == BarKind.Rom));
    }

    private static IEnumerable<FunctionPlacement> All(IEnumerable<FunctionPlacement> functions) =>
        functions.SelectMany(f => f.Bridge is { } bridge ? All(bridge.Functions).Prepend(f) : [f]);
}
