using System.Buffers.Binary;
using System.Text;

namespace Aperture.Firmware.Aml;

/// <summary>
/// Makes AML from typed terms (ACPI 6.5 20.2.5), so that a table reads like its source language. This part holds values and named
/// objects; statements and expressions are in the other one.
/// </summary>
public static partial class Asl
{
    /// <summary>The value of LEqual and its like when they hold.</summary>
    public static AmlValue Ones { get; } = new([0xFF]);

    /// <summary>An integer, encoded as short as it goes.</summary>
    public static AmlValue Integer(ulong value) => new(AmlEncoding.Integer(value));

    /// <summary>A string of ASCII characters other than NUL.</summary>
    /// <exception cref="ArgumentException">A character is outside 1 to 0x7F.</exception>
    public static AmlValue String(string text)
    {
        ArgumentNullException.ThrowIfNull(text);
        return text.AsSpan().IndexOfAnyExceptInRange('\u0001', '\u007F') < 0
            ? new([0x0D, .. Encoding.ASCII.GetBytes(text), 0])
            : throw new ArgumentException("an AML string holds ASCII characters without NUL", nameof(text));
    }

    /// <summary>The integer form of a seven-character plug-and-play id such as <c>PNP0A08</c> (ACPI 6.5 19.6.36, EISAID).</summary>
    /// <exception cref="ArgumentException">Not three capital letters and four hexadecimal digits.</exception>
    public static AmlValue EisaId(string id)
    {
        ArgumentNullException.ThrowIfNull(id);
        if (id.Length != 7
            || id.AsSpan(0, 3).IndexOfAnyExceptInRange('A', 'Z') >= 0
            || !ushort.TryParse(id.AsSpan(3), System.Globalization.NumberStyles.AllowHexSpecifier, null, out ushort product))
        {
            throw new ArgumentException($"'{id}' is not a plug-and-play id of three letters and four digits", nameof(id));
        }

        // Five bits a letter, the whole big-endian.
        int vendor = (id[0] - '@') << 10 | (id[1] - '@') << 5 | (id[2] - '@');
        return Integer(BinaryPrimitives.ReverseEndianness((uint)vendor << 16 | product));
    }

    /// <summary>A UUID as the 16-byte buffer that ToUUID makes (ACPI 6.5 19.6.142): the first three groups little-endian.</summary>
    public static AmlValue ToUuid(Guid uuid) => Buffer(uuid.ToByteArray());

    /// <summary>A buffer with the given bytes.</summary>
    public static AmlValue Buffer(params ReadOnlySpan<byte> bytes) =>
        new(WithLength([0x11], [.. AmlEncoding.Integer((ulong)bytes.Length), .. bytes]));

    /// <summary>A package of up to 255 elements, or more as a variable package.</summary>
    public static AmlValue Package(params ReadOnlySpan<AmlValue> elements) => elements.Length <= byte.MaxValue
        ? new(WithLength([0x12], [(byte)elements.Length, .. Join(elements)]))
        : new(WithLength([0x13], [.. AmlEncoding.Integer((ulong)elements.Length), .. Join(elements)]));

    /// <summary>A resource template for _CRS.</summary>
    public static AmlValue ResourceTemplate(params ReadOnlySpan<AmlResource> resources)
    {
        List<byte> bytes = [];
        foreach (AmlResource resource in resources)
        {
            bytes.AddRange(resource.Bytes.Span);
        }

        // End tag (ACPI 6.5 6.4.2.9); checksum 0 means "not checked".
        bytes.AddRange([0x79, 0]);
        return Buffer([.. bytes]);
    }

    /// <summary>A reference to a named object.</summary>
    public static AmlTarget Path(string path) => new(AmlEncoding.Path(path));

    /// <summary>A method's local variable, 0 to 7.</summary>
    public static AmlTarget Local(int number)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan((uint)number, 7u, nameof(number));
        return new([(byte)(0x60 + number)]);
    }

    /// <summary>A method's argument, 0 to 6.</summary>
    public static AmlTarget Arg(int number)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan((uint)number, 6u, nameof(number));
        return new([(byte)(0x68 + number)]);
    }

    /// <summary>Opens an existing scope.</summary>
    public static AmlTerm Scope(string path, params ReadOnlySpan<AmlTerm> terms) =>
        new(WithLength([0x10], [.. AmlEncoding.Path(path), .. Join(terms)]));

    /// <summary>A device with its contents.</summary>
    public static AmlTerm Device(string name, params ReadOnlySpan<AmlTerm> terms) =>
        new(WithLength([0x5B, 0x82], [.. AmlEncoding.Path(name), .. Join(terms)]));

    /// <summary>A named constant.</summary>
    public static AmlTerm Name(string name, AmlValue value)
    {
        ArgumentNullException.ThrowIfNull(value);
        return new([0x08, .. AmlEncoding.Path(name), .. value.Bytes]);
    }

    /// <summary>A method. One that makes named objects must be <paramref name="serialized"/>, or two callers at once collide.</summary>
    public static AmlTerm Method(string name, int arguments, bool serialized, params ReadOnlySpan<AmlTerm> body)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan((uint)arguments, 7u, nameof(arguments));
        byte flags = (byte)(arguments | (serialized ? 8 : 0));
        return new(WithLength([0x14], [.. AmlEncoding.Path(name), flags, .. Join(body)]));
    }

    /// <summary>A window onto registers.</summary>
    public static AmlTerm OperationRegion(string name, AmlRegionSpace space, AmlValue offset, AmlValue length)
    {
        ArgumentNullException.ThrowIfNull(offset);
        ArgumentNullException.ThrowIfNull(length);
        return new([0x5B, 0x80, .. AmlEncoding.Path(name), (byte)space, .. offset.Bytes, .. length.Bytes]);
    }

    /// <summary>The bit fields of an operation region, from its first bit on; a field without a name is a gap. Preserves the bits around.</summary>
    public static AmlTerm Field(string region, AmlFieldAccess access, params ReadOnlySpan<AmlFieldUnit> units)
    {
        List<byte> list = [.. AmlEncoding.Path(region), (byte)access];
        foreach (AmlFieldUnit unit in units)
        {
            list.AddRange(unit.Name is null ? [0] : AmlEncoding.Segment(unit.Name));
            list.AddRange(AmlEncoding.PackageLength(unit.Bits, countsItself: false));
        }

        return new(WithLength([0x5B, 0x81], [.. list]));
    }

    private static byte[] WithLength(ReadOnlySpan<byte> opcode, byte[] body) =>
        [.. opcode, .. AmlEncoding.PackageLength(body.Length), .. body];

    private static byte[] Join<T>(ReadOnlySpan<T> terms)
        where T : AmlTerm
    {
        List<byte> bytes = [];
        foreach (T term in terms)
        {
            bytes.AddRange(term.Bytes);
        }

        return [.. bytes];
    }
}
