using Aperture.Devices.TestDevice;
using Aperture.Devices.Tests.Fakes;
using Aperture.TestKit.Devices;
using Aperture.TestKit.Parts.Devices;
using FsCheck;
using FsCheck.Fluent;

namespace Aperture.Devices.Tests;

public class TestDmaTests
{
    private const int MemorySize = 64 << 10;

    private readonly FakeDma _dma = new(MemorySize);
    private readonly TestDeviceCore _core;
    private readonly IAccessHandler _bar;

    public TestDmaTests()
    {
        _core = new TestDeviceCore(TestSpecs.Parse("id=t,bar0=mem32:64K"), _dma, new FakeTestInterrupts());
        _bar = _core.Handler(0)!;
        new Random(5).NextBytes(_dma.Memory);
    }

    private uint Run(uint command, ulong source, ulong destination, uint length)
    {
        _bar.Write(0x30, 8, source);
        _bar.Write(0x38, 8, destination);
        _bar.Out32(0x40, length);
        _bar.Out32(0x44, command);
        return _bar.In32(0x48);
    }

    [Fact]
    public void Commands_move_bytes_as_arrays_would_and_fail_exactly_when_a_byte_is_out_of_reach()
    {
        Gen<(int, int, int, int)> commands =
            from command in Gen.Choose(0, 4)
            from source in Gen.Choose(0, 70_000)
            from destination in Gen.Choose(0, 70_000)
            from length in Gen.Frequency((4, Gen.Choose(0, 4096)), (2, Gen.Choose(0, 9000)), (1, Gen.Choose(0, 70_000)))
            from smallOffset in Gen.Choose(0, 4200)
            select (command, command == 2 ? smallOffset : source, command == 1 ? smallOffset : destination, length);
        Prop.ForAll(commands.ListOf(12).ToArbitrary(), list =>
        {
            FakeDma dma = new(MemorySize);
            new Random(11).NextBytes(dma.Memory);
            IAccessHandler bar = new TestDeviceCore(TestSpecs.Parse("id=t,bar0=mem32:64K"), dma, new FakeTestInterrupts()).Handler(0)!;
            byte[] memory = [.. dma.Memory];
            byte[] buffer = new byte[4096];
            foreach ((int command, int source, int destination, int length) in list)
            {
                bar.Write(0x30, 8, (ulong)source);
                bar.Write(0x38, 8, (ulong)destination);
                bar.Out32(0x40, (uint)length);
                bar.Out32(0x44, (uint)command);
                uint status = Oracle(memory, buffer, command, source, destination, length);
                Assert.Equal(status, bar.In32(0x48));
                Assert.True(memory.AsSpan().SequenceEqual(dma.Memory));
            }

            for (int i = 0; i < 4096; i += 4)
            {
                Assert.Equal(BitConverter.ToUInt32(buffer, i), bar.In32(0x400 + (ulong)i));
            }
        }).Holds();
    }

    // Byte by byte; a guest-to-guest copy stops at the first 4 KiB piece that leaves memory.
    private static uint Oracle(byte[] memory, byte[] buffer, int command, int source, int destination, int length)
    {
        const uint Done = 1;
        byte[]? from = command == 2 ? buffer : memory;
        byte[]? to = command == 1 ? buffer : memory;
        if (command is 0 or 4)
        {
            return 0x102;
        }

        if ((command == 2 && source + length > 4096) || (command == 1 && destination + length > 4096))
        {
            return 0x202;
        }

        for (int done = 0; done < length || (length == 0 && command != 3 && done == 0); done += 4096)
        {
            int piece = command == 3 ? Math.Min(4096, length - done) : length;
            if (source + done + piece > from.Length || destination + done + piece > to.Length)
            {
                return 0x302;
            }

            byte[] moved = [.. from.Skip(source + done).Take(piece)];
            moved.CopyTo(to, destination + done);
        }

        return Done;
    }

    [Fact]
    public void A_page_that_fails_stops_the_copy_and_sets_the_error_until_the_next_command()
    {
        _dma.BrokenPage = 9;
        Assert.Equal(0x302u, Run(3, 0, 0x8000, 0x3000));
        Assert.Equal(_dma.Memory[..0x1000], _dma.Memory[0x8000..0x9000]);
        Assert.NotEqual(_dma.Memory[0x1000..0x2000], _dma.Memory[0x9000..0xA000]);
        _dma.BrokenPage = null;
        Assert.Equal(1u, Run(3, 0, 0x8000, 0x3000));
        Assert.Equal(_dma.Memory[..0x3000], _dma.Memory[0x8000..0xB000]);
    }

    [Theory]
    [InlineData(3u, 0ul, 0ul, (16u << 20) + 1, 0x202u)]
    [InlineData(1u, 0ul, 0ul, 4097u, 0x202u)]
    [InlineData(1u, 0ul, ulong.MaxValue, 1u, 0x202u)]
    [InlineData(2u, 4096ul, 0ul, 1u, 0x202u)]
    [InlineData(1u, ulong.MaxValue, 0ul, 2u, 0x302u)]
    [InlineData(3u, 0ul, ulong.MaxValue - 2, 4u, 0x302u)]
    [InlineData(0u, 0ul, 0ul, 1u, 0x102u)]
    [InlineData(0x101u, 0ul, 0ul, 1u, 0x102u)]
    public void What_no_command_may_do_touches_no_memory(uint command, ulong source, ulong destination, uint length, uint status)
    {
        Assert.Equal(status, Run(command, source, destination, length));
        Assert.Equal(0, _dma.Accesses);
    }

    [Fact]
    public void A_large_copy_goes_in_bounded_pieces()
    {
        Assert.Equal(1u, Run(3, 0, 0x8000, 0x8000));
        Assert.Equal(16, _dma.Accesses);
    }

    [Fact]
    public void A_command_that_reaches_the_engine_while_it_runs_is_dropped()
    {
        uint during = 0;
        _dma.OnAccess = () =>
        {
            during = _bar.In32(0x48);
            _bar.Out32(0x44, 2);
        };
        Assert.Equal(1u, Run(1, 0, 0, 64));
        Assert.Equal(4u, during);
        Assert.Equal(1, _dma.Accesses);
    }
}
