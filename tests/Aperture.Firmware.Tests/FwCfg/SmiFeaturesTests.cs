using Aperture.Firmware.FwCfg;

namespace Aperture.Firmware.Tests.FwCfg;

public class SmiFeaturesTests
{
    private readonly SmiFeatures _features = new();

    private Dictionary<string, IFirmwareItem> Files => _features.Files.ToDictionary();

    [Fact]
    public void Firmware_gets_what_it_asks_for_once_it_looks_and_keeps_it_until_a_reset()
    {
        Assert.Equal([1, 0, 0, 0, 0, 0, 0, 0], Read(SmiFeatures.SupportedFile));
        Assert.False(Files[SmiFeatures.SupportedFile].IsWritable);
        Ask(1);
        Assert.False(_features.IsBroadcast);
        Assert.Equal([1], Agree());
        Assert.True(_features.IsBroadcast);
        Assert.False(Files[SmiFeatures.RequestedFile].IsWritable);
        Assert.Equal([1, 0, 0, 0, 0, 0, 0, 0], Read(SmiFeatures.RequestedFile));
        Files[SmiFeatures.RequestedFile].Reset();
        Assert.False(_features.IsBroadcast);
        Assert.Equal([0], Read(SmiFeatures.AgreedFile));
        Assert.True(Files[SmiFeatures.RequestedFile].IsWritable);
    }

    [Theory]
    [InlineData(0ul, 1, false)]
    [InlineData(1ul, 1, true)]
    [InlineData(2ul, 0, false)]
    [InlineData(3ul, 0, false)]
    [InlineData(1ul << 63, 0, false)]
    [InlineData(ulong.MaxValue, 0, false)]
    public void What_the_machine_has_not_is_not_agreed_on(ulong wanted, byte agreed, bool broadcast)
    {
        Ask(wanted);
        Assert.Equal((agreed, broadcast), (Assert.Single(Agree()), _features.IsBroadcast));
    }

    [Fact]
    public void A_refusal_is_not_the_last_word()
    {
        Ask(6);
        Assert.Equal([0], Agree());
        Ask(1);
        Assert.Equal([1], Agree());
        Assert.True(_features.IsBroadcast);
    }

    private void Ask(ulong wanted) => Assert.True(Files[SmiFeatures.RequestedFile].Write(0, BitConverter.GetBytes(wanted)));

    private byte[] Agree()
    {
        Files[SmiFeatures.AgreedFile].Select();
        return Read(SmiFeatures.AgreedFile);
    }

    private byte[] Read(string name)
    {
        byte[] bytes = new byte[Files[name].Length];
        Assert.True(Files[name].Read(0, bytes));
        return bytes;
    }
}
