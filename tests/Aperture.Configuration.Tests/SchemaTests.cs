using System.Text.Json;
using Aperture.Configuration.Json;
using Aperture.Configuration.Kinds;

namespace Aperture.Configuration.Tests;

public class SchemaTests
{
    private static readonly string Published = Path.Combine(AppContext.BaseDirectory, "vm-config.schema.json");

    [Fact]
    public void The_published_schema_is_what_the_tables_say()
    {
        string written = Path.Combine(AppContext.BaseDirectory, "vm-config.schema.written.json");
        File.WriteAllText(written, SchemaWriter.Write());
        Assert.True(File.ReadAllText(Published) == SchemaWriter.Write(),
            $"docs/vm-config.schema.json is not what the tables say; look at the difference, then: cp {written} docs/vm-config.schema.json");
    }

    [Fact]
    public void Every_reference_of_the_schema_leads_to_a_definition()
    {
        using JsonDocument schema = JsonDocument.Parse(SchemaWriter.Write());
        string[] definitions = [.. schema.RootElement.GetProperty("$defs").EnumerateObject().Select(d => "#/$defs/" + d.Name)];
        string[] references = [.. References(schema.RootElement)];
        Assert.True(references.Length > 50, "the schema has lost its references");
        Assert.All(references, reference => Assert.Contains(reference, definitions));
        Assert.All(DeviceKinds.All, kind => Assert.Contains($"#/$defs/device-{kind.Word}", references));
    }

    private static IEnumerable<string> References(JsonElement element) => element.ValueKind switch
    {
        JsonValueKind.Object => element.EnumerateObject().SelectMany(p => p.Name == "$ref" ? [p.Value.GetString()!] : References(p.Value)),
        JsonValueKind.Array => element.EnumerateArray().SelectMany(References),
        _ => [],
    };
}
