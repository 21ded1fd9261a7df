using FsCheck.Fluent;

namespace Aperture.Doctor.Tests;

/// <summary>What holds for every machine that can be made up.</summary>
public class PropertyTests
{
    private static readonly string[] Losable =
    [
        "proc/cmdline", "proc/cpuinfo", "proc/iomem", "proc/self", "sys/kernel/mm", "sys/class/iommu", "sys/class/misc", "sys/class/dmi", "etc/modprobe.d",
        "sys/module", "sys/devices/system/node", "sys/firmware", "sys/kernel/iommu_groups/10/reserved_regions", "sys/kernel/iommu_groups/11/type",
    ];

    [Fact]
    public void A_capture_gets_the_answer_that_the_machine_gets() => Prop.ForAll(ArbMap.Default.ArbFor<int>(), seed =>
    {
        Random random = new(seed);
        using Machine machine = Random(random);
        foreach (string lost in Losable.Where(_ => random.Next(5) == 0))
        {
            machine.Without(lost);
        }

        Assert.Equal(DoctorTests.Answers(machine.Read()), DoctorTests.Answers(machine.ReadCaptured()));
    }).Holds(40);

    [Fact]
    public void Requests_are_redirected_if_either_port_redirects() => Prop.ForAll(ArbMap.Default.ArbFor<int>(), seed =>
    {
        Random random = new(seed);
        ushort? control = random.Next(4) == 0 ? null : (ushort)random.Next(0x60);
        using Machine machine = new Machine { SwitchAcs = control }.Build();
        Verdict verdict = Assert.Single(machine.Look(Goals.P2p, Machine.Gpu, Machine.Nic).Verdicts, static verdict => verdict.Check == "peers");

        // PCI Express 5.0, section 6.12.3: bit 2 of the control register alone decides on requests.
        Assert.Equal(control is { } word && (word & 4) != 0 ? VerdictKind.Should : VerdictKind.Good, verdict.Kind);
    }).Holds(40);

    [Fact]
    public void A_goal_is_reached_if_nothing_stands_in_its_way_and_nothing_decisive_is_open() => Prop.ForAll(ArbMap.Default.ArbFor<int>(), seed =>
    {
        Random random = new(seed);
        using Machine machine = Random(random);
        Diagnosis diagnosis = HostDoctor.Examine(machine.Read(), [], null, _ => random.Next(2) == 0 ? [] : ["no room"]);
        foreach (Goals goal in GoalWords.Each(diagnosis.Goals))
        {
            int worst = diagnosis.Verdicts.Where(verdict => verdict.Goals.HasFlag(goal))
                .Max(static verdict => verdict.Kind == VerdictKind.Cannot ? 2 : verdict.Kind == VerdictKind.Unknown && verdict.Decides ? 1 : 0);
            Assert.Equal(worst, (int)diagnosis.Of(goal));
        }

        Assert.Equal(GoalWords.Each(diagnosis.Goals).All(goal => diagnosis.Of(goal) == Reachability.Yes), diagnosis.CanBeReached);
        Assert.All(diagnosis.Verdicts, static verdict => Assert.NotEmpty(verdict.Seen));
    }).Holds(40);

    private static Machine Random(Random random)
    {
        ulong[] apertures = [0, 0xC000_0000, 0x38_0000_0000, 0xFE_0000_0000];
        Machine machine = new Machine
        {
            SwitchAcs = random.Next(3) == 0 ? null : (ushort)random.Next(0x60),
            RootAcs = random.Next(3) == 0 ? null : (ushort)random.Next(0x60),
            Shown = random.Next(3) == 0 ? 64 : 4096,
            Aperture = apertures[random.Next(apertures.Length)],
            ApertureSize = 256 << 20,
            LargestPower = random.Next(3) == 0 ? 0 : random.Next(8, 16),
            FunctionReset = random.Next(2) == 0,
            Sound = random.Next(2) == 0,
            DriveMessages = random.Next(2) == 0,
            RootId = (ushort)(random.Next(2) == 0 ? 0x2030 : 0x1234),
            Vfs = random.Next(2) == 0 ? 0 : random.Next(1, 64),
            VfBars = random.Next(3) == 0 ? 0 : 0x38_9000_0000UL,
        }.Build();
        if (random.Next(3) == 0)
        {
            machine.Group(10, Machine.Nic);
        }

        string[] drivers = ["nvidia", "vfio-pci", "nouveau"];
        return machine.Driver(Machine.Gpu, drivers[random.Next(drivers.Length)]).Of(Machine.Drive, "numa_node", $"{random.Next(-1, 2)}\n");
    }
}
