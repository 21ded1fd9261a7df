using Aperture.Pci.Capabilities;
using Aperture.Pci.Registers;
using Aperture.TestKit.Parts.Assigned;
using FsCheck;
using FsCheck.Fluent;

namespace Aperture.Assignment.Tests;

/// <summary>MSI-X against an independent model: which vectors are connected with which message, and that no interrupt is lost or doubled.</summary>
public class MsixModelTests
{
    private const int Vectors = 3;

    private enum Step
    {
        Enable,
        Disable,
        MaskFunction,
        Mask,
        Unmask,
        NewMessage,
        Raise,
        ReadPending,
        MasterOff,
        MasterOn,
    }

    private static Gen<(Step Step, int Vector)[]> Sequences { get; } =
        (from step in Gen.Frequency(
            (2, Gen.Constant(Step.Enable)), (1, Gen.Constant(Step.Disable)), (1, Gen.Constant(Step.MaskFunction)), (4, Gen.Constant(Step.Mask)),
            (6, Gen.Constant(Step.Unmask)), (2, Gen.Constant(Step.NewMessage)), (8, Gen.Constant(Step.Raise)), (6, Gen.Constant(Step.ReadPending)),
            (1, Gen.Constant(Step.MasterOff)), (2, Gen.Constant(Step.MasterOn)))
         from vector in Gen.Choose(0, Vectors - 1)
         select (step, vector)).ArrayOf();

    private sealed class Model
    {
        public bool Enabled { get; set; }

        public bool FunctionMasked { get; set; }

        public bool Master { get; set; }

        public bool[] Masked { get; } = [.. Enumerable.Repeat(true, Vectors)];

        public bool[] Pending { get; } = new bool[Vectors];

        public uint[] Generation { get; } = new uint[Vectors];

        public List<MsiMessage> Delivered { get; } = [];

        public bool MaySend(int vector) => Enabled && !FunctionMasked && Master && !Masked[vector];

        public List<MsiMessage> Connected => [.. Enumerable.Range(0, Vectors).Where(MaySend).Select(v => Bench.MessageOf(v, Generation[v]))];

        public void Flush()
        {
            for (int v = 0; v < Vectors; v++)
            {
                if (Pending[v] && MaySend(v))
                {
                    Pending[v] = false;
                    Delivered.Add(Bench.MessageOf(v, Generation[v]));
                }
            }
        }
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Connected_vectors_and_deliveries_are_what_the_registers_say(bool canGrow) =>
        Prop.ForAll(Sequences.ToArbitrary(), steps => Agrees(steps, canGrow)).Holds(400);

    private static bool Agrees((Step Step, int Vector)[] steps, bool canGrow)
    {
        using Bench bench = new(SampleConfig.Nvme(Vectors, canGrow));
        MsixCapability msix = bench.Function.Find<MsixCapability>()!;
        Model model = new();
        for (int v = 0; v < Vectors; v++)
        {
            bench.Program(v, masked: true);
        }

        foreach ((Step step, int vector) in steps)
        {
            Do(bench, msix, model, step, vector);
            model.Flush();
            Assert.Equal(Sorted(model.Connected), Sorted(bench.Guest.Connected));
            Assert.Equal(Sorted(model.Delivered), Sorted([.. bench.Guest.Delivered, .. bench.Sink.Sent]));
        }

        return true;
    }

    private static void Do(Bench bench, MsixCapability msix, Model model, Step step, int vector)
    {
        switch (step)
        {
            case Step.Enable or Step.Disable or Step.MaskFunction:
                model.Enabled = step != Step.Disable;
                model.FunctionMasked = step == Step.MaskFunction;
                bench.SetMsix(model.Enabled, model.FunctionMasked);
                break;
            case Step.Mask or Step.Unmask:
                model.Masked[vector] = step == Step.Mask;
                msix.Table.Write(((ulong)vector * 16) + 12, 4, model.Masked[vector] ? 1u : 0u);
                break;
            case Step.NewMessage:
                model.Generation[vector]++;
                msix.Table.Write(((ulong)vector * 16) + 8, 4, Bench.MessageOf(vector, model.Generation[vector]).Data);
                break;
            case Step.Raise:
                // A vector that the host has not enabled cannot interrupt: the device itself holds it back.
                bool possible = bench.Device.TriggerOf(VfioIrqIndex.Msix, vector) is not null;
                Assert.True(possible || !model.MaySend(vector));
                model.Pending[vector] |= possible;
                bench.Device.Raise(VfioIrqIndex.Msix, vector);
                break;
            case Step.ReadPending:
                msix.PendingBits.Read(0, 8, out ulong bits);
                ulong expected = Enumerable.Range(0, Vectors).Where(v => model.Pending[v]).Aggregate(0ul, (all, v) => all | 1ul << v);
                Assert.Equal(expected, bits);
                break;
            default:
                model.Master = step == Step.MasterOn;
                bench.Enable(model.Master ? PciCommand.MemorySpace | PciCommand.BusMaster : PciCommand.MemorySpace);
                break;
        }
    }

    private static List<MsiMessage> Sorted(List<MsiMessage> messages) => [.. messages.OrderBy(m => m.Address.Value).ThenBy(m => m.Data)];
}
