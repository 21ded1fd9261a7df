using Aperture.Pci;
using Aperture.TestKit.Parts.Assigned;
using FsCheck;
using FsCheck.Fluent;

namespace Aperture.Assignment.Tests;

/// <summary>A guest that writes anything anywhere, and a device whose configuration space is noise.</summary>
public class HostileInputTests
{
    private sealed record Write(int Offset, int Size, uint Value);

    private static Gen<Write> Writes { get; } =
        from offset in Gen.Frequency(
            (3, Gen.Choose(0, 0xFF)), (2, Gen.Choose(0, 0xFFF)), (2, Gen.Elements(0x04, 0x10, 0x14, 0x18, 0x30, 0x44, 0x78, 0xB2, 0xA2, 0xF2)))
        from size in Gen.Elements(1, 2, 4)
        from value in Gen.OneOf(Gen.Elements(0u, uint.MaxValue, 7u, 0x8000u, 0xC000u), Gen.Choose(0, int.MaxValue).Select(n => (uint)n * 2654435761u))
        select new Write(offset, size, value);

    private static Gen<byte[]> Noise { get; } =
        from seed in Gen.Choose(0, int.MaxValue)
        from bits in Gen.Choose(0, 3)
        from size in Gen.Elements(256, 4096)
        select MakeNoise(seed, bits, size);

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    public void Random_writes_never_throw_never_reach_bars_and_leave_sizing_right(int sample) =>
        Prop.ForAll(Writes.ArrayOf(40).ToArbitrary(), writes =>
        {
            FakeDevice device = sample == 0 ? SampleConfig.Nvme() : SampleConfig.Network();
            using Bench bench = new(device);
            bench.Function.IntxGsi = 5;
            foreach (Write write in writes)
            {
                bench.Write(write.Offset, write.Size, write.Value);
                bench.Read(write.Offset, write.Size);
            }

            Assert.DoesNotContain(device.ConfigWrites, w => w.Offset < 0x40 && w.Offset + (ulong)w.Bytes.Length > 6);
            foreach (Bar bar in bench.Function.Bars)
            {
                bench.Write(bar.Register, 4, uint.MaxValue);
                uint mask = (uint)~(bar.Size - 1);
                uint ignored = bar.Kind == BarKind.Io ? 3u : bar.Kind == BarKind.Rom ? 1u : 15u;
                Assert.Equal(mask & ~ignored, bench.Read(bar.Register, 4) & ~ignored);
            }

            return true;
        }).Holds(150);

    [Fact]
    public void Construction_from_noise_ends_and_the_lists_are_bounded() =>
        Prop.ForAll(Noise.ToArbitrary(), config =>
        {
            FakeDevice device = FakeDevice.With(config, SampleConfig.Intx, new VfioIrq(1, 32, true, false, false), new VfioIrq(2, 2048, false, false, true))
                .AddRegion(0, 0x10000).AddRegion(1, 0x100).AddRegion(2, 0x4000).AddRegion(4, 16).AddRegion(5, 1 << 20);
            Bench bench;
            try
            {
                bench = new Bench(device);
            }
            catch (ApertureException)
            {
                // A bridge, in one sentence.
                return (config[0x0E] & 0x7F) != 0;
            }

            using (bench)
            {
                AssignedConfigTests.Standard(bench);
                AssignedConfigTests.Extended(bench);
                for (int offset = 0; offset < config.Length; offset += 4)
                {
                    bench.Read(offset, 4);
                    bench.Write(offset, 4, bench.Read(offset, 4) ^ 0x0101_0101);
                }

                foreach (Bar bar in bench.Function.Bars)
                {
                    Assert.Equal(bar.Size, bench.Function.PartsOf(bar).Aggregate(0ul, (sum, p) => sum + p.Region.Size));
                }
            }

            Assert.DoesNotContain(device.ConfigWrites, w => w.Offset is >= 0x08 and < 0x40);
            return true;
        }).Holds(400);

    // Noise that mostly is a usable header: with it the capability lists are reached.
    private static byte[] MakeNoise(int seed, int bits, int size)
    {
        byte[] config = new byte[size];
        new Random(seed).NextBytes(config);
        if ((bits & 1) != 0)
        {
            config[0x0E] = 0;
            config[0x06] |= 0x10;
        }

        if ((bits & 2) != 0)
        {
            byte[] ids = [1, 5, 0x10, 0x11, 9, 0x13, 3];
            Random random = new(seed);
            config[0x34] = 0x40;
            for (int at = 0x40; at < 0x100; at += 4)
            {
                config[at] = ids[random.Next(ids.Length)];
                config[at + 1] = (byte)random.Next(0x40, 0x100);
            }
        }

        return config;
    }
}
