using System.Xml.Linq;
using Aperture.Placement.Map;
using FsCheck.Fluent;

namespace Aperture.Emission.Tests;

/// <summary>What holds for any map, also for maps that no solver would make.</summary>
public class PropertyTests
{
    [Fact]
    public void Every_function_is_named_in_every_configuration_and_the_text_depends_on_the_plan_alone() =>
        Prop.ForAll(ArbMap.Default.ArbFor<int>(), seed =>
        {
            EmissionPlan plan = RandomPlan.Make(seed);
            foreach (string monitor in Emitter.Names)
            {
                string text = Emitter.Emit(monitor, plan);
                Assert.Equal(text, Emitter.Emit(monitor, RandomPlan.Make(seed)));
                string[] lines = text.Split('\n');
                foreach (FunctionPlacement function in plan.Map.Functions)
                {
                    string title = $"{function.Address} {function.Name[..(function.Name.IndexOf('q', StringComparison.Ordinal) + 1)]}";
                    Assert.Contains(lines, line => line.Contains(title, StringComparison.Ordinal));
                }
            }
        }).Holds(150);

    [Fact]
    public void A_name_never_leaves_its_comment() =>
        Prop.ForAll(ArbMap.Default.ArbFor<int>(), seed =>
        {
            EmissionPlan plan = RandomPlan.Make(seed) with { HostAddresses = new Dictionary<string, string>() };
            foreach (string monitor in Emitter.Names.Where(name => name != "libvirt"))
            {
                foreach (string line in Emitter.Emit(monitor, plan).Split('\n').Where(line => !line.TrimStart().StartsWith('#')))
                {
                    string rest = line.StartsWith("exec ", StringComparison.Ordinal) ? "" : line;
                    Assert.DoesNotContain(rest, c => c is '\'' or '$' or '`' or ';' or '&' or '|' or '<' or '\\' || c > 0x7E);
                }
            }
        }).Holds(150);

    [Fact]
    public void A_libvirt_domain_is_well_formed_and_its_controllers_have_indexes_of_their_own() =>
        Prop.ForAll(ArbMap.Default.ArbFor<int>(), seed =>
        {
            XDocument domain = XDocument.Parse(Emitter.Emit("libvirt", RandomPlan.Make(seed)));
            string[] indexes = [.. domain.Descendants("controller").Select(controller => controller.Attribute("index")!.Value)];
            Assert.Equal(indexes.Length, indexes.Distinct().Count());

            // libvirt adds a controller for each index that is missing below the highest.
            Assert.Equal(Enumerable.Range(0, indexes.Length), indexes.Select(index => int.Parse(index, System.Globalization.CultureInfo.InvariantCulture))
                .Order());

            // A bus that an address names has a controller.
            Assert.All(
                domain.Descendants("address").Where(a => a.Attribute("type") is not null),
                address => Assert.Contains(
                    Convert.ToInt32(address.Attribute("bus")!.Value, 16).ToString(System.Globalization.CultureInfo.InvariantCulture), indexes));
        }).Holds(150);

    [Fact]
    public void A_Cloud_Hypervisor_segment_never_has_two_devices_at_one_number_or_one_of_the_monitors() =>
        Prop.ForAll(ArbMap.Default.ArbFor<int>(), seed =>
        {
            string text = Emitter.Emit("cloud-hypervisor", RandomPlan.Make(seed));
            (int Segment, int Device)[] places =
            [
                .. System.Text.RegularExpressions.Regex.Matches(text, @"pci_segment=(\d+),pci_device_id=(\d+)")
                    .Select(match => (int.Parse(match.Groups[1].ValueSpan, System.Globalization.CultureInfo.InvariantCulture), int.Parse(
                        match.Groups[2].ValueSpan, System.Globalization.CultureInfo.InvariantCulture))),
            ];
            Assert.Equal(places.Length, places.Distinct().Count());
            Assert.All(places, place => Assert.InRange(place.Device, place.Segment == 0 ? 3 : 1, 31));
        }).Holds(150);
}
