namespace Aperture.Mediation.Nvme;

/// <summary>
/// Data of at most a page between this process and what the pointers of a guest's command point to (NVM Express base specification 1.4, section 4.3): the first
/// may begin inside a page, the second is the rest's page.
/// </summary>
internal static class GuestPages
{
    private const int Page = NvmeRegisters.Page;

    /// <summary>Copies from the guest.</summary>
    public static NvmeStatus Copy(GuestRam ram, in SubmissionEntry command, Span<byte> destination)
    {
        NvmeStatus status = Split(command, destination.Length, out int first);
        return !status.IsSuccess ? status
            : ram.Read(new GuestAddress(command.Prp1), destination[..first])
                && (first == destination.Length || ram.Read(new GuestAddress(command.Prp2), destination[first..])) ? NvmeStatus.Success
            : NvmeStatus.DataTransferError;
    }

    /// <summary>Copies to the guest.</summary>
    public static NvmeStatus Copy(ReadOnlySpan<byte> source, GuestRam ram, in SubmissionEntry command)
    {
        NvmeStatus status = Split(command, source.Length, out int first);
        return !status.IsSuccess ? status
            : ram.Write(new GuestAddress(command.Prp1), source[..first])
                && (first == source.Length || ram.Write(new GuestAddress(command.Prp2), source[first..])) ? NvmeStatus.Success
            : NvmeStatus.DataTransferError;
    }

    private static NvmeStatus Split(in SubmissionEntry command, int length, out int first)
    {
        first = Math.Min(length, Page - (int)(command.Prp1 % Page));
        return command.Prp1 % 4 != 0 || (first < length && command.Prp2 % Page != 0) ? NvmeStatus.InvalidPrpOffset : NvmeStatus.Success;
    }
}
