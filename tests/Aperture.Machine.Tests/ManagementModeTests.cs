using System.Buffers.Binary;
using Aperture.Configuration;

namespace Aperture.Machine.Tests;

/// <summary>When a machine has system management mode, and what is said when it cannot have it.</summary>
public sealed class ManagementModeTests : IDisposable
{
    private readonly TemporaryFile _secure = new(Volume(new Guid("6c0e75b4-b0b9-44d1-8210-3377d7b4e066")));
    private readonly TemporaryFile _plain = new(Volume(new Guid("52c05b14-0b98-496c-bc3b-04b50211d680")));
    private readonly TemporaryFile _variables = new(new byte[0x1000]);

    public void Dispose()
    {
        _secure.Dispose();
        _plain.Dispose();
        _variables.Dispose();
    }

    [Theory]
    [InlineData(true, "auto", true)]
    [InlineData(true, "on", true)]
    [InlineData(false, "auto", false)]
    [InlineData(false, "on", true)]
    [InlineData(false, "off", false)]
    public void A_machine_has_it_when_its_firmware_or_its_user_asks(bool secure, string asked, bool has)
    {
        using MachinePlan plan = Plan(secure, hasVariables: true, hasMode: true, "--smm", asked);
        Assert.Equal(has, plan.HasManagementMode);
    }

    [Fact]
    public void Firmware_that_does_not_need_it_starts_where_the_host_has_none()
    {
        using MachinePlan plan = Plan(secure: false, hasVariables: true, hasMode: false);
        Assert.False(plan.HasManagementMode);
    }

    [Theory]
    [InlineData(true, true, "--smm off leaves that out; leave --smm out, or use a build without Secure Boot", "--smm", "off")]
    [InlineData(true, true, "--machine i440fx has none; use --machine q35, or use a build without Secure Boot", "--machine", "i440fx")]
    [InlineData(true, false, "this host's KVM has none (KVM_CAP_X86_SMM); use a kernel that was built with CONFIG_KVM_SMM, or use a build without")]
    [InlineData(false, true, "it has no flash for them here; give it vars=FILE,template=FILE after the image")]
    public void Firmware_that_needs_what_is_not_there_is_refused_in_one_sentence(bool hasVariables, bool hasMode, string sentence, params string[] options)
    {
        ApertureException refused = Assert.Throws<ApertureException>(() => Plan(secure: true, hasVariables, hasMode, options));
        string start = $"--firmware {_secure.Path} is a build of OVMF that starts only with system management mode";
        Assert.StartsWith(start, refused.Message, StringComparison.Ordinal);
        Assert.Contains(sentence, refused.Message, StringComparison.Ordinal);
        Assert.Equal(!hasMode, refused.ExitCode == ApertureException.HostFailure);
    }

    [Theory]
    [InlineData(true, "--machine i440fx has none; use --machine q35.", "--machine", "i440fx")]
    [InlineData(false, "this host's KVM has none (KVM_CAP_X86_SMM); use a kernel that was built with CONFIG_KVM_SMM.")]
    public void A_user_who_asks_for_what_is_not_there_is_told_so(bool hasMode, string sentence, params string[] options)
    {
        ApertureException refused = Assert.Throws<ApertureException>(() => Plan(secure: false, hasVariables: true, hasMode, ["--smm", "on", .. options]));
        Assert.Equal($"--smm on asks for system management mode, and {sentence}", refused.Message);
    }

    private MachinePlan Plan(bool secure, bool hasVariables, bool hasMode, params string[] options)
    {
        string image = (secure ? _secure : _plain).Path + (hasVariables ? $",vars={_variables.Path},snapshot=on" : "");
        IEnumerable<Setting> more = options.Chunk(2).Select(o => new Setting(o[0], o[1]));
        return MachinePlan.Create(ConfigReader.Read([new("--firmware", image), .. more]), Hypervisors.LimitsOf(46) with { HasManagementMode = hasMode });
    }

    // A firmware volume with one file (UEFI PI 1.8, volume 3, 3.2).
    private static byte[] Volume(Guid file)
    {
        byte[] volume = new byte[0x1000];
        BinaryPrimitives.WriteUInt64LittleEndian(volume.AsSpan(32), 0x1000);
        "_FVH"u8.CopyTo(volume.AsSpan(40));
        BinaryPrimitives.WriteUInt16LittleEndian(volume.AsSpan(48), 72);
        file.TryWriteBytes(volume.AsSpan(72));
        volume[72 + 18] = 6;
        BinaryPrimitives.WriteUInt32LittleEndian(volume.AsSpan(72 + 20), 0xF800_0020);
        return volume;
    }
}
