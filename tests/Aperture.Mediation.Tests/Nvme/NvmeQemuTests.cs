using System.Diagnostics;
using System.Security.Cryptography;

namespace Aperture.Mediation.Tests.Nvme;

/// <summary>Linux's own NVMe driver, unmodified, in guests of another monitor (QEMU without KVM): each uses its share and finds nothing else.</summary>
[Collection(nameof(Alone))]
public sealed class NvmeQemuTests : IDisposable
{
    private const int ShareBytes = 80 << 20;
    private const int Guests = 3;

    private readonly List<Process> _started = [];

    private static string? Kernel => InLab("passthrough-vmlinuz");

    private static string? Initramfs => InLab("passthrough-initramfs.cpio.gz");

    public void Dispose()
    {
        foreach (Process process in _started)
        {
            process.Kill();
            process.WaitForExit();
            process.Dispose();
        }
    }

    [Fact]
    public async Task Linux_in_three_guests_of_qemu_reads_writes_and_finds_its_own_share()
    {
        Assert.SkipWhen(Qemu.Missing is not null, Qemu.Missing ?? "");
        Assert.SkipWhen(Kernel is null || Initramfs is null, "needs the lab's kernel with drivers: run ./aperture lab prepare");
        SoftwareIommu iommu = new();
        SoftwareDrive drive = new(iommu, Guests * ShareBytes / 512);
        for (int i = 0; i < Guests; i++)
        {
            drive.Blocks.AsSpan(i * ShareBytes, ShareBytes).Fill((byte)(0x60 + i));
        }

        using Place place = new(
            new Mediation.Nvme.NvmeMediator(new(drive, iommu, iommu), [.. Enumerable.Repeat((ulong)ShareBytes, Guests)], 0, 1, new Reports()), Guests);
        string[] outputs = await Task.WhenAll(place.Paths.Select(Run));
        for (int i = 0; i < Guests; i++)
        {
            string[] lines = [.. outputs[i].Split('\n').Select(static l => l.Trim())];
            byte[] first = new byte[4 << 20];
            first.AsSpan().Fill((byte)(0x60 + i));
            Assert.True(lines.Any(static l => l.StartsWith("APERTURE disk ", StringComparison.Ordinal)), outputs[i]);
            Assert.Contains(lines, l => l.StartsWith("APERTURE disk-read", StringComparison.Ordinal)
                && l.EndsWith(Convert.ToHexStringLower(SHA256.HashData(first)), StringComparison.Ordinal));
            Assert.Contains(lines, static l => l.StartsWith("APERTURE disk-write", StringComparison.Ordinal) && l.EndsWith(" ok", StringComparison.Ordinal));

            // What it did not write is as it was, and what it wrote is nowhere else.
            Assert.Equal(-1, drive.Blocks.AsSpan(i * ShareBytes, 64 << 20).IndexOfAnyExcept((byte)(0x60 + i)));
            Assert.Equal(-1, drive.Blocks.AsSpan((i * ShareBytes) + (72 << 20), 8 << 20).IndexOfAnyExcept((byte)(0x60 + i)));
            Assert.NotEqual(-1, drive.Blocks.AsSpan((i * ShareBytes) + (64 << 20), 8 << 20).IndexOfAnyExcept((byte)(0x60 + i)));
        }

        Assert.Empty(iommu.Faults);
        Assert.Empty(place.Reports.Notices);
    }

    private async Task<string> Run(string socket)
    {
        string device = $$$"""{"driver":"vfio-user-pci","addr":"4.0","socket":{"type":"unix","path":"{{{socket}}}"}}""";
        string[] arguments =
        [
            "-M", "q35,memory-backend=m", "-accel", "tcg", "-cpu", "max", "-m", "256M", "-object", "memory-backend-memfd,id=m,size=256M,share=on",
            "-nodefaults", "-display", "none", "-no-reboot", "-serial", "stdio", "-kernel", Kernel!, "-initrd", Initramfs!, "-device", device,
            "-append", "console=ttyS0 quiet panic=-1 aperture.script=assigned",
        ];
        Process process = Process.Start(new ProcessStartInfo(Qemu.Program!, arguments) { RedirectStandardOutput = true, RedirectStandardError = true })!;
        lock (_started)
        {
            _started.Add(process);
        }

        using CancellationTokenSource limit = new(TimeSpan.FromMinutes(4));
        Task<string> errors = process.StandardError.ReadToEndAsync(limit.Token);
        return await process.StandardOutput.ReadToEndAsync(limit.Token) + await errors;
    }

    private static string? InLab(string name) => Path.Combine(Qemu.LabFolder, name) is var path && File.Exists(path) ? path : null;
}
