using System.Text.Json;

namespace Aperture.VfioUser.Protocol;

/// <summary>
/// What a side supports, as its version message says it (vfio-user protocol, "VFIO_USER_VERSION", capabilities). Null: not said, so that the default holds.
/// </summary>
internal sealed record VersionCapabilities
{
    /// <summary>The document's defaults.</summary>
    public const uint DefaultDescriptors = 1;

    /// <summary>The document's default, in bytes.</summary>
    public const uint DefaultTransfer = 1 << 20;

    /// <summary>The document's default.</summary>
    public const uint DefaultDmaMaps = 65535;

    /// <summary>The document's default: pages of 4 KiB.</summary>
    public const ulong DefaultPageSizes = 4096;

    /// <summary>max_msg_fds: descriptors that the sender takes with one message.</summary>
    public uint? MaxDescriptors { get; init; }

    /// <summary>max_data_xfer_size: bytes of data in one message to the sender.</summary>
    public uint? MaxTransfer { get; init; }

    /// <summary>max_dma_maps: DMA mappings at one time.</summary>
    public uint? MaxDmaMaps { get; init; }

    /// <summary>pgsizes: the sizes of pages in DMA mappings, or'ed.</summary>
    public ulong? PageSizes { get; init; }

    /// <summary>twin_socket: whether the server's commands may go over a socket of their own.</summary>
    public TwinSocketCapability? TwinSocket { get; init; }

    /// <summary>write_multiple: the sender knows VFIO_USER_REGION_WRITE_MULTI.</summary>
    public bool? WriteMultiple { get; init; }

    /// <summary>aperture_faults, version: the sender knows the extension for mediated pages (docs/vfio-user.md).</summary>
    public uint? Faults { get; init; }

    /// <summary>
    /// Reads what is between the fixed part and the NUL. Names that nobody here knows are passed over; a name that is known with a value of another kind makes
    /// it no capabilities.
    /// </summary>
    public static bool TryRead(ReadOnlySpan<byte> json, out VersionCapabilities? capabilities)
    {
        capabilities = null;
        Utf8JsonReader reader = new(json, new JsonReaderOptions { MaxDepth = 16 });
        try
        {
            VersionCapabilities read = new();
            if (!reader.Read() || reader.TokenType != JsonTokenType.StartObject)
            {
                return false;
            }

            while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
            {
                bool known = reader.ValueTextEquals("capabilities"u8);
                if (!reader.Read() || (known ? !TryReadObject(ref reader, ref read) : !reader.TrySkip()))
                {
                    return false;
                }
            }

            capabilities = read;
            return reader.TokenType == JsonTokenType.EndObject && !reader.Read();
        }
        catch (JsonException)
        {
            return false;
        }
    }

    /// <summary>Writes the object around the capabilities.</summary>
    public void Write(Utf8JsonWriter json)
    {
        json.WriteStartObject();
        json.WriteStartObject("capabilities"u8);
        Number(json, "max_msg_fds"u8, MaxDescriptors);
        Number(json, "max_data_xfer_size"u8, MaxTransfer);
        Number(json, "max_dma_maps"u8, MaxDmaMaps);
        Number(json, "pgsizes"u8, PageSizes);
        if (TwinSocket is { } twin)
        {
            json.WriteStartObject("twin_socket"u8);
            json.WriteBoolean("supported"u8, twin.Supported);
            Number(json, "fd_index"u8, twin.DescriptorIndex);
            json.WriteEndObject();
        }

        if (WriteMultiple is { } multiple)
        {
            json.WriteBoolean("write_multiple"u8, multiple);
        }

        if (Faults is { } version)
        {
            json.WriteStartObject("aperture_faults"u8);
            json.WriteNumber("version"u8, version);
            json.WriteEndObject();
        }

        json.WriteEndObject();
        json.WriteEndObject();
    }

    private static void Number(Utf8JsonWriter json, ReadOnlySpan<byte> name, ulong? value)
    {
        if (value is { } number)
        {
            json.WriteNumber(name, number);
        }
    }

    private static bool TryReadObject(ref Utf8JsonReader reader, ref VersionCapabilities read)
    {
        if (reader.TokenType != JsonTokenType.StartObject)
        {
            return false;
        }

        while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
        {
            if (!TryReadOne(ref reader, ref read))
            {
                return false;
            }
        }

        return reader.TokenType == JsonTokenType.EndObject;
    }

    private static bool TryReadOne(ref Utf8JsonReader reader, ref VersionCapabilities read)
    {
        if (reader.ValueTextEquals("max_msg_fds"u8))
        {
            return TryNumber(ref reader, uint.MaxValue, out ulong value) && Set(ref read, read with { MaxDescriptors = (uint)value });
        }

        if (reader.ValueTextEquals("max_data_xfer_size"u8))
        {
            return TryNumber(ref reader, uint.MaxValue, out ulong value) && Set(ref read, read with { MaxTransfer = (uint)value });
        }

        if (reader.ValueTextEquals("max_dma_maps"u8))
        {
            return TryNumber(ref reader, uint.MaxValue, out ulong value) && Set(ref read, read with { MaxDmaMaps = (uint)value });
        }

        if (reader.ValueTextEquals("pgsizes"u8))
        {
            return TryNumber(ref reader, ulong.MaxValue, out ulong value) && Set(ref read, read with { PageSizes = value });
        }

        if (reader.ValueTextEquals("write_multiple"u8))
        {
            return TryBoolean(ref reader, out bool value) && Set(ref read, read with { WriteMultiple = value });
        }

        if (reader.ValueTextEquals("twin_socket"u8))
        {
            return TryTwinSocket(ref reader, out TwinSocketCapability twin) && Set(ref read, read with { TwinSocket = twin });
        }

        if (reader.ValueTextEquals("aperture_faults"u8))
        {
            return TryFaults(ref reader, out uint? value) && Set(ref read, read with { Faults = value });
        }

        return reader.Read() && reader.TrySkip();
    }

    private static bool TryFaults(ref Utf8JsonReader reader, out uint? version)
    {
        version = null;
        if (!reader.Read() || reader.TokenType != JsonTokenType.StartObject)
        {
            return false;
        }

        while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
        {
            if (!reader.ValueTextEquals("version"u8))
            {
                if (!reader.Read() || !reader.TrySkip())
                {
                    return false;
                }
            }
            else if (TryNumber(ref reader, uint.MaxValue, out ulong value))
            {
                version = (uint)value;
            }
            else
            {
                return false;
            }
        }

        return reader.TokenType == JsonTokenType.EndObject;
    }

    private static bool Set(ref VersionCapabilities read, VersionCapabilities next)
    {
        read = next;
        return true;
    }

    private static bool TryTwinSocket(ref Utf8JsonReader reader, out TwinSocketCapability twin)
    {
        twin = new TwinSocketCapability(false, null);
        if (!reader.Read() || reader.TokenType != JsonTokenType.StartObject)
        {
            return false;
        }

        while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
        {
            bool done;
            if (reader.ValueTextEquals("supported"u8))
            {
                done = TryBoolean(ref reader, out bool supported);
                twin = twin with { Supported = supported };
            }
            else if (reader.ValueTextEquals("fd_index"u8))
            {
                done = TryNumber(ref reader, uint.MaxValue, out ulong index);
                twin = twin with { DescriptorIndex = (uint)index };
            }
            else
            {
                done = reader.Read() && reader.TrySkip();
            }

            if (!done)
            {
                return false;
            }
        }

        return reader.TokenType == JsonTokenType.EndObject;
    }

    private static bool TryNumber(ref Utf8JsonReader reader, ulong most, out ulong value)
    {
        value = 0;
        return reader.Read() && reader.TokenType == JsonTokenType.Number && reader.TryGetUInt64(out value) && value <= most;
    }

    private static bool TryBoolean(ref Utf8JsonReader reader, out bool value)
    {
        bool read = reader.Read() && reader.TokenType is JsonTokenType.True or JsonTokenType.False;
        value = read && reader.TokenType == JsonTokenType.True;
        return read;
    }
}

/// <summary>The capability twin_socket.</summary>
/// <param name="Supported">In a proposal: the client can; in a reply: it is so.</param>
/// <param name="DescriptorIndex">fd_index, in a reply: which of the message's descriptors is the socket.</param>
internal readonly record struct TwinSocketCapability(bool Supported, uint? DescriptorIndex);
