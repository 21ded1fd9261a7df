// What bench/faults measures of Aperture: a touch to a granted page, its revocation, and register accesses of a device that another process serves. Each line
// is a name and nanoseconds, the median but for posted writes. With --serve it is that other process.
using System.Diagnostics;
using System.Globalization;
using Aperture;
using Aperture.FaultBench;
using Aperture.Linux;
using Aperture.Memory.Faulting;
using Aperture.VfioUser.Client;
using Aperture.VfioUser.Server;

if (args is ["--serve", { } path])
{
    using VfioUserServer server = VfioUserServer.Listen(path, new Registers(), Silence.Instance);
    Console.WriteLine("ready");
    Console.In.ReadLine();
    return 0;
}

int rounds = args.Length > 0 ? int.Parse(args[0], CultureInfo.InvariantCulture) : 2000;
MeasureRegisters(rounds * 5);
MeasureFaults("4K", 4096, rounds);
MeasureFaults("2M", 2 << 20, rounds);
return 0;

static void Print(string name, double nanoseconds) => Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{name} {nanoseconds:0}"));

static double Median(double[] values)
{
    Array.Sort(values);
    return values[values.Length / 2];
}

static double Since(long start) => (Stopwatch.GetTimestamp() - start) * 1e9 / Stopwatch.Frequency;

static void MeasureFaults(string name, ulong size, int rounds)
{
    using FaultPager pager = FaultPager.TryStart("bench", Silence.Instance, out string whyNot)
        ?? throw new ApertureException($"page faults cannot be measured: {whyNot}", ApertureException.HostFailure);
    using Granter granter = new(size);
    using FaultingMemory memory = pager.Make("bench", size, 0, 2 << 20, granter);
    double[] touches = new double[rounds];
    double[] revocations = new double[rounds];
    Span<byte> word = stackalloc byte[4];
    for (int warm = 1; warm >= 0; warm--)
    {
        for (int i = 0; i < rounds; i++)
        {
            long before = Stopwatch.GetTimestamp();
            if (GuardedCopy.TryRead(memory.Address, word) != 0)
            {
                throw new ApertureException("a touch failed", ApertureException.HostFailure);
            }

            touches[i] = Since(before);
            before = Stopwatch.GetTimestamp();
            memory.Revoke(0, size);
            revocations[i] = Since(before);
        }
    }

    Print($"touch-{name}", Median(touches));
    Print($"revoke-{name}", Median(revocations));
}

static void MeasureRegisters(int rounds)
{
    string folder = Directory.CreateTempSubdirectory("aperture-bench").FullName;
    string socket = Path.Join(folder, "s");
    using Process server = new()
    {
        StartInfo = new ProcessStartInfo(Environment.ProcessPath!, ["--serve", socket]) { RedirectStandardInput = true, RedirectStandardOutput = true },
    };
    server.Start();
    _ = server.StandardOutput.ReadLine();
    try
    {
        using VfioUserDevice device = VfioUserDevice.Connect(socket, Silence.Instance);
        double[] reads = new double[rounds];
        Span<byte> word = stackalloc byte[4];
        for (int warm = 1; warm >= 0; warm--)
        {
            for (int i = 0; i < rounds; i++)
            {
                long before = Stopwatch.GetTimestamp();
                if (device.Read(0, 8, word) != 0)
                {
                    throw new ApertureException("a read failed", ApertureException.HostFailure);
                }

                reads[i] = Since(before);
            }

            long start = Stopwatch.GetTimestamp();
            for (int i = 0; i < rounds; i++)
            {
                _ = device.Write(0, 8, word);
            }

            _ = device.Read(0, 8, word);
            if (warm == 0)
            {
                Print("register-read", Median(reads));
                Print("posted-write", Since(start) / rounds);
            }
        }
    }
    finally
    {
        server.StandardInput.Close();
        server.WaitForExit();
        Directory.Delete(folder, recursive: true);
    }
}
