using Aperture.Firmware.Uefi;
using Aperture.TestKit.Parts.Kernels;
using FsCheck.Fluent;

namespace Aperture.Firmware.Tests.Uefi;

public class SecurityCoreTests
{
    [Theory]
    [InlineData(SecurityCore.Ia32, true)]
    [InlineData(SecurityCore.Ia32, false)]
    [InlineData(SecurityCore.X64, true)]
    [InlineData(SecurityCore.X64, false)]
    public void Its_machine_type_is_found_behind_other_files_and_sections(ushort machine, bool terse)
    {
        byte[] image = UefiImage.Of(machine, terse);
        Assert.Equal(3, image[UefiImage.CoreAt + 0x12]);
        Assert.Equal(machine, SecurityCore.MachineOf(image));
    }

    [Fact]
    public void An_image_without_one_has_no_machine_type()
    {
        byte[] image = UefiImage.Of(SecurityCore.X64, terse: true);
        image[UefiImage.CoreAt + 0x12] = 4;
        Assert.Null(SecurityCore.MachineOf(image));
        Assert.Null(SecurityCore.MachineOf([]));
        Assert.Null(SecurityCore.MachineOf(new byte[0x4000]));
    }

    // Any damage, a cut anywhere included, gives an answer.
    [Fact]
    public void Damaged_images_are_read_without_a_fault()
    {
        var cases = from terse in Gen.Elements(true, false)
                    from length in Gen.Choose(0, 0x4000)
                    from edits in Gen.Choose(0, 0x200).Zip(Gen.Choose(0, 255)).ListOf(6)
                    select (terse, length, edits);
        Prop.ForAll(cases.ToArbitrary(), damage =>
        {
            byte[] image = UefiImage.Of(SecurityCore.Ia32, damage.terse);
            foreach ((int at, int value) in damage.edits)
            {
                image[0x2000 + at] = (byte)value;
            }

            SecurityCore.MachineOf(image.AsSpan(0, damage.length));
        }).Holds(2000);
    }

    /// <summary>Debian's own images, where they are installed.</summary>
    [Theory]
    [InlineData("/usr/share/OVMF/OVMF_CODE.fd", SecurityCore.X64)]
    [InlineData("/usr/share/seabios/bios-256k.bin", null)]
    public void Debian_s_images_are_told_apart(string file, ushort? machine)
    {
        Assert.SkipUnless(File.Exists(file), $"{file} is not installed");
        Assert.Equal(machine, SecurityCore.MachineOf(File.ReadAllBytes(file)));
    }
}
