namespace Aperture.Host;

/// <summary>How a report is laid out.</summary>
public enum HostReportFormat : byte
{
    /// <summary>Host bridges, bridges and functions, indented.</summary>
    Tree,

    /// <summary>One line per function and one per BAR.</summary>
    Table,
}

/// <summary>What a report shows.</summary>
/// <param name="Format">The layout.</param>
/// <param name="Bars">Whether BARs and windows are listed.</param>
/// <param name="Groups">Whether IOMMU groups and reserved regions are listed.</param>
/// <param name="Findings">Whether findings are listed.</param>
public sealed record HostReportOptions(HostReportFormat Format = HostReportFormat.Tree, bool Bars = true, bool Groups = true, bool Findings = true);

/// <summary>A machine as text.</summary>
public static class HostReport
{
    /// <summary>Writes the report; lines end in a line feed.</summary>
    public static void Write(TextWriter writer, HostMachine machine, HostReportOptions options) => throw new NotImplementedException();
}

/// <summary>A machine as JSON.</summary>
public static class HostJson
{
    /// <summary>Writes the machine as one object, UTF-8, indented. Addresses and ids are hexadecimal strings, sizes in bytes are numbers.</summary>
    public static void Write(Stream output, HostMachine machine) => throw new NotImplementedException();
}
