using System.Globalization;
using Aperture.Linux;

namespace Aperture.Memory.Faulting;

/// <summary>Compares what a <see cref="FaultingMemory"/> says is granted with what the kernel has mapped there.</summary>
internal static class GrantCheck
{
    /// <summary>Null when they agree, otherwise the first difference in one sentence.</summary>
    public static string? Run(string name, HostAddress address, ulong size, GrantRun[] runs)
    {
        List<Piece> told = [];
        foreach (GrantRun run in runs)
        {
            if (run.Kind == GrantRunKind.Granted)
            {
                Append(told, new Piece(run.Offset, run.Size, run.SourceOffset, run.IsWritable));
            }
        }

        List<Piece> real = [];
        ulong covered = 0;
        foreach (ProcessMapping mapping in ProcessMaps.Of(address, size))
        {
            covered += mapping.Size;
            if (mapping.IsShared)
            {
                Append(real, new Piece(mapping.Start.Value - address.Value, mapping.Size, mapping.FileOffset, mapping.IsWritable));
            }
        }

        if (covered != size)
        {
            return $"{name}: this process has lost 0x{size - covered:x} of its 0x{size:x} bytes";
        }

        for (int i = 0; i < Math.Max(told.Count, real.Count); i++)
        {
            if (i >= told.Count || i >= real.Count || told[i] != real[i])
            {
                return $"{name}: {Text(told, i)} is granted, and {Text(real, i)} is mapped";
            }
        }

        return null;
    }

    // Mappings and runs end in different places: what goes on in the same file's next byte is one piece for both.
    private static void Append(List<Piece> pieces, Piece piece)
    {
        if (pieces.Count > 0 && pieces[^1] is var last && last.Offset + last.Size == piece.Offset
            && last.SourceOffset + last.Size == piece.SourceOffset && last.IsWritable == piece.IsWritable)
        {
            pieces[^1] = last with { Size = last.Size + piece.Size };
            return;
        }

        pieces.Add(piece);
    }

    private static string Text(List<Piece> pieces, int at) => at >= pieces.Count ? "nothing more" : string.Create(CultureInfo.InvariantCulture,
        $"0x{pieces[at].Offset:x}-0x{pieces[at].Offset + pieces[at].Size - 1:x} of 0x{pieces[at].SourceOffset:x}"
            + $"{(pieces[at].IsWritable ? "" : " for reading")}");

    private readonly record struct Piece(ulong Offset, ulong Size, ulong SourceOffset, bool IsWritable);
}
