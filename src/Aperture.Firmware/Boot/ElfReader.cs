using System.Buffers.Binary;

namespace Aperture.Firmware.Boot;

/// <summary>A program header in one shape for both word sizes.</summary>
internal readonly record struct ElfProgramHeader(
    uint Type, ulong Offset, ulong VirtualAddress, ulong PhysicalAddress, ulong FileSize, ulong MemorySize)
{
    public const uint Load = 1;
    public const uint Note = 4;
}

/// <summary>Reads the headers of an ELF file, 32 or 64 bit, little-endian, for x86.</summary>
internal sealed class ElfReader
{
    private const int Header32 = 52;
    private const int Header64 = 64;
    private const int ProgramHeader32 = 32;
    private const int ProgramHeader64 = 56;

    /// <summary>Kernels have about five; more would only make the checks below slow.</summary>
    private const int MostProgramHeaders = 256;

    private const ushort Executable = 2;
    private const ushort Machine386 = 3;
    private const ushort MachineX64 = 62;

    private readonly BootFile _file;
    private readonly bool _wide;
    private readonly ulong _tableOffset;
    private readonly int _entrySize;

    private ElfReader(BootFile file, bool wide, ReadOnlySpan<byte> header)
    {
        _file = file;
        _wide = wide;
        _tableOffset = wide
            ? BinaryPrimitives.ReadUInt64LittleEndian(header[32..])
            : BinaryPrimitives.ReadUInt32LittleEndian(header[28..]);
        _entrySize = BinaryPrimitives.ReadUInt16LittleEndian(header[(wide ? 54 : 42)..]);
        Entry = wide ? BinaryPrimitives.ReadUInt64LittleEndian(header[24..]) : BinaryPrimitives.ReadUInt32LittleEndian(header[24..]);
        HeaderCount = BinaryPrimitives.ReadUInt16LittleEndian(header[(wide ? 56 : 44)..]);
    }

    /// <summary>Where the file's own entry point is (e_entry), in the addresses that it is linked for.</summary>
    public ulong Entry { get; }

    /// <summary>How many program headers there are; their table lies inside the file.</summary>
    public int HeaderCount { get; }

    public static ElfReader Open(BootFile file)
    {
        Span<byte> header = stackalloc byte[Header64];
        if (file.Length < Header32)
        {
            throw Damaged(file, $"is truncated: its ELF header takes {Header32} bytes, the file has {file.Length}");
        }

        file.Read(0, header[..Header32]);
        bool wide = header[4] == 2;
        if (header[4] is not (1 or 2) || header[5] != 1)
        {
            throw Damaged(file, "is an ELF file of neither 32 nor 64 bits, little-endian");
        }

        if (wide)
        {
            if (file.Length < Header64)
            {
                throw Damaged(file, $"is truncated: its ELF header takes {Header64} bytes, the file has {file.Length}");
            }

            file.Read(0, header);
        }

        ushort type = BinaryPrimitives.ReadUInt16LittleEndian(header[16..]);
        ushort machine = BinaryPrimitives.ReadUInt16LittleEndian(header[18..]);
        if (type != Executable || machine is not (Machine386 or MachineX64))
        {
            throw Damaged(file, $"is an ELF file of type {type} for machine {machine}, not an x86 executable");
        }

        var reader = new ElfReader(file, wide, header);
        reader.CheckTable();
        return reader;
    }

    public ElfProgramHeader ProgramHeader(int index)
    {
        Span<byte> bytes = stackalloc byte[ProgramHeader64];
        bytes = bytes[..(_wide ? ProgramHeader64 : ProgramHeader32)];
        _file.Read(_tableOffset + (ulong)index * (ulong)_entrySize, bytes);
        return _wide
            ? new(Dword(bytes), Qword(bytes[8..]), Qword(bytes[16..]), Qword(bytes[24..]), Qword(bytes[32..]), Qword(bytes[40..]))
            : new(Dword(bytes), Dword(bytes[4..]), Dword(bytes[8..]), Dword(bytes[12..]), Dword(bytes[16..]), Dword(bytes[20..]));
    }

    public static ApertureException Damaged(BootFile file, string what) => new($"kernel {file.Path} {what}");

    private void CheckTable()
    {
        if (_entrySize < (_wide ? ProgramHeader64 : ProgramHeader32))
        {
            throw Damaged(_file, $"is damaged: its program headers have {_entrySize} bytes each");
        }

        if (HeaderCount > MostProgramHeaders)
        {
            throw Damaged(_file, $"is damaged: it has {HeaderCount} program headers, more than {MostProgramHeaders}");
        }

        ulong size = (ulong)HeaderCount * (ulong)_entrySize;
        if (_tableOffset > _file.Length || size > _file.Length - _tableOffset)
        {
            throw Damaged(_file, $"is truncated: its program headers end past its {_file.Length} bytes");
        }
    }

    private static uint Dword(ReadOnlySpan<byte> bytes) => BinaryPrimitives.ReadUInt32LittleEndian(bytes);

    private static ulong Qword(ReadOnlySpan<byte> bytes) => BinaryPrimitives.ReadUInt64LittleEndian(bytes);
}
