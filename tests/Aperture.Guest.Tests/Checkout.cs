namespace Aperture.Guest.Tests;

/// <summary>The checkout that the tests run from.</summary>
internal static class Checkout
{
    /// <summary>The program as users get it, which <c>./aperture</c> builds; APERTURE_TEST_PROGRAM names another.</summary>
    public static string Program =>
        Environment.GetEnvironmentVariable("APERTURE_TEST_PROGRAM") is { Length: > 0 } other ? other : Path.Combine(Root(), "bin", "aperture");

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
