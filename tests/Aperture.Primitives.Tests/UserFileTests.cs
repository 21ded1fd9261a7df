namespace Aperture.Primitives.Tests;

public sealed class UserFileTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void A_length_is_that_of_what_the_links_lead_to()
    {
        File.WriteAllBytes(In("file"), new byte[1234]);
        Directory.CreateDirectory(In("folder"));
        Assert.Equal(1234UL, UserFile.Length(In("file")));
        Assert.Equal(1234UL, UserFile.Length(Link("one", In("file"))));
        Assert.Equal(1234UL, UserFile.Length(Link("two", "one")));
        Assert.Null(UserFile.Length(In("absent")));
        Assert.Null(UserFile.Length(Link("dangling", In("absent"))));
        Assert.Null(UserFile.Length(In("folder")));
        Link("round", In("circle"));
        Assert.Throws<IOException>(() => UserFile.Length(Link("circle", In("round"))));
    }

    [Fact]
    public void A_link_that_dangles_is_not_there_and_one_that_does_not_is()
    {
        File.WriteAllBytes(In("file"), []);
        Assert.True(UserFile.Exists(In("file")));
        Assert.True(UserFile.Exists(Link("link", "file")));
        Assert.True(UserFile.Exists(Link("up", _folder.Path)));
        Assert.False(UserFile.Exists(In("absent")));
        Assert.False(UserFile.Exists(Link("dangling", In("absent"))));
        Assert.Equal(In("absent"), UserFile.Behind(In("dangling")));
        Assert.Equal(In("file"), UserFile.Behind(Link("again", In("link"))));
        Assert.Equal(In("file"), UserFile.Behind(In("file")));
        Link("round", In("circle"));
        Assert.Equal(Link("circle", In("round")), UserFile.Behind(In("circle")));
    }

    private string In(string name) => _folder.In(name);

    private string Link(string name, string target) => _folder.Link(name, target);
}
