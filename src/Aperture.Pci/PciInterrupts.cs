namespace Aperture.Pci;

/// <summary>Where a function's INTx arrives on the root bus.</summary>
/// <param name="Device">Device number on the root bus, 0 to 31.</param>
/// <param name="Pin">1 to 4 for INTA to INTD; 0 when the function has no pin.</param>
public readonly record struct IntxRoute(int Device, byte Pin);

/// <summary>Routing of INTx.</summary>
public static class PciInterrupts
{
    /// <summary>
    /// Follows a function's pin up to the root bus: each bridge rotates it by the device number below it
    /// (PCI-to-PCI Bridge 1.2, section 9.1; PCI Express 5.0, section 2.2.8.1). Below a port the device number is 0.
    /// </summary>
    public static IntxRoute Swizzle(PciFunction function)
    {
        byte pin = function.InterruptPin;
        int device = function.DeviceFunction >> 3;
        for (PciBus? bus = function.Bus; bus?.Parent is { } bridge; bus = bridge.Bus)
        {
            int rotation = bus.IsLink ? 0 : device;
            pin = pin == 0 ? pin : (byte)(((pin - 1 + rotation) & 3) + 1);
            device = bridge.DeviceFunction >> 3;
        }

        return new IntxRoute(device, pin);
    }
}
