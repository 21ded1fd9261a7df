namespace Aperture.Firmware.Aml;

/// <content>Statements and expressions (ACPI 6.5 20.2.5.3 and 20.2.5.4).</content>
public static partial class Asl
{
    private static readonly byte[] NoTarget = [0];

    /// <summary>Runs <paramref name="body"/> when <paramref name="condition"/> is not 0.</summary>
    public static AmlTerm If(AmlValue condition, params ReadOnlySpan<AmlTerm> body)
    {
        ArgumentNullException.ThrowIfNull(condition);
        return new(WithLength([0xA0], [.. condition.Bytes, .. Join(body)]));
    }

    /// <summary>Runs when the If right before it did not.</summary>
    public static AmlTerm Else(params ReadOnlySpan<AmlTerm> body) => new(WithLength([0xA1], Join(body)));

    /// <summary>Ends the method with a value.</summary>
    public static AmlTerm Return(AmlValue value) => Operator(0xA4, value);

    /// <summary>Tells the drivers of <paramref name="device"/> that something happened: <paramref name="what"/> (ACPI 6.5 5.6.6).</summary>
    public static AmlTerm Notify(AmlTarget device, AmlValue what) => Operator(0x86, device, what);

    /// <summary>Copies a value.</summary>
    public static AmlValue Store(AmlValue value, AmlTarget target) => Operator(0x70, value, target);

    /// <summary>Bitwise and; also stored to <paramref name="target"/> when there is one.</summary>
    public static AmlValue And(AmlValue left, AmlValue right, AmlTarget? target = null) => WithTarget(0x7B, left, right, target);

    /// <summary>Bitwise or; also stored to <paramref name="target"/> when there is one.</summary>
    public static AmlValue Or(AmlValue left, AmlValue right, AmlTarget? target = null) => WithTarget(0x7D, left, right, target);

    /// <summary>Sum modulo 2^64; also stored to <paramref name="target"/> when there is one.</summary>
    public static AmlValue Add(AmlValue left, AmlValue right, AmlTarget? target = null) => WithTarget(0x72, left, right, target);

    /// <summary>All ones when both are equal; compares buffers by content.</summary>
    public static AmlValue LEqual(AmlValue left, AmlValue right) => Operator(0x93, left, right);

    /// <summary>All ones when <paramref name="left"/> is the larger.</summary>
    public static AmlValue LGreater(AmlValue left, AmlValue right) => Operator(0x94, left, right);

    /// <summary>All ones when <paramref name="left"/> is the smaller.</summary>
    public static AmlValue LLess(AmlValue left, AmlValue right) => Operator(0x95, left, right);

    /// <summary>All ones when both are not 0.</summary>
    public static AmlValue LAnd(AmlValue left, AmlValue right) => Operator(0x90, left, right);

    /// <summary>All ones when either is not 0.</summary>
    public static AmlValue LOr(AmlValue left, AmlValue right) => Operator(0x91, left, right);

    /// <summary>All ones when the value is 0.</summary>
    public static AmlValue LNot(AmlValue value) => Operator(0x92, value);

    /// <summary>Names four bytes of a buffer, from <paramref name="byteIndex"/> on, for reading and writing.</summary>
    public static AmlTerm CreateDWordField(AmlValue buffer, AmlValue byteIndex, string name)
    {
        ArgumentNullException.ThrowIfNull(buffer);
        ArgumentNullException.ThrowIfNull(byteIndex);
        return new([0x8A, .. buffer.Bytes, .. byteIndex.Bytes, .. AmlEncoding.Path(name)]);
    }

    private static AmlValue WithTarget(byte opcode, AmlValue left, AmlValue right, AmlTarget? target) =>
        new([.. Operator(opcode, left, right).Bytes, .. target?.Bytes ?? NoTarget]);

    private static AmlValue Operator(byte opcode, params ReadOnlySpan<AmlValue> operands) => new([opcode, .. Join(operands)]);
}
