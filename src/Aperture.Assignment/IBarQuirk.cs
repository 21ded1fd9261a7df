namespace Aperture.Assignment;

/// <summary>A place in a BAR where the device shows what the guest must not see or write, such as the BAR addresses of the host.</summary>
public interface IBarQuirk
{
    /// <summary>The BAR's index, 0 to 5.</summary>
    int Bar { get; }

    /// <summary>Bytes from the BAR's start.</summary>
    ulong Offset { get; }

    /// <summary>Length in bytes; not 0.</summary>
    ulong Size { get; }

    /// <summary>What answers there instead; offsets count from <see cref="Offset"/>. <paramref name="device"/> reaches the device at the same place.</summary>
    IAccessHandler Overlay(AssignedFunction function, IAccessHandler device);
}
