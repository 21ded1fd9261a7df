namespace Aperture.Firmware.Aml;

/// <summary>
/// An encoded piece of AML (ACPI 6.5 20.2) that may stand in a term list: a statement or the definition of a named object. Made by
/// <see cref="Asl"/>.
/// </summary>
public class AmlTerm
{
    internal AmlTerm(byte[] bytes) => Bytes = bytes;

    /// <summary>The encoding, never changed.</summary>
    internal byte[] Bytes { get; }
}

/// <summary>A piece of AML with a value: a constant, a variable or an expression (TermArg).</summary>
public class AmlValue : AmlTerm
{
    internal AmlValue(byte[] bytes)
        : base(bytes)
    {
    }

    /// <summary>An integer constant.</summary>
    public static implicit operator AmlValue(ulong value) => Asl.Integer(value);
}

/// <summary>A piece of AML that can be stored to: a local, an argument or a named object (SuperName).</summary>
public sealed class AmlTarget : AmlValue
{
    internal AmlTarget(byte[] bytes)
        : base(bytes)
    {
    }
}
