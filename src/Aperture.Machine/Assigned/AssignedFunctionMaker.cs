using Aperture.Assignment;
using Aperture.Board;
using Aperture.Configuration.Kinds;
using Aperture.Hypervisor;
using Aperture.Machine.Functions;
using Aperture.Machine.Topology;
using Aperture.Memory;
using Aperture.Pci;
using Aperture.Placement.Request;

namespace Aperture.Machine.Assigned;

/// <summary>Makes the functions of assigned devices, and the place holders that a mirrored tree needs.</summary>
/// <param name="open">Opens the device of a part; the function made takes it over.</param>
/// <param name="interrupts">The guest's interrupt controllers.</param>
/// <param name="notices">Told what happens to the devices.</param>
/// <param name="events">What is opened is reported here.</param>
internal sealed class AssignedFunctionMaker(Func<AssignedPart, IVfioDevice> open, IGuestInterrupts interrupts, IAssignedEvents notices, IEventSink events)
    : IFunctionMaker
{
    private const uint NoClass = 0xFF_0000;

    // "PCI test device" of the vendor of virtual devices would be taken for one; this id names nothing.
    private const ushort PlaceHolderDevice = 0x00FF;

    public MadeFunction? Make(TopologyNode node, FunctionSite site) => node switch
    {
        { Kind: NodeKind.PlaceHolder } => new MadeFunction(new PciFunction(node.Name, new PciIdentity(PciIds.VirtualVendor, PlaceHolderDevice, NoClass))),
        { Assigned: { } part } => Make(part),
        _ => null,
    };

    private MadeFunction Make(AssignedPart part)
    {
        IVfioDevice device = open(part);
        AssignedFunction? function = null;
        try
        {
            function = new AssignedFunction(device, OptionsOf(part), interrupts, notices);
            List<BarRegion> regions = [];
            Check(function, part);
            foreach (Bar bar in function.Bars)
            {
                regions.AddRange(function.PartsOf(bar).Select(piece => new BarRegion(bar, piece.Region, piece.Offset)));
            }

            Report(part, device, function);
            AssignedFunction made = function;
            return new MadeFunction(function, regions, [function]) { Wired = gsi => made.IntxGsi = gsi, RoutedToIsa = input => made.IntxIsa = input };
        }
        catch
        {
            ((IDisposable?)function ?? device).Dispose();
            throw;
        }
    }

    // The plan and its pins stand on what the host said.
    private static void Check(AssignedFunction function, AssignedPart part)
    {
        foreach (BarDemand demand in part.Bars)
        {
            Bar? bar = function.FindBar(demand.Index);
            if (bar is null && demand.Index == BarKinds.RomIndex)
            {
                // A ROM that cannot be read is left out when the device is opened.
                continue;
            }

            if (bar is null || bar.Size != demand.Size || bar.Kind != demand.Kind)
            {
                throw new ApertureException(
                    $"{part.Name} {BarIndex.Name(demand.Index)} is {(bar is null ? "gone" : $"{bar.Kind.Keyword()} of {ByteSize.Format(bar.Size)}")} now that "
                        + $"the device is open; the host said {demand.Kind.Keyword()} of {ByteSize.Format(demand.Size)} before, so start again.",
                    ApertureException.HostFailure);
            }
        }
    }

    private static AssignedOptions OptionsOf(AssignedPart part) => new(part.Name)
    {
        Rom = part.Spec.Rom switch
        {
            AssignedRom.File => RomSource.Image,
            AssignedRom.Off => RomSource.Off,
            _ => part.Bars.Any(bar => bar.Index == BarKinds.RomIndex) ? RomSource.Device : RomSource.Off,
        },
        RomImage = part.Spec.RomFile is { } path ? ReadRom(path) : default,
        GpuDirectClique = (byte?)(part.Spec as VfioSpec)?.GpuDirectClique,
        TrapAll = part.Served is { MapsAreas: false },
        CorrectMirrors = !part.Bars.Where(bar => bar.Kind.IsMemory() && bar.Index < BarKinds.RomIndex)
            .All(bar => bar.Pin is { } pin && pin == part.HostAddressOf(bar.Index)),
    };

    private static byte[] ReadRom(string path)
    {
        try
        {
            return File.ReadAllBytes(path);
        }
        catch (Exception fault) when (fault is IOException or UnauthorizedAccessException)
        {
            throw new ApertureException($"rom={path} cannot be read: {fault.Message}", innerException: fault);
        }
    }

    private void Report(AssignedPart part, IVfioDevice device, AssignedFunction function) =>
        events.Write("vfio.opened", json => Describe(json, part, device, function));

    private static void Describe(System.Text.Json.Utf8JsonWriter json, AssignedPart part, IVfioDevice device, AssignedFunction function)
    {
        json.WriteString("function", part.Name);
        json.WriteString("host", part.HostName);
        json.WriteBoolean("reset", device.CanReset);
        json.WriteStartArray("bars");
        foreach (Bar bar in function.Bars)
        {
            json.WriteStartObject();
            json.WriteString("bar", bar.Name);
            json.WriteString("kind", bar.Kind.Keyword());
            json.WriteString("size", $"0x{bar.Size:x}");
            if (part.HostAddressOf(bar.Index) is { } host)
            {
                json.WriteString("host", host.ToString());
            }

            json.WriteNumber("mapped", function.PartsOf(bar).Count(piece => piece.Region.Kind == RegionKind.Device));
            json.WriteNumber("trapped", function.PartsOf(bar).Count(piece => piece.Region.Kind == RegionKind.Trapped));
            json.WriteEndObject();
        }

        json.WriteEndArray();
        json.WriteStartArray("notes");
        foreach (string note in function.Notes)
        {
            json.WriteStringValue(note);
        }

        json.WriteEndArray();
    }
}
