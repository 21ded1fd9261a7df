namespace Aperture.TestKit.Devices;

/// <summary>Reads and writes of a device that must succeed.</summary>
public static class Ports
{
    public static byte In(this IAccessHandler device, ulong offset)
    {
        Assert.Equal(AccessResult.Ok, device.Read(offset, 1, out ulong value));
        Assert.InRange(value, 0UL, 0xFFUL);
        return (byte)value;
    }

    public static uint In32(this IAccessHandler device, ulong offset)
    {
        Assert.Equal(AccessResult.Ok, device.Read(offset, 4, out ulong value));
        return (uint)value;
    }

    public static void Out(this IAccessHandler device, ulong offset, byte value) =>
        Assert.Equal(AccessResult.Ok, device.Write(offset, 1, value));

    public static void Out32(this IAccessHandler device, ulong offset, uint value) =>
        Assert.Equal(AccessResult.Ok, device.Write(offset, 4, value));
}
