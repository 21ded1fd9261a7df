namespace Aperture.Firmware.Tests.Acpi;

/// <summary>Turns a resource template's bytes into words (ACPI 6.5 6.4), knowing nothing of the code that made them.</summary>
internal static class ResourceReader
{
    public static List<string> Read(byte[] template)
    {
        List<string> found = [];
        int at = 0;
        while (true)
        {
            byte tag = template[at];
            bool large = (tag & 0x80) != 0;
            int length = large ? template[at + 1] | template[at + 2] << 8 : tag & 7;
            byte[] body = template[(at + (large ? 3 : 1))..][..length];
            at += length + (large ? 3 : 1);
            if (tag == 0x79)
            {
                Assert.Equal(template.Length, at);
                return found;
            }

            found.Add(tag switch
            {
                0x22 => $"irq mask {Number(body, 0, 2):x}",
                0x47 => $"ports {Number(body, 1, 2):x}-{Number(body, 3, 2) + body[6] - 1:x}",
                0x86 => $"fixed {Number(body, 1, 4):x}+{Number(body, 5, 4):x}",
                0x87 => Space(body, 4),
                0x88 => Space(body, 2),
                0x89 => $"interrupt {Number(body, 2, 4)} flags {body[0]:x}",
                0x8A => Space(body, 8),
                _ => $"tag {tag:x}",
            });
        }
    }

    private static string Space(byte[] body, int width)
    {
        ulong first = Number(body, 3 + width, width);
        ulong last = Number(body, 3 + 2 * width, width);
        Assert.Equal(0UL, Number(body, 3, width));
        ulong translation = Number(body, 3 + 3 * width, width);
        string elsewhere = translation == 0 ? "" : $" at {first + translation:x}";

        // Ports that are memory on the other side say so.
        Assert.Equal(translation != 0, body[0] == 1 && (body[2] & 0x10) != 0);
        Assert.Equal(last - first + 1, Number(body, 3 + 4 * width, width));
        string kind = body[0] switch { 0 => "memory", 1 => "io", 2 => "bus", _ => "?" };
        string use = (body[1] & 1) == 0 ? "window" : "own";
        string prefetch = body[0] == 0 && (body[2] >> 1 & 3) == 3 ? " prefetchable" : "";
        Assert.Equal(0x0C, body[1] & 0x0E);
        return $"{kind}{8 * width} {use} {first:x}-{last:x}{prefetch}{elsewhere}";
    }

    private static ulong Number(byte[] bytes, int at, int width)
    {
        ulong value = 0;
        for (int i = width - 1; i >= 0; i--)
        {
            value = value << 8 | bytes[at + i];
        }

        return value;
    }
}
