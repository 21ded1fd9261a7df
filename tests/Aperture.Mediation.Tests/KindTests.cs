using Aperture.Mediation.Mediators;

namespace Aperture.Mediation.Tests;

public class KindTests
{
    [Theory]
    [InlineData("partition,size=64M", "partition")]
    [InlineData("partition,size=64M,page=2M,window=1G", "partition")]
    [InlineData("test", "test")]
    [InlineData("test,ram=4K", "test")]
    public void What_can_be_asked_for_is_made(string text, string name)
    {
        using IMediator mediator = MediatorKinds.Make(text);
        Assert.Equal(name, mediator.Name);
    }

    [Theory]
    [InlineData("", "is not a mediator")]
    [InlineData("partitions,size=1M", "did you mean partition?")]
    [InlineData("partition", "needs size=")]
    [InlineData("partition,size=64M,size=1M", "given twice")]
    [InlineData("partition,size", "is not an option")]
    [InlineData("partition,pages=3", "it has size=SIZE, page=SIZE, window=SIZE, trust=off|on")]
    [InlineData("partition,size=lots", "is not a size")]
    [InlineData("partition,size=1M,trust=yes", "is neither on nor off")]
    [InlineData("partition,size=28K", "from 8 to")]
    [InlineData("partition,size=0", "from 8 to")]
    [InlineData("partition,size=65K", "a multiple")]
    [InlineData("partition,size=64M,page=6K", "a power of two")]
    [InlineData("partition,size=64M,page=1K", "a power of two from 4K")]
    [InlineData("partition,size=64M,window=3M", "a power of two")]
    [InlineData("partition,size=1T,page=4K", "pages")]
    [InlineData("nvme,shares=1M", "needs vfio=")]
    [InlineData("nvme,vfio=x", "needs shares=")]
    [InlineData("nvme,vfio=x,shares=1M/", "is not a size")]
    [InlineData("nvme,vfio=x,shares=1M/0", "is not a size")]
    [InlineData("nvme,vfio=x,shares=1M,nsid=0", "give one from 1 on")]
    [InlineData("nvme,vfio=x,shares=1M,start=lots", "is not a size")]
    [InlineData("nvme,vfio=x,shares=1M", "opens no functions of the host")]
    [InlineData("nvme,vfio=x,size=1M", "it has vfio=BDF, shares=SIZE/SIZE/..., start=SIZE, nsid=NUMBER")]
    [InlineData("test,ram=3K", "a power of two from 4K")]
    [InlineData("test,size=4K", "it has ram=SIZE")]
    public void What_cannot_be_is_told_in_a_sentence(string text, string why) =>
        Assert.Contains(why, Assert.Throws<ApertureException>(() => MediatorKinds.Make(text)).Message, StringComparison.Ordinal);
}
