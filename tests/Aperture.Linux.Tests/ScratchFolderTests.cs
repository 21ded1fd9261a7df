using System.Diagnostics;

namespace Aperture.Linux.Tests;

public sealed class ScratchFolderTests : IDisposable
{
    private const string Prefix = "scratch-";
    private const string Mark = ".aperture-scratch";
    private readonly TemporaryFolder _parent = new();

    private string[] Folders => [.. Directory.GetDirectories(_parent.Path).Order()];

    public void Dispose() => _parent.Dispose();

    [Fact]
    public void A_folder_goes_with_its_owner_and_what_is_in_use_stays()
    {
        using ScratchFolder first = Make();
        using (ScratchFolder second = Make())
        {
            File.WriteAllText(Path.Combine(second.Path, "file"), "content");
            Assert.Equal(new[] { Outer(first), Outer(second) }.Order(), Folders);
        }

        Assert.Equal([Outer(first)], Folders);
        Directory.Delete(Outer(first), recursive: true);
    }

    [Fact]
    public void What_a_killed_process_left_is_removed_by_the_next_folder_of_its_kind()
    {
        string left = Left("left");
        Directory.CreateDirectory(Path.Combine(left, "deep"));
        File.WriteAllText(Path.Combine(left, "deep", "file"), "content");
        File.WriteAllText(_parent.In("precious"), "content");
        File.CreateSymbolicLink(Path.Combine(left, "link"), _parent.In("precious"));
        using ScratchFolder next = Make();
        Assert.Equal([Outer(next)], Folders);
        Assert.True(File.Exists(_parent.In("precious")));
    }

    [Fact]
    public void What_is_of_another_kind_or_without_the_mark_or_behind_a_link_stays()
    {
        string other = Directory.CreateDirectory(_parent.In("other-1")).FullName;
        File.WriteAllText(Path.Combine(other, Mark), "");
        string unmarked = Directory.CreateDirectory(_parent.In($"{Prefix}unmarked")).FullName;
        string linked = _parent.Link($"{Prefix}link", other);
        string markedByLink = Directory.CreateDirectory(_parent.In($"{Prefix}by-link")).FullName;
        File.CreateSymbolicLink(Path.Combine(markedByLink, Mark), Path.Combine(other, Mark));
        using ScratchFolder next = Make();
        Assert.Equal(new[] { other, unmarked, linked, markedByLink, Outer(next) }.Order(), Folders);
    }

    [Fact]
    public void What_another_user_left_stays()
    {
        if (FileStatus.CurrentUser != 0)
        {
            Assert.Skip("only root can make another user's folder");
        }

        string theirs = Left("theirs");
        Run("chown", "-R", "65534", theirs);
        using ScratchFolder next = Make();
        Assert.Contains(theirs, Folders);
    }

    [Fact]
    public void What_a_running_command_was_given_stays_until_it_ends()
    {
        string left = Left("left");
        using (Process child = Process.Start("tail", ["-f", Path.Combine(left, Mark)]))
        {
            using (Make())
            {
                Assert.Contains(left, Folders);
            }

            child.Kill();
            child.WaitForExit();
        }

        using ScratchFolder next = Make();
        Assert.Equal([Outer(next)], Folders);
    }

    [Fact]
    public void Many_at_once_each_have_a_folder_of_their_own()
    {
        for (int i = 0; i < 20; i++)
        {
            Left($"left{i}");
        }

        Parallel.For(0, 40, _ =>
        {
            using ScratchFolder own = Make();
            string file = Path.Combine(own.Path, "file");
            File.WriteAllText(file, own.Path);
            Assert.Equal(own.Path, File.ReadAllText(file));
        });
        Assert.Empty(Folders);
    }

    [Fact]
    public void A_file_s_status_tells_kind_and_owner()
    {
        string pipe = _parent.Pipe("pipe");
        string link = _parent.Link("link", pipe);
        Assert.Equal(new FileStatus(FileKind.Pipe, FileStatus.CurrentUser), FileStatus.Of(pipe));
        Assert.Equal((FileKind.Pipe, FileKind.Link), (FileStatus.Of(link).Kind, FileStatus.Of(link, follow: false).Kind));
        Assert.Equal((FileKind.Folder, FileKind.None), (FileStatus.Of(_parent.Path).Kind, FileStatus.Of(_parent.In("absent")).Kind));
        Assert.Equal(new FileStatus(FileKind.Ordinary, 0), FileStatus.Of("/etc/passwd"));
    }

    private ScratchFolder Make() => new(Prefix, _parent.Path);

    private static string Outer(ScratchFolder folder) => Path.GetDirectoryName(folder.Path)!;

    // As a killed process leaves its folder: with the mark, and without its lock.
    private string Left(string name)
    {
        string left = Directory.CreateDirectory(_parent.In(Prefix + name)).FullName;
        File.WriteAllText(Path.Combine(left, Mark), "");
        return left;
    }

    private static void Run(string program, params string[] arguments)
    {
        using Process child = Process.Start(program, arguments);
        child.WaitForExit();
        Assert.Equal(0, child.ExitCode);
    }
}
