using System.Diagnostics;
using System.Text.Json;
using Aperture.Lab;

namespace Aperture.Guest.Tests;

/// <summary>A guest in the lab has the host's own disk image, also one whose name no option list could have without brackets.</summary>
public sealed class LabDiskTests
{
    // A guest's exit value v ends the run with (v << 1) | 1.
    private const int Written = (0x10 << 1) | 1;

    private static readonly TimeSpan Limit = TimeSpan.FromMinutes(4);

    // A boot sector that writes itself to the disk's second sector (BIOS interrupt 0x13, function 3) and ends with 0x10, or 0x20 where that failed.
    private static readonly byte[] Sector =
    [
        0x31, 0xC0, 0x8E, 0xC0, // xor ax, ax; mov es, ax
        0xB8, 0x01, 0x03, 0xBB, 0x00, 0x7C, 0xB9, 0x02, 0x00, 0xB6, 0x00, 0xCD, 0x13, // mov ax, 0x301; mov bx, 0x7c00; mov cx, 2; mov dh, 0; int 0x13
        0xB0, 0x10, 0x73, 0x02, 0xB0, 0x20, // mov al, 0x10; jnc +2; mov al, 0x20
        0xBA, 0xF4, 0x00, 0xEE, 0xF4, 0xEB, 0xFD, // mov dx, 0xf4; out dx, al; hlt; jmp -3
    ];

    [Fact]
    public async Task What_a_guest_in_the_lab_writes_to_its_disk_is_in_the_image_afterwards()
    {
        Assert.SkipUnless(File.Exists(FirmwareRun.SeaBios), $"{FirmwareRun.SeaBios} is not installed (package seabios)");
        Assert.SkipUnless(LabArtifacts.Locate().HasOuter, "the lab's kernel is not there: run ./aperture lab prepare");
        await using IAsyncDisposable turn = await SharedLab.LendAsync();
        using TemporaryFolder folder = new("disk,");
        string image = Path.Combine(folder.Path, "disk.img");
        byte[] disk = new byte[1 << 20];
        Sector.CopyTo(disk, 0);
        (disk[510], disk[511]) = (0x55, 0xAA);
        await File.WriteAllBytesAsync(image, disk, TestContext.Current.CancellationToken);
        string config = Path.Combine(folder.Path, "vm.json");
        await File.WriteAllTextAsync(
            config,
            $$"""
            { "firmware": "{{FirmwareRun.SeaBios}}", "memory": "64M", "serial": "null", "accel": "lab",
              "devices": [{ "type": "disk", "file": {{JsonSerializer.Serialize(image)}}, "bootindex": 0 }, { "type": "debug-exit" }] }
            """,
            TestContext.Current.CancellationToken);
        using Process run = Process.Start(
            new ProcessStartInfo(Checkout.Program, ["run", "--config", config]) { RedirectStandardError = true, RedirectStandardInput = true })!;
        run.StandardInput.Close();
        Task<string> error = run.StandardError.ReadToEndAsync(TestContext.Current.CancellationToken);
        Assert.True(run.WaitForExit(Limit), "the guest did not end");
        Assert.True(run.ExitCode == Written, $"exit code {run.ExitCode}: {await error}");
        byte[] after = await File.ReadAllBytesAsync(image, TestContext.Current.CancellationToken);
        Assert.Equal(after[..512], after[512..1024]);
    }
}
