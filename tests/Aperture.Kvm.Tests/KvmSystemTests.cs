using Aperture.Kvm.X86;

namespace Aperture.Kvm.Tests;

[System.Runtime.Versioning.SupportedOSPlatform("linux")]
public class KvmSystemTests
{
    [Fact]
    public void A_missing_device_is_one_sentence_that_says_what_to_do()
    {
        ApertureException failure = Assert.Throws<ApertureException>(() => KvmSystem.Open("/nowhere/kvm"));
        Assert.Equal(ApertureException.HostFailure, failure.ExitCode);
        Assert.StartsWith("/nowhere/kvm does not exist; enable virtualisation", failure.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_device_that_is_not_KVM_is_named_as_such()
    {
        ApertureException failure = Assert.Throws<ApertureException>(() => KvmSystem.Open("/dev/null"));
        Assert.StartsWith("/dev/null is not KVM", failure.Message, StringComparison.Ordinal);
        Assert.Equal(ApertureException.HostFailure, failure.ExitCode);
    }

    [Fact]
    public void A_file_that_may_not_be_opened_is_a_sentence_too()
    {
        using TemporaryFile scratch = new([]);
        string path = scratch.Path;
        File.SetUnixFileMode(path, UnixFileMode.None);
        Unprivileged.Run(() =>
            Assert.Contains("group kvm", Assert.Throws<ApertureException>(() => KvmSystem.Open(path)).Message, StringComparison.Ordinal));
    }

    [Fact]
    public void The_probe_of_a_missing_device_answers_instead_of_throwing()
    {
        KvmAbility ability = KvmSystem.Probe64Bit("/nowhere/kvm");
        Assert.False(ability.Usable);
        Assert.False(ability.Runs64Bit);
        Assert.Contains("/nowhere/kvm", ability.Sentence, StringComparison.Ordinal);
    }

    [Fact]
    public void The_probe_of_this_host_says_what_it_found()
    {
        KvmGuest.RequireKvm();
        KvmAbility ability = KvmSystem.Probe64Bit();
        TestContext.Current.TestOutputHelper?.WriteLine(ability.Sentence);
        Assert.True(ability.Usable);
        Assert.EndsWith(".", ability.Sentence, StringComparison.Ordinal);
        Assert.Equal(AbilityProbe.IsSoftwareOnly("/sys/module/kvm_pvm", "/proc/cpuinfo"), ability.Sentence.Contains("kvm_pvm", StringComparison.Ordinal));
    }

    [Fact]
    public void The_probes_guest_ends_whatever_this_KVM_does_with_it()
    {
        KvmGuest.RequireKvm();
        using KvmSystem system = KvmSystem.Open();
        KvmAbility ability = AbilityProbe.RunGuest(system);
        TestContext.Current.TestOutputHelper?.WriteLine(ability.Sentence);
        Assert.True(ability.Usable);
        Assert.Equal(ability.Runs64Bit, ability.Sentence.StartsWith("KVM runs 64-bit guests", StringComparison.Ordinal));
    }

    [Theory]
    [InlineData("flags\t\t: fpu vme nx lm hypervisor\n", true)]
    [InlineData("flags\t\t: fpu vme vmx lm\n", false)]
    [InlineData("flags\t\t: fpu svm\n", false)]
    [InlineData("flags\t\t: fpu lm vmx_ish\n", true)]
    [InlineData("processor\t: 0\n", false)]
    public void Kvm_pvm_counts_only_where_the_processor_shows_no_virtualisation(string cpuInfo, bool softwareOnly)
    {
        using TemporaryFolder folder = new();
        string file = Path.Combine(folder.Path, "cpuinfo");
        File.WriteAllText(file, cpuInfo);
        Assert.Equal(softwareOnly, AbilityProbe.IsSoftwareOnly(folder.Path, file));
        Assert.False(AbilityProbe.IsSoftwareOnly(Path.Combine(folder.Path, "absent"), file));
    }

    [Fact]
    public void Slots_out_of_number_or_shape_are_refused_and_named()
    {
        KvmGuest.RequireKvm();
        using KvmSystem system = KvmSystem.Open();
        using KvmVm vm = system.CreateVm(new KvmVmOptions());
        PageMemory memory = new(0x2000);
        Assert.Throws<ArgumentOutOfRangeException>(() => vm.Memory.Set(vm.Memory.MaxSlots, default, 0x1000, memory.Address, false, false));
        Assert.Throws<ArgumentOutOfRangeException>(() => vm.Memory.Delete(-1));
        vm.Memory.Set(0, GuestAddress.Zero, 0x2000, memory.Address, false, false);
        Linux.LinuxException overlap = Assert.Throws<Linux.LinuxException>(
            () => vm.Memory.Set(1, new GuestAddress(0x1000), 0x1000, memory.Address, false, false));
        Assert.Equal("KVM refused memory slot 1: 0x1000 bytes at 0x1000: EEXIST (File exists)", overlap.Message);
        Linux.LinuxException shape = Assert.Throws<Linux.LinuxException>(
            () => vm.Memory.Set(1, new GuestAddress(0x8001), 0x1000, memory.Address, false, false));
        Assert.Contains("not whole pages", shape.Message, StringComparison.Ordinal);
        vm.Memory.Delete(0);
        vm.Memory.Set(1, new GuestAddress(0x1000), 0x1000, memory.Address, false, true);
        GC.KeepAlive(memory);
    }
}
