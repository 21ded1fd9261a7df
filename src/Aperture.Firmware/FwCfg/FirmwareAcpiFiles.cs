using Aperture.Firmware.Acpi;
using Aperture.Firmware.Platform;

namespace Aperture.Firmware.FwCfg;

/// <summary>
/// The three files of the ACPI tables. Firmware reads them after it has programmed the chipset, so they are built again when it first selects
/// one of them after a reset: the ECAM window and the host bridge's windows are then the ones that it chose. The files' sizes are told
/// before that, so they have room to spare, filled with zeros (commands of number 0 are skipped by firmware).
/// </summary>
internal sealed class FirmwareAcpiFiles
{
    private const int TablesUnit = 64 << 10;
    private const int SmallestTables = 128 << 10;
    private const int ScriptSize = 4096;

    private readonly Func<PlatformDescription> _describe;
    private readonly Action<string>? _report;
    private readonly byte[] _tables;
    private readonly byte[] _rootPointer;
    private readonly byte[] _script;

    // Read and written under the configuration device's lock.
    private bool _current;

    /// <exception cref="ApertureException">The machine as it is now cannot be described.</exception>
    public FirmwareAcpiFiles(Func<PlatformDescription> describe, Action<string>? report)
    {
        _describe = describe;
        _report = report;
        RelocatableAcpi first = RelocatableAcpi.Build(describe());
        int doubled = 2 * first.Tables.Length;
        _tables = new byte[Math.Max(SmallestTables, (doubled + TablesUnit - 1) / TablesUnit * TablesUnit)];
        _rootPointer = new byte[RootTables.RsdpSize];
        _script = new byte[ScriptSize];
        Store(first);
        Tables = new Part(this, _tables);
        RootPointer = new Part(this, _rootPointer);
        Script = new Part(this, _script);
    }

    public IFirmwareItem Tables { get; }

    public IFirmwareItem RootPointer { get; }

    public IFirmwareItem Script { get; }

    private void Refresh()
    {
        if (_current)
        {
            return;
        }

        _current = true;
        try
        {
            RelocatableAcpi built = RelocatableAcpi.Build(_describe());
            if (built.Tables.Length > _tables.Length || built.Script.Length > _script.Length)
            {
                _report?.Invoke($"the ACPI tables grew to {built.Tables.Length} bytes, more than the {_tables.Length} the firmware was told; it gets the "
                    + $"older ones");
                return;
            }

            Store(built);
        }
        catch (ApertureException fault)
        {
            // The guest programmed a map that no table can tell; it gets the last one that could be told.
            _report?.Invoke($"the ACPI tables cannot tell what the firmware programmed ({fault.Message}); it gets the older ones");
        }
    }

    private void Store(RelocatableAcpi built)
    {
        Fill(_tables, built.Tables);
        Fill(_rootPointer, built.RootPointer);
        Fill(_script, built.Script);
    }

    private static void Fill(byte[] file, byte[] content)
    {
        content.CopyTo(file, 0);
        file.AsSpan(content.Length).Clear();
    }

    private sealed class Part(FirmwareAcpiFiles owner, byte[] bytes) : IFirmwareItem
    {
        public ulong Length => (ulong)bytes.Length;

        public void Select() => owner.Refresh();

        public void Reset() => owner._current = false;

        public bool Read(ulong offset, Span<byte> destination)
        {
            bytes.AsSpan((int)offset, destination.Length).CopyTo(destination);
            return true;
        }
    }
}
