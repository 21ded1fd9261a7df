namespace Aperture.Host.Reading;

/// <summary>Reads streams whose length nobody vouches for.</summary>
internal static class Bounded
{
    /// <summary>Everything up to the end of <paramref name="stream"/>; null when that is more than <paramref name="limit"/> bytes.</summary>
    internal static byte[]? Read(Stream stream, long limit)
    {
        using MemoryStream content = new();
        byte[] buffer = new byte[16 << 10];
        int count;
        while ((count = stream.Read(buffer, 0, (int)Math.Min(buffer.Length, limit + 1 - content.Length))) > 0)
        {
            content.Write(buffer, 0, count);
            if (content.Length > limit)
            {
                return null;
            }
        }

        return content.ToArray();
    }
}
