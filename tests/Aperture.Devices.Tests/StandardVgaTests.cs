using Aperture.Devices.Display;
using Aperture.Devices.Tests.Fakes;
using Aperture.Memory;
using Aperture.Pci;
using Aperture.Pci.Registers;
using Aperture.TestKit.Devices;

namespace Aperture.Devices.Tests;

public sealed class StandardVgaTests : IDisposable
{
    private readonly VgaDriver _driver = new();

    public void Dispose() => _driver.Dispose();

    private static uint Pixel(ScreenImage image, int x, int y)
    {
        int at = ((y * image.Width) + x) * 4;
        Assert.Equal(0xFF, image.Pixels[at + 3]);
        return (uint)(image.Pixels[at] << 16 | image.Pixels[at + 1] << 8 | image.Pixels[at + 2]);
    }

    [Fact]
    public void Configuration_space_says_what_drivers_bind_to()
    {
        StandardVga vga = _driver.Vga;
        Assert.Equal(0x1111_1234u, vga.ReadConfig(0, 4));
        Assert.Equal(0x0300_00u, vga.ReadConfig(8, 4) >> 8);
        Assert.Equal(
            [(0, BarKind.Memory32Prefetchable, 16UL << 20), (2, BarKind.Memory32, 4096UL)],
            vga.Bars.Select(bar => (bar.Index, bar.Kind, bar.Size)));
        Assert.NotNull(vga.Memory(0));
        Assert.Null(vga.Handler(0));
        Assert.NotNull(vga.Handler(2));
    }

    [Fact]
    public void Legacy_ranges_answer_only_while_the_command_register_lets_them()
    {
        StandardVga vga = _driver.Vga;
        _driver.TextMode();
        vga.WriteConfig(PciRegisters.Command, 2, (uint)PciCommand.MemorySpace);
        Assert.Equal(AccessResult.Unclaimed, vga.LegacyPorts.Read(0x1C, 1, out _));
        Assert.Equal(AccessResult.Unclaimed, vga.BochsPorts.Read(0, 2, out _));
        Assert.Equal(AccessResult.Ok, vga.LegacyWindow.Read(0x18000, 1, out _));
        vga.WriteConfig(PciRegisters.Command, 2, (uint)PciCommand.IoSpace);
        Assert.Equal(AccessResult.Ok, vga.LegacyPorts.Read(0x1C, 1, out _));
        Assert.Equal(AccessResult.Unclaimed, vga.LegacyWindow.Write(0x18000, 1, 0));
    }

    [Fact]
    public void Text_is_read_as_the_lines_on_the_screen()
    {
        _driver.TextMode();
        _driver.Print(0, 0, "SeaBIOS (version 1.16.2)   ");
        _driver.Print(2, 3, "Press ESC for boot menu.");
        _driver.Print(24, 78, "\u00CD\u00BA");
        _driver.Crtc(0x0E, 0);
        _driver.Crtc(0x0F, 165);
        TextScreen text = _driver.Vga.ReadText()!;
        Assert.Equal(80, text.Columns);
        Assert.Equal(25, text.Lines.Count);
        Assert.Equal("SeaBIOS (version 1.16.2)", text.Lines[0]);
        Assert.Equal("", text.Lines[1]);
        Assert.Equal("   Press ESC for boot menu.", text.Lines[2]);
        Assert.Equal(new string(' ', 78) + "\u2550\u2551", text.Lines[24]);
        Assert.Equal((2, 5), (text.CursorLine, text.CursorColumn));
        Assert.StartsWith("SeaBIOS (version 1.16.2)\n\n   Press", text.ToString(), StringComparison.Ordinal);
    }

    [Fact]
    public void The_start_address_scrolls_the_text_and_graphics_modes_have_none()
    {
        _driver.TextMode();
        _driver.Print(1, 0, "second");
        _driver.Crtc(0x0D, 80);
        Assert.Equal("second", _driver.Vga.ReadText()!.Lines[0]);
        _driver.Mode13();
        Assert.Null(_driver.Vga.ReadText());
        _driver.TextMode();
        _driver.DispiMode(640, 480, 32);
        Assert.Null(_driver.Vga.ReadText());
    }

    [Fact]
    public void Text_reads_back_through_the_window_as_it_was_written()
    {
        _driver.TextMode();
        _driver.Print(3, 3, "Hello", 0x1F);
        Assert.Equal((byte)'H', _driver.Peek(0xB8000 + 486));
        Assert.Equal(0x1F, _driver.Peek(0xB8000 + 487));
        Assert.Equal(AccessResult.Ok, _driver.Vga.LegacyWindow.Read(0x18000 + 486, 4, out ulong value));
        Assert.Equal(0x1F65_1F48UL, value);
        Assert.Equal(0xFF, _driver.Peek(0xA0000));
        Assert.Equal(0xFF, _driver.Peek(0xB0000));
    }

    [Fact]
    public void A_screenshot_of_text_has_the_guests_own_font_and_colours()
    {
        _driver.TextMode();
        _driver.Dac(7, 42, 42, 42);
        _driver.Dac(0x14, 42, 21, 0);
        _driver.Glyph((byte)'A', 0b1000_0001, 0, 0xFF);
        _driver.Glyph(0xC4, 0xFF);
        _driver.Print(1, 2, "A", 0x67);
        _driver.Print(1, 4, "\u00C4", 0x07);
        ScreenImage image = _driver.Vga.Capture();
        Assert.Equal((720, 400), (image.Width, image.Height));
        const uint Grey = 0xAAAAAA;
        const uint Brown = 0xAA5500;
        Assert.Equal(
            [Grey, Brown, Brown, Brown, Brown, Brown, Brown, Grey, Brown],
            Enumerable.Range(18, 9).Select(x => Pixel(image, x, 16)));
        Assert.Equal(Brown, Pixel(image, 18, 17));
        Assert.Equal(Grey, Pixel(image, 25, 18));
        Assert.Equal(Grey, Pixel(image, (4 * 9) + 8, 16)); // line drawing runs into the ninth dot
        _driver.In(0x3DA);
        _driver.Out(0x3C0, 0);
        Assert.DoesNotContain(_driver.Vga.Capture().Pixels.Where((_, i) => i % 4 != 3), value => value != 0);
    }

    [Fact]
    public void Mode_13h_is_a_line_of_bytes()
    {
        _driver.Mode13();
        _driver.Dac(200, 63, 0, 63);
        _driver.Poke(0xA0000 + (320 * 10) + 7, 200);
        Assert.Equal(200, _driver.Peek(0xA0000 + (320 * 10) + 7));
        ScreenImage image = _driver.Vga.Capture();
        Assert.Equal((320, 200), (image.Width, image.Height));
        Assert.Equal(0xFF00FFu, Pixel(image, 7, 10));
        Assert.Equal(0u, Pixel(image, 8, 10));
    }

    [Fact]
    public void Mode_12h_draws_in_planes()
    {
        _driver.Mode12();
        _driver.Dac(5, 0, 63, 0);
        _driver.Graphics(5, 2);
        _driver.Graphics(8, 0b0010_0000);
        _driver.Peek(0xA0000 + (80 * 479) + 79);
        _driver.Poke(0xA0000 + (80 * 479) + 79, 5);
        ScreenImage image = _driver.Vga.Capture();
        Assert.Equal((640, 480), (image.Width, image.Height));
        Assert.Equal(0x00FF00u, Pixel(image, 634, 479));
        Assert.Equal(0u, Pixel(image, 635, 479));
    }

    [Theory]
    [InlineData(8)]
    [InlineData(15)]
    [InlineData(16)]
    [InlineData(24)]
    [InlineData(32)]
    public void Bochs_modes_show_the_framebuffer(int depth)
    {
        _driver.TextMode();
        _driver.Vga.Memory(0)!.AsSpan(0, 1 << 20).Fill(0x55);
        _driver.DispiMode(640, 400, (ushort)depth);
        _driver.Dac(9, 63, 32, 0);
        int bytes = (depth + 7) / 8;
        Span<byte> pixel = _driver.Vga.Memory(0)!.AsSpan((ulong)(((640 * 3) + 5) * bytes), bytes);
        Assert.Equal(new byte[bytes], pixel.ToArray());
        uint value = depth switch
        {
            8 => 9,
            15 => 0x7E00,
            16 => 0xFC00,
            _ => 0xFF8200,
        };
        for (int i = 0; i < bytes; i++)
        {
            pixel[i] = (byte)(value >> (8 * i));
        }

        ScreenImage image = _driver.Vga.Capture();
        Assert.Equal((640, 400), (image.Width, image.Height));
        Assert.Equal(depth == 15 ? 0xFF8400u : 0xFF8200u, Pixel(image, 5, 3));
        Assert.Equal(0u, Pixel(image, 6, 3));
    }

    [Fact]
    public void Bochs_registers_report_id_memory_and_limits_and_keep_modes_inside_the_memory()
    {
        Assert.Equal(0xB0C5, _driver.Dispi(0));
        Assert.Equal(256, _driver.Dispi(0xA));
        _driver.Dispi(4, 2);
        Assert.True(_driver.Dispi(1) >= 1920);
        Assert.Equal(32, _driver.Dispi(3));
        _driver.Dispi(4, 0);
        _driver.DispiMode(4096, 4096, 32);
        Assert.Equal(0, _driver.Dispi(4) & 1);
        _driver.DispiMode(1024, 768, 32);
        Assert.Equal(0x41, _driver.Dispi(4));
        Assert.Equal(1024, _driver.Dispi(6));
        Assert.Equal(4096, _driver.Dispi(7));
        _driver.Dispi(6, 2048);
        Assert.Equal(2048, _driver.Dispi(6));
        Assert.Equal(2048, _driver.Dispi(7));
        _driver.Dispi(8, 100);
        _driver.Dispi(9, 50);
        _driver.Vga.Memory(0)!.Write((((50UL * 2048) + 100) * 4) + 2, (byte)0xFF);
        Assert.Equal(0xFF0000u, Pixel(_driver.Vga.Capture(), 0, 0));
        _driver.Dispi(9, 65535);
        Assert.Equal(0u, Pixel(_driver.Vga.Capture(), 0, 0));
    }

    [Theory]
    [InlineData(8)]
    [InlineData(32)]
    public void A_Bochs_mode_that_is_on_cannot_be_stretched_beyond_the_memory(int depth)
    {
        _driver.DispiMode(640, 480, (ushort)depth);
        _driver.Dispi(2, 12000);
        _driver.Dispi(1, 16000);
        _driver.Dispi(6, 16000);
        _driver.Dispi(8, 0);
        ScreenImage image = _driver.Vga.Capture();
        Assert.True((ulong)image.Width * (ulong)image.Height * (ulong)depth / 8 <= _driver.Vga.Memory(0)!.Size, $"{image.Width} by {image.Height}");

        // What fits is taken while the mode is on.
        _driver.DispiMode(640, 480, (ushort)depth);
        _driver.Dispi(2, 600);
        _driver.Dispi(6, 800);
        _driver.Dispi(1, 800);
        _driver.Dispi(8, 0);
        image = _driver.Vga.Capture();
        Assert.Equal((800, 600), (image.Width, image.Height));
    }

    // A bus splits a word at an odd port.
    [Fact]
    public void Bochs_data_is_taken_in_two_bytes_and_given_in_two()
    {
        using AddressSpace ports = AddressSpace.ForPorts();
        using (AddressChange change = ports.Begin())
        {
            change.Place(Region.Trapped("dispi", StandardVga.DispiPortCount, _driver.Vga.BochsPorts), new GuestAddress(StandardVga.FirstDispiPort), 0);
            change.Commit();
        }

        Dispatcher bus = new(ports, new UnclaimedLog(_ => { }));
        LookupCache cache = default;
        bus.Write(ref cache, new GuestAddress(0x1CE), 2, 0);
        bus.Write(ref cache, new GuestAddress(0x1CF), 2, 0xB0C0);
        Assert.Equal(AccessResult.Ok, bus.Read(ref cache, new GuestAddress(0x1CF), 2, out ulong id));
        Assert.Equal(0xB0C0UL, id);

        // The aligned twin of the data port.
        Assert.Equal(AccessResult.Ok, bus.Write(ref cache, new GuestAddress(0x1D0), 2, 0xB0C4));
        Assert.Equal(AccessResult.Ok, bus.Read(ref cache, new GuestAddress(0x1D0), 2, out id));
        Assert.Equal(0xB0C4UL, id);
        Assert.Equal(0xB0C4, _driver.Dispi(0));
    }

    [Fact]
    public void BAR_2_mirrors_ports_and_Bochs_registers()
    {
        IAccessHandler bar = _driver.Vga.Handler(2)!;
        bar.Out(0x402, 0x67);
        Assert.Equal(0x67, _driver.In(0x3CC));
        Assert.Equal(AccessResult.Ok, bar.Read(0x500, 2, out ulong id));
        Assert.Equal(0xB0C5UL, id);
        Assert.Equal(AccessResult.Ok, bar.Write(0x502, 2, 800));
        Assert.Equal(800, _driver.Dispi(1));
        Assert.Equal(8u, bar.In32(0x600));
        Assert.Equal(0x1E1E1E1Eu, bar.In32(0x604));
        Assert.Equal(0u, bar.In32(0));
    }

    [Fact]
    public void The_bank_register_moves_the_legacy_window_in_Bochs_modes()
    {
        _driver.Mode13();
        _driver.DispiMode(1024, 768, 8);
        _driver.Dispi(5, 3);
        _driver.Poke(0xA0010, 0x77);
        Assert.Equal(0x77, _driver.Vga.Memory(0)!.Read<byte>(0x30010));
        Assert.Equal(0x77, _driver.Peek(0xA0010));
        _driver.Dispi(5, 0xFFFF);
        Assert.Equal(0xFF, _driver.Peek(0xA0010));
        _driver.Poke(0xA0010, 1);
    }

    [Fact]
    public void Palette_attributes_and_retrace_behave_as_programs_expect()
    {
        _driver.TextMode();
        _driver.Dac(3, 1, 2, 3);
        _driver.Out(0x3C7, 3);
        Assert.Equal([1, 2, 3], new[] { _driver.In(0x3C9), _driver.In(0x3C9), _driver.In(0x3C9) });
        _driver.In(0x3DA);
        _driver.Out(0x3C0, 0x25);
        Assert.Equal(5, _driver.In(0x3C1));
        byte first = _driver.In(0x3DA);
        Assert.NotEqual(first & 8, _driver.In(0x3DA) & 8);
        _driver.Crtc(0x11, 0x8E);
        _driver.Crtc(1, 0x12);
        _driver.Out(0x3D4, 1);
        Assert.Equal(0x4F, _driver.In(0x3D5));
        Assert.Equal(0xFF, _driver.In(0x3B5));
    }

    [Fact]
    public void Reset_blanks_the_adapter()
    {
        _driver.TextMode();
        _driver.DispiMode(640, 480, 32);
        _driver.Vga.Reset(ResetKind.Cold);
        Assert.Equal(GuestOff, _driver.Vga.LegacyPorts.Read(0x1C, 1, out _));
        _driver.Vga.WriteConfig(PciRegisters.Command, 2, 3);
        Assert.Equal(0, _driver.In(0x3CC));
        Assert.Equal(0, _driver.Dispi(4));
        Assert.Equal(0xFF, _driver.Peek(0xA0000));
    }

    private static AccessResult GuestOff => AccessResult.Unclaimed;

    // Each pixel of eight and each plane apart, where the device works on four bytes at once.
    private static bool WriteBit(byte[] g, bool[] latch, int plane, int bit, byte value, bool before, int mapMask)
    {
        int mode = g[5] & 3;
        bool rotated = (value >> ((bit + (g[3] & 7)) & 7) & 1) != 0;
        bool setReset = (g[0] >> plane & 1) != 0;
        bool source = mode switch
        {
            0 => (g[1] >> plane & 1) != 0 ? setReset : rotated,
            2 => (value >> plane & 1) != 0,
            _ => setReset,
        };
        bool result = (g[3] >> 3 & 3) switch
        {
            1 => source & latch[plane],
            2 => source | latch[plane],
            3 => source ^ latch[plane],
            _ => source,
        };
        bool selected = (g[8] >> bit & 1) != 0 && (mode != 3 || rotated);
        bool written = mode == 1 ? latch[plane] : selected ? result : latch[plane];
        return (mapMask >> plane & 1) != 0 ? written : before;
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    public void Planar_writes_and_reads_match_a_model_of_single_bits(int seed)
    {
        Random random = new(seed);
        _driver.Mode12();
        byte[,] planes = new byte[4, 64];
        byte[] latch = new byte[4];
        byte[] g = new byte[9];
        for (int i = 0; i < 20_000; i++)
        {
            for (int register = 0; register <= 8; register++)
            {
                if (register is not 6 && random.Next(3) == 0)
                {
                    g[register] = register switch
                    {
                        5 => (byte)(random.Next(4) | (random.Next(4) == 0 ? 8 : 0)),
                        8 when random.Next(2) == 0 => 0xFF,
                        _ => (byte)random.Next(256),
                    };
                    _driver.Graphics(register, g[register]);
                }
            }

            int mapMask = random.Next(16);
            _driver.Sequencer(2, (byte)mapMask);
            int at = random.Next(64);
            if (random.Next(2) == 0)
            {
                for (int plane = 0; plane < 4; plane++)
                {
                    latch[plane] = planes[plane, at];
                }

                byte expected = latch[g[4] & 3];
                if ((g[5] & 8) != 0)
                {
                    expected = 0;
                    for (int bit = 0; bit < 8; bit++)
                    {
                        bool same = true;
                        for (int plane = 0; plane < 4; plane++)
                        {
                            same &= (g[7] >> plane & 1) == 0 || (latch[plane] >> bit & 1) == (g[2] >> plane & 1);
                        }

                        expected |= (byte)(same ? 1 << bit : 0);
                    }
                }

                Assert.Equal(expected, _driver.Peek(0xA0000 + (ulong)at));
                continue;
            }

            byte value = (byte)random.Next(256);
            for (int bit = 0; bit < 8; bit++)
            {
                bool[] latched = [.. latch.Select(l => (l >> bit & 1) != 0)];
                for (int plane = 0; plane < 4; plane++)
                {
                    bool before = (planes[plane, at] >> bit & 1) != 0;
                    bool after = WriteBit(g, latched, plane, bit, value, before, mapMask);
                    planes[plane, at] = (byte)((planes[plane, at] & ~(1 << bit)) | (after ? 1 << bit : 0));
                }
            }

            _driver.Poke(0xA0000 + (ulong)at, value);
        }
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    public void Whatever_the_registers_say_the_screen_can_be_read(int seed)
    {
        Random random = new(seed);
        for (int i = 0; i < 60; i++)
        {
            for (int k = 0; k < 200; k++)
            {
                _driver.Out(0x3B0 + random.Next(0x30), (byte)random.Next(256));
                _driver.Crtc(random.Next(0x19), (byte)random.Next(256));
                _driver.Sequencer(random.Next(5), (byte)random.Next(256));
                _driver.Graphics(random.Next(9), (byte)random.Next(256));
                _driver.Dispi(random.Next(12), (ushort)(random.Next(2) == 0 ? random.Next(65536) : random.Next(64)));
                _driver.Vga.LegacyWindow.Write((ulong)random.Next(0x20000), 1 << random.Next(4), (ulong)random.NextInt64());
                _driver.Vga.LegacyWindow.Read((ulong)random.Next(0x20000), 1 << random.Next(4), out _);
            }

            if (random.Next(2) == 0)
            {
                _driver.DispiMode((ushort)random.Next(1, 2000), (ushort)random.Next(1, 1000), (ushort)(random.Next(1, 5) * 8));
                _driver.Dispi(8, (ushort)random.Next(65536));
                _driver.Dispi(9, (ushort)random.Next(65536));
            }
            else
            {
                _driver.Dispi(4, 0);
            }

            ScreenImage image = _driver.Vga.Capture();
            Assert.Equal(image.Width * image.Height * 4, image.Pixels.Length);
            Assert.InRange(image.Pixels.Length, 4, 64 << 20);
            _driver.Vga.ReadText();
        }
    }
}
