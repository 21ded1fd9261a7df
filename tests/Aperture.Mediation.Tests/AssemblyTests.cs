using System.Globalization;
using Aperture.Mediation.Mediators;
using Aperture.Pci;

namespace Aperture.Mediation.Tests;

/// <summary>Mediators of assemblies that are loaded while the program runs: the sample, and those at the end of this file.</summary>
public class AssemblyTests
{
    private const ulong Page = GrantBook.Page;

    private static readonly string Here = Path.Combine(AppContext.BaseDirectory, "Aperture.Mediation.Tests.dll");

    [Fact]
    public void The_sample_is_served_from_its_assembly()
    {
        IMediator mediator = MediatorAssembly.Make(Path.Combine(AppContext.BaseDirectory, "Whiteboard.dll"));
        Assert.Equal("whiteboard", mediator.Name);
        using Place place = new(mediator, guests: 2);
        using TestGuest one = place.Connect(0);
        using TestGuest other = place.Connect(1);
        Assert.Equal(0x0003_A9E7u, one.Read(7, 0));
        one.Write(2, 8, 42);
        one.Write(2, Page, 43);
        one.Write(0, 0, 1);
        Assert.Equal(0u, one.Read(0, 0));
        Assert.Equal((1u, 42u, 0u), (other.Read(0, 0), other.Read(2, 8), other.Read(2, Page)));
    }

    [Fact]
    public void Options_are_the_mediators_own()
    {
        using IMediator mediator = MediatorAssembly.Make($"{Here},type={nameof(EchoingMediator)},name=echo,size=64M=x");
        Assert.Equal("echo", mediator.Name);
        Assert.Equal("2 64M=x", mediator.ToString());
    }

    [Theory]
    [InlineData("nowhere.dll", "nowhere.dll is no assembly that can be loaded")]
    [InlineData("", "is no assembly that can be loaded")]
    [InlineData("xunit.v3.core.dll", "xunit.v3.core.dll has no class that implements Aperture.Mediation.IMediator")]
    [InlineData("Aperture.Mediation.Tests.runtimeconfig.json", "is no assembly that can be loaded")]
    [InlineData("Aperture.Mediation.Tests.dll", "has several mediators; give type= one of ")]
    [InlineData("Aperture.Mediation.Tests.dll,type=Nobody", "has not one mediator Nobody; give type= one of ")]
    [InlineData("Aperture.Mediation.Tests.dll,type=FakeMediator,size=1M", "FakeMediator has no options, so size= means nothing")]
    [InlineData("Aperture.Mediation.Tests.dll,type=EchoingMediator", "the mediator Aperture.Mediation.Tests.EchoingMediator could not be made: ")]
    [InlineData("Aperture.Mediation.Tests.dll,type=ChoosyMediator", "ChoosyMediator has no public constructor without parameters")]
    [InlineData("Whiteboard.dll,size", "'size' is not an option of the mediator in ")]
    [InlineData("Whiteboard.dll,=4", "'=4' is not an option")]
    [InlineData("Whiteboard.dll,size=4,size=5", "size= of the mediator in ")]
    public void What_cannot_be_made_is_told_in_a_sentence(string text, string why)
    {
        string path = text.Length == 0 ? text : Path.Combine(AppContext.BaseDirectory, text);
        Assert.Contains(why, Assert.Throws<ApertureException>(() => MediatorAssembly.Make(path)).Message, StringComparison.Ordinal);
    }
}

/// <summary>A mediator that is called what its options say, and needs that.</summary>
internal sealed class EchoingMediator : IMediator
{
    private readonly IReadOnlyDictionary<string, string> _options;

    public EchoingMediator(IReadOnlyDictionary<string, string> options) => (_options, Name) = (options, options["name"]);

    public string Name { get; }

    public FunctionDescription Describe(string guest) => new(new PciIdentity(1, 2, 3), []);

    public IMediatorSession Open(IGuest guest) => throw new ApertureException("nobody comes in");

    public override string ToString() => string.Create(CultureInfo.InvariantCulture, $"{_options.Count} {_options["size"]}");

    public void Dispose()
    {
    }
}

/// <summary>A mediator that only who knows it can make.</summary>
internal sealed class ChoosyMediator(int choice) : IMediator
{
    public string Name => $"choosy{choice}";

    public FunctionDescription Describe(string guest) => new(new PciIdentity(1, 2, 3), []);

    public IMediatorSession Open(IGuest guest) => throw new ApertureException("nobody comes in");

    public void Dispose()
    {
    }
}
