using System.Buffers.Binary;
using System.Text;
using Aperture.Linux;
using Aperture.Linux.Kvm;

namespace Aperture.Kvm;

/// <summary>The kernel's own counters of a vCPU (KVM API 4.133, KVM_GET_STATS_FD; Linux 5.14): exits by kind, most of which user space never sees.</summary>
internal static class VcpuStatistics
{
    // struct kvm_stats_header and struct kvm_stats_desc, the latter before its name.
    private const int HeaderSize = 24;
    private const int DescriptorSize = 16;

    // Several times what any kernel has.
    private const int MostCounters = 1024;
    private const int LongestName = 1024;

    // KVM_STATS_TYPE_CUMULATIVE and KVM_STATS_UNIT_NONE: plain counts.
    private const uint TypeAndUnit = 0xFF;

    /// <summary>Every counter that is one plain number, by the kernel's name; none where the kernel has no statistics.</summary>
    public static IReadOnlyDictionary<string, ulong> Read(SafeFileDescriptor vcpu)
    {
        Dictionary<string, ulong> counters = new(StringComparer.Ordinal);
        using SafeFileDescriptor? file = KvmIoctl.TryGetStatistics(vcpu);
        Span<byte> header = stackalloc byte[HeaderSize];
        if (file is null || FileDescriptors.TryReadAt(file, 0, header) != HeaderSize)
        {
            return counters;
        }

        uint nameSize = BinaryPrimitives.ReadUInt32LittleEndian(header[4..]);
        uint count = BinaryPrimitives.ReadUInt32LittleEndian(header[8..]);
        uint descriptors = BinaryPrimitives.ReadUInt32LittleEndian(header[16..]);
        uint data = BinaryPrimitives.ReadUInt32LittleEndian(header[20..]);
        if (count > MostCounters || nameSize > LongestName)
        {
            return counters;
        }

        int stride = DescriptorSize + (int)nameSize;
        byte[] all = new byte[stride * (int)count];
        if (FileDescriptors.TryReadAt(file, descriptors, all) == all.Length)
        {
            for (int at = 0; at < all.Length; at += stride)
            {
                Add(counters, file, all.AsSpan(at, stride), data);
            }
        }

        return counters;
    }

    private static void Add(Dictionary<string, ulong> counters, SafeFileDescriptor file, ReadOnlySpan<byte> descriptor, uint data)
    {
        uint flags = BinaryPrimitives.ReadUInt32LittleEndian(descriptor);
        ushort values = BinaryPrimitives.ReadUInt16LittleEndian(descriptor[6..]);
        Span<byte> value = stackalloc byte[sizeof(ulong)];
        ulong place = data + (ulong)BinaryPrimitives.ReadUInt32LittleEndian(descriptor[8..]);
        if ((flags & TypeAndUnit) == 0 && values == 1 && FileDescriptors.TryReadAt(file, place, value) == value.Length)
        {
            ReadOnlySpan<byte> name = descriptor[DescriptorSize..];
            int end = name.IndexOf((byte)0);
            counters[Encoding.ASCII.GetString(end < 0 ? name : name[..end])] = BinaryPrimitives.ReadUInt64LittleEndian(value);
        }
    }
}
