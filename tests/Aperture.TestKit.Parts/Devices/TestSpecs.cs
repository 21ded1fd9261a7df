using Aperture.Configuration;
using Aperture.Configuration.Kinds;
using Aperture.Devices.TestDevice;

namespace Aperture.TestKit.Parts.Devices;

/// <summary>Test devices in the words of <c>--device test</c>.</summary>
public static class TestSpecs
{
    public static TestDeviceSpec Parse(string text)
    {
        TestSpec spec = Assert.IsType<TestSpec>(ConfigReader.ReadDevice("test," + text));
        return new TestDeviceSpec
        {
            Id = spec.Id!,
            Port = spec.Port,
            Bars = [.. spec.Registers.Select(bar => new TestBarSpec(bar.Index, bar.Kind, bar.Size, bar.IsRam ? TestBacking.Ram : TestBacking.Trap))],
            RomSize = spec.RomSize,
            RomFile = spec.RomFile,
            Vendor = spec.Ids?.Vendor ?? TestFunction.TestVendor,
            Device = spec.Ids?.Device ?? TestFunction.TestDevice,
            MsiVectors = spec.MsiVectors,
            MsixVectors = spec.MsixVectors,
        };
    }
}
