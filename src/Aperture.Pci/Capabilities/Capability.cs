using Aperture.Pci.Registers;

namespace Aperture.Pci.Capabilities;

/// <summary>
/// A capability structure of a function: a run of registers with behaviour. The function gives it its place; the capability declares its
/// registers there and is told of writes and resets.
/// </summary>
public abstract class Capability
{
    private PciFunction? _function;

    private protected Capability(ushort id, int length)
    {
        Id = id;
        Length = length;
    }

    /// <summary>The capability id; standard and extended ids are separate number spaces.</summary>
    public ushort Id { get; }

    /// <summary>Length in bytes, header included.</summary>
    public int Length { get; }

    /// <summary>Offset in bytes of the header in configuration space; 0 before the capability was added.</summary>
    public int Offset { get; private set; }

    /// <summary>The function that has it.</summary>
    /// <exception cref="InvalidOperationException">The capability was not added to a function.</exception>
    public PciFunction Function => _function ?? throw new InvalidOperationException("the capability belongs to no function yet");

    /// <summary>The registers of the function that has it.</summary>
    protected ConfigSpace Config => Function.Config;

    internal void Place(PciFunction owner, int offset)
    {
        _function = owner;
        Offset = offset;
        Define();
    }

    /// <summary>Declares the registers behind the header with <see cref="ConfigSpace.Define"/>, at <see cref="Offset"/> and up.</summary>
    protected abstract void Define();

    /// <summary>After a guest write inside the capability; <see cref="RegisterWrite.Register"/> counts from <see cref="Offset"/>.</summary>
    protected internal virtual ConfigChange OnWritten(in RegisterWrite write) => ConfigChange.None;

    /// <summary>After the function's registers were reset.</summary>
    protected internal virtual void OnReset(ResetKind kind)
    {
    }

    /// <summary>After <see cref="PciFunction.MayIssueRequests"/> may have changed.</summary>
    protected internal virtual void OnRequestPermissionChanged()
    {
    }
}

/// <summary>A capability in the first 256 bytes (PCI Local Bus 3.0, section 6.7): id, pointer to the next, then 16 bits of its own.</summary>
public abstract class StandardCapability : Capability
{
    /// <summary>Makes a capability of <paramref name="length"/> bytes, header included.</summary>
    protected StandardCapability(byte id, int length)
        : base(id, length)
    {
    }
}

/// <summary>A capability at 0x100 and up (PCI Express 5.0, section 7.6.3): 16-bit id, 4-bit version, 12-bit pointer to the next.</summary>
public abstract class ExtendedCapability : Capability
{
    /// <summary>Makes a capability of <paramref name="length"/> bytes, header included.</summary>
    protected ExtendedCapability(ushort id, byte version, int length)
        : base(id, length) => Version = version;

    /// <summary>The structure's version.</summary>
    public byte Version { get; }
}
