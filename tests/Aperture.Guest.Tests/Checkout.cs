namespace Aperture.Guest.Tests;

/// <summary>The checkout that the tests run from.</summary>
internal static class Checkout
{
    /// <summary>The program as users get it, which <c>./aperture</c> builds; APERTURE_TEST_PROGRAM names another.</summary>
    public static string Program =>
        Environment.GetEnvironmentVariable("APERTURE_TEST_PROGRAM") is { Length: > 0 } other ? other : Path.Combine(Root(), "bin", "aperture");

    /// <summary>A script of lab/.</summary>
    public static string Script(string name) => Path.Combine(Root(), "lab", name);

    /// <summary>The words as one command of a POSIX shell (XCU 2.2.2): everything between single quotes is literal.</summary>
    public static string Command(params IEnumerable<string> words) =>
        string.Join(' ', words.Select(word => "'" + word.Replace("'", "'\\''", StringComparison.Ordinal) + "'"));

    /// <summary>Its root folder.</summary>
    public static string Root()
    {
        string? at = AppContext.BaseDirectory;
        while (at is not null && !File.Exists(Path.Combine(at, "Aperture.slnx")))
        {
            at = Path.GetDirectoryName(at);
        }

        return at ?? throw new InvalidOperationException("the tests do not run from a checkout");
    }
}
