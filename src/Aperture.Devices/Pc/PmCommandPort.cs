namespace Aperture.Devices.Pc;

/// <summary>
/// The SMI command and status ports, 0xB2 and 0xB3 (ICH9 datasheet, APM_CNT and APM_STS). The two commands that a FADT names switch ACPI mode directly;
/// every other one is kept, and raises an SMI where the machine has that mode and SMI_EN says so.
/// </summary>
/// <param name="block">Whose SCI_EN the commands set, and whose SMI_EN decides.</param>
/// <param name="smi">Raises an SMI; called on the thread of the vCPU that wrote, with no lock of this device held.</param>
public sealed class PmCommandPort(AcpiPmBlock block, Action? smi = null) : IAccessHandler, IByteRegisters, IResettable
{
    /// <summary>The command port; the status port follows.</summary>
    public const ushort Port = 0xB2;

    /// <summary>Ports taken.</summary>
    public const ushort Length = 2;

    /// <summary>The command that turns ACPI mode on (FADT ACPI_ENABLE).</summary>
    public const byte AcpiEnable = 2;

    /// <summary>The command that turns ACPI mode off (FADT ACPI_DISABLE).</summary>
    public const byte AcpiDisable = 3;

    private int _command;
    private int _status;

    /// <inheritdoc/>
    public AccessResult Read(ulong offset, int size, out ulong value) => AccessLanes.ReadBytes(this, Length, offset, size, out value);

    /// <inheritdoc/>
    public AccessResult Write(ulong offset, int size, ulong value) => AccessLanes.WriteBytes(this, Length, offset, size, value);

    /// <inheritdoc/>
    public void Reset()
    {
        Volatile.Write(ref _command, 0);
        Volatile.Write(ref _status, 0);
    }

    byte IByteRegisters.ReadByte(uint offset) => (byte)(offset == 0 ? Volatile.Read(ref _command) : Volatile.Read(ref _status));

    void IByteRegisters.WriteByte(uint offset, byte value)
    {
        if (offset != 0)
        {
            Volatile.Write(ref _status, value);
            return;
        }

        Volatile.Write(ref _command, value);
        if (value is AcpiEnable or AcpiDisable)
        {
            block.SetAcpiMode(value == AcpiEnable);
        }
        else if (block.NoteApmSmi())
        {
            smi?.Invoke();
        }
    }
}
