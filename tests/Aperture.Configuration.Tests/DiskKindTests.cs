using Aperture.Configuration.Kinds;

namespace Aperture.Configuration.Tests;

public class DiskKindTests
{
    private static DiskSpec Parse(string options) => Assert.IsType<DiskSpec>(ConfigReader.ReadDevice("disk," + options));

    [Fact]
    public void Options_are_read_in_any_order()
    {
        DiskSpec disk = Parse("bootindex=1,file=/a b.img,readonly=on,serial=S-1,id=d0,addr=03.1,port=rp0");
        Assert.Equal(
            new DiskSpec { File = "/a b.img", ReadOnly = true, Serial = "S-1", Id = "d0", DeviceFunction = 0x19, Port = "rp0", BootIndex = 1 },
            disk);
        Assert.Null(Parse("file=x").BootIndex);
    }

    [Theory]
    [InlineData("id=d", "file")]
    [InlineData("file=", "empty")]
    [InlineData("file=x,file=y", "twice")]
    [InlineData("file=x,readonly=yes", "on or off")]
    [InlineData("file=x,readonly=on,snapshot=on", "exclude")]
    [InlineData("file=x,bootindex=-1", "0 to 255")]
    [InlineData("file=x,serial=123456789012345678901", "20")]
    [InlineData("file=x,addr=20.0", "1f.7")]
    [InlineData("file=x,colour=red", "the options are")]
    public void A_bad_option_is_refused_in_a_sentence_that_says_what_is_legal(string options, string says)
    {
        Assert.Contains(says, Assert.Throws<ApertureException>(() => Parse(options)).Message, StringComparison.Ordinal);
    }
}
