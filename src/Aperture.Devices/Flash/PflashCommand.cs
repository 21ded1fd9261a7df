namespace Aperture.Devices.Flash;

/// <summary>Command bytes of Intel's basic command set (CFI command set 0001h; Intel 28FxxxJ3 data sheet, "Command Definitions").</summary>
internal static class PflashCommand
{
    public const byte WordProgram = 0x10;
    public const byte BlockErase = 0x20;
    public const byte AlternateProgram = 0x40;
    public const byte ClearStatus = 0x50;
    public const byte BlockLock = 0x60;
    public const byte ReadStatus = 0x70;
    public const byte ReadIdentifier = 0x90;
    public const byte ReadQuery = 0x98;
    public const byte Confirm = 0xD0;
    public const byte BufferedProgram = 0xE8;
    public const byte ReadArray = 0xFF;
}

/// <summary>Bits of the status register (Intel 28FxxxJ3 data sheet, "Status Register Definitions").</summary>
internal static class PflashStatus
{
    /// <summary>SR.7: the state machine is ready. It always is, but clearing the register clears this too: OVMF knows the chip by a status of 0.</summary>
    public const byte Ready = 0x80;

    /// <summary>SR.5: an erase failed.</summary>
    public const byte EraseError = 0x20;

    /// <summary>SR.4: a program failed.</summary>
    public const byte ProgramError = 0x10;

    /// <summary>SR.5 and SR.4: the second cycle did not belong to the first.</summary>
    public const byte SequenceError = EraseError | ProgramError;
}
