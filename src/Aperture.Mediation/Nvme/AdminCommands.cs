using System.Buffers.Binary;

namespace Aperture.Mediation.Nvme;

/// <summary>
/// The admin commands of a guest's controller, carried out without the drive but for the making and taking away of its queue pair (NVM Express base
/// specification 1.4, section 5). Not thread-safe: its session's gate is held.
/// </summary>
/// <param name="identity">What the controller says of itself.</param>
/// <param name="ram">The guest's memory.</param>
/// <param name="queue">The guest's I/O queue pair.</param>
/// <param name="mostEntries">The most entries of one.</param>
internal sealed class AdminCommands(GuestIdentity identity, GuestRam ram, IoQueue queue, int mostEntries)
{
    private const int Page = NvmeRegisters.Page;
    private const uint Everything = uint.MaxValue;

    // Section 5.14.1: error information, health, firmware.
    private const int ErrorLog = 1;
    private const int HealthLog = 2;
    private const int FirmwareLog = 3;

    private readonly byte[] _page = new byte[Page];
    private readonly uint[] _features = new uint[FeatureIds.AsynchronousEvents + 1];
    private int _eventRequests;

    /// <summary>The controller is reset: its queues are gone already.</summary>
    public void Reset()
    {
        Array.Clear(_features);
        _eventRequests = 0;
    }

    /// <summary>
    /// Carries a command out; false when it is answered later or never (Asynchronous Event Request, and no event ever comes).
    /// </summary>
    /// <param name="command">A copy of the guest's entry.</param>
    /// <param name="status">How it went.</param>
    /// <param name="result">Word 0 of the completion.</param>
    public bool Execute(in SubmissionEntry command, out NvmeStatus status, out uint result)
    {
        result = 0;
        if (command.Flags != 0)
        {
            status = NvmeStatus.InvalidField;
            return true;
        }

        if (command.Opcode == (byte)AdminOpcode.AsynchronousEventRequest && _eventRequests < GuestIdentity.MostEventRequests)
        {
            _eventRequests++;
            status = NvmeStatus.Success;
            return false;
        }

        status = (AdminOpcode)command.Opcode switch
        {
            AdminOpcode.Identify => Identify(command),
            AdminOpcode.CreateCompletionQueue => CreateCompletions(command),
            AdminOpcode.CreateSubmissionQueue => CreateSubmissions(command),
            AdminOpcode.DeleteSubmissionQueue => DeleteSubmissions(command),
            AdminOpcode.DeleteCompletionQueue => DeleteCompletions(command),
            AdminOpcode.SetFeatures => SetFeature(command, out result),
            AdminOpcode.GetFeatures => GetFeature(command, out result),
            AdminOpcode.GetLogPage => GetLog(command),
            AdminOpcode.Abort => Abort(out result),
            AdminOpcode.AsynchronousEventRequest => NvmeStatus.TooManyEventRequests,
            AdminOpcode.DoorbellBufferConfig => SetDoorbells(command),
            _ => NvmeStatus.InvalidOpcode,
        };
        return true;
    }

    private NvmeStatus Identify(in SubmissionEntry command) => identity.TryWrite(command.Word10 & 0xFF, command.Namespace, _page, out NvmeStatus status)
        ? GuestPages.Copy(_page, ram, command)
        : status;

    private NvmeStatus CreateCompletions(in SubmissionEntry command)
    {
        NvmeStatus status = CheckNewQueue(command, queue.Completions is not null);
        if (!status.IsSuccess)
        {
            return status;
        }

        uint vector = command.Word11 >> 16;
        if (vector >= NvmeMediator.Vectors)
        {
            return NvmeStatus.InvalidInterruptVector;
        }

        queue.Completions = new GuestCompletionQueue(
            new GuestAddress(command.Prp1), (int)(command.Word10 >> 16) + 1, (int)vector, (command.Word11 & 2) != 0);
        return NvmeStatus.Success;
    }

    private NvmeStatus CreateSubmissions(in SubmissionEntry command)
    {
        NvmeStatus status = CheckNewQueue(command, queue.Submissions is not null);
        if (!status.IsSuccess)
        {
            return status;
        }

        if (command.Word11 >> 16 != GuestIdentity.IoQueue || queue.Completions is null)
        {
            return NvmeStatus.InvalidCompletionQueue;
        }

        // The drive's reasons are its own: it has no place for the pair, or is broken.
        status = queue.Open(new GuestSubmissionQueue(new GuestAddress(command.Prp1), (int)(command.Word10 >> 16) + 1));
        return status.IsSuccess ? status : NvmeStatus.InternalError;
    }

    private NvmeStatus CheckNewQueue(in SubmissionEntry command, bool exists)
    {
        uint last = command.Word10 >> 16;
        return (command.Word10 & 0xFFFF) != GuestIdentity.IoQueue || exists ? NvmeStatus.InvalidQueueIdentifier
            : last == 0 || last >= (uint)mostEntries ? NvmeStatus.InvalidQueueSize
            : (command.Word11 & 1) == 0 ? NvmeStatus.InvalidField
            : command.Prp1 % Page != 0 ? NvmeStatus.InvalidPrpOffset
            : NvmeStatus.Success;
    }

    private NvmeStatus DeleteSubmissions(in SubmissionEntry command)
    {
        if ((command.Word10 & 0xFFFF) != GuestIdentity.IoQueue || queue.Submissions is null)
        {
            return NvmeStatus.InvalidQueueIdentifier;
        }

        return queue.Close() ? NvmeStatus.Success : NvmeStatus.DataTransferError;
    }

    private NvmeStatus DeleteCompletions(in SubmissionEntry command)
    {
        if ((command.Word10 & 0xFFFF) != GuestIdentity.IoQueue || queue.Completions is null)
        {
            return NvmeStatus.InvalidQueueIdentifier;
        }

        if (queue.Submissions is not null)
        {
            return NvmeStatus.InvalidQueueDeletion;
        }

        queue.Completions = null;
        return NvmeStatus.Success;
    }

    private NvmeStatus SetFeature(in SubmissionEntry command, out uint result)
    {
        result = 0;
        uint feature = command.Word10 & 0xFF;
        if (!IsFeature(feature))
        {
            return NvmeStatus.InvalidField;
        }

        // Nothing is kept over a reset (SV), and the write cache is everybody's.
        if ((command.Word10 & 1u << 31) != 0)
        {
            return NvmeStatus.FeatureNotSaveable;
        }

        if (feature == FeatureIds.VolatileWriteCache)
        {
            return (command.Word11 & 1) != 0 ? NvmeStatus.Success : NvmeStatus.FeatureNotChangeable;
        }

        // One queue of each kind, counted from 0.
        if (feature != FeatureIds.NumberOfQueues)
        {
            _features[feature] = command.Word11;
        }

        return NvmeStatus.Success;
    }

    private NvmeStatus GetFeature(in SubmissionEntry command, out uint result)
    {
        uint feature = command.Word10 & 0xFF;
        result = 0;

        // SEL: only the current value.
        if (!IsFeature(feature) || (command.Word10 >> 8 & 7) != 0)
        {
            return NvmeStatus.InvalidField;
        }

        result = feature == FeatureIds.VolatileWriteCache ? 1 : _features[feature];
        return NvmeStatus.Success;
    }

    private bool IsFeature(uint feature) =>
        feature is > 0 and <= FeatureIds.AsynchronousEvents and not FeatureIds.LbaRangeType
        && (feature != FeatureIds.VolatileWriteCache || identity.HasWriteCache);

    private NvmeStatus GetLog(in SubmissionEntry command)
    {
        ulong words = (command.Word10 >> 16 | (ulong)(command.Word11 & 0xFFFF) << 16) + 1;
        if (words * 4 > Page || command.Word12 != 0 || command.Namespace is not (0 or Everything or GuestIdentity.Namespace))
        {
            return NvmeStatus.InvalidField;
        }

        Span<byte> log = _page.AsSpan(0, (int)words * 4);
        _page.AsSpan().Clear();
        switch (command.Word10 & 0xFF)
        {
            case ErrorLog:
                break;

            // Section 5.14.1.2: 30 degrees in kelvins, all of the spare there, its threshold. The drive's own health is its owner's business.
            case HealthLog:
                BinaryPrimitives.WriteUInt16LittleEndian(_page.AsSpan(1), 303);
                (_page[3], _page[4]) = (100, 10);
                break;

            // Section 5.14.1.3: slot 1 is active, with revision 1.
            case FirmwareLog:
                _page[0] = 1;
                "1       "u8.CopyTo(_page.AsSpan(8));
                break;
            default:
                return NvmeStatus.InvalidLogPage;
        }

        return GuestPages.Copy(log, ram, command);
    }

    // Section 5.1: the command was not aborted, which a controller may always answer; a drive aborts when a queue is deleted.
    private static NvmeStatus Abort(out uint result)
    {
        result = 1;
        return NvmeStatus.Success;
    }

    private NvmeStatus SetDoorbells(in SubmissionEntry command)
    {
        if (command.Prp1 % Page != 0 || command.Prp2 % Page != 0)
        {
            return NvmeStatus.InvalidField;
        }

        if (!ram.TryTranslate(new GuestAddress(command.Prp1), Page, false, out _) || !ram.TryTranslate(new GuestAddress(command.Prp2), Page, true, out _))
        {
            return NvmeStatus.InvalidField;
        }

        queue.Shadow = new ShadowDoorbells(new GuestAddress(command.Prp1), new GuestAddress(command.Prp2));
        return NvmeStatus.Success;
    }
}
