using System.Diagnostics.CodeAnalysis;
using System.Globalization;
using System.Runtime.InteropServices;
using Aperture.Cli.CommandLine;
using Aperture.Cli.Output;
using Aperture.Linux;
using Aperture.Mediation;
using Aperture.Mediation.Mediators;
using Aperture.Watch;

namespace Aperture.Cli.Verbs;

/// <summary><c>aperture mediate</c>: shares one resource between guests, each at a socket of its own.</summary>
internal static class MediateVerb
{
    private static readonly OptionSpec Mediator = new("--mediator", "KIND,...", $"what is shared: {string.Join(" or ", MediatorKinds.Forms)}");

    private static readonly OptionSpec Assembly = new(
        "--mediator-assembly", MediatorAssembly.Form, "a mediator of your own instead: a class of a .dll; not in the program that is compiled ahead of time");

    private static readonly OptionSpec Socket = new(
        "--socket-path", "PATH", "a UNIX socket for one guest's monitor, which speaks vfio-user; it is made, and taken away at the end",
        Repeatable: true);

    private static readonly OptionSpec Descriptor = new(
        "--fd", "N", "the same over a descriptor that was inherited: a connection or a listening socket", Repeatable: true);

    public static Verb Verb { get; } = new(
        "mediate",
        "share one device between guests of any monitor that speaks vfio-user, until SIGTERM or SIGINT",
        [Mediator, Assembly, Socket, Descriptor],
        "aperture mediate --mediator partition,size=64M,page=4K --socket-path a.sock --socket-path b.sock",
        Run);

    /// <summary>
    /// False in the program that is compiled ahead of time (Aperture.Cli.csproj), where no code can be loaded and what is not used is left out.
    /// </summary>
    [FeatureSwitchDefinition("Aperture.LoadsAssemblies")]
    [FeatureGuard(typeof(RequiresUnreferencedCodeAttribute))]
#pragma warning disable IL4000 // The guard is the switch: the analyzer does not see that the project sets it whenever code is left out.
    private static bool LoadsAssemblies => !AppContext.TryGetSwitch("Aperture.LoadsAssemblies", out bool loads) || loads;
#pragma warning restore IL4000

    private static int Run(ParsedArguments arguments)
    {
        string? kind = arguments.Find(Mediator.Name);
        string? assembly = arguments.Find(Assembly.Name);
        if (kind is null == assembly is null)
        {
            throw new ApertureException(kind is null
                ? $"mediate needs {Mediator.Name}, for example {Mediator.Name} partition,size=64M."
                : $"{Mediator.Name} and {Assembly.Name} both say what is shared; give one of them.");
        }

        int[] descriptors = [.. arguments.Values.Where(v => v.Key == Descriptor.Name).Select(v => NumberOf(v.Value))];
        string[] paths = [.. arguments.Values.Where(v => v.Key == Socket.Name).Select(v => v.Value)];
        if (descriptors.Length + paths.Length == 0)
        {
            throw new ApertureException($"mediate serves nobody; give each guest a {Socket.Name} PATH.");
        }

        if (paths.Contains(""))
        {
            throw new ApertureException($"{Socket.Name} needs a path.");
        }

        EventHub events = new(TimeProvider.System);
        using IDisposable notices = events.Subscribe(new NoticePrinter(Program.Streams.Error));
        using MediationHost host = new(kind is not null ? MediatorKinds.Make(kind, HostFunctions.Open, events) : Load(assembly!), events);
        void OnSignal(PosixSignalContext context)
        {
            context.Cancel = true;
            host.Stop();
        }

        using PosixSignalRegistration interrupt = PosixSignalRegistration.Create(PosixSignal.SIGINT, OnSignal);
        using PosixSignalRegistration terminate = PosixSignalRegistration.Create(PosixSignal.SIGTERM, OnSignal);
        using PosixSignalRegistration hangUp = PosixSignalRegistration.Create(PosixSignal.SIGHUP, OnSignal);
        foreach (string path in paths)
        {
            host.Listen(path);
        }

        foreach (int descriptor in descriptors)
        {
            host.Adopt(new SafeFileDescriptor(descriptor));
        }

        host.Wait();
        return 0;
    }

    private static IMediator Load(string assembly) => LoadsAssemblies
        ? MediatorAssembly.Make(assembly)
        : throw new ApertureException($"this program is compiled ahead of time and loads no code, so not {assembly.Split(',')[0]} either; "
            + $"run ./aperture mediate {Assembly.Name} in a checkout, which uses one that does.");

    // Standard input, output and error are no sockets of ours.
    private static int NumberOf(string text) => int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out int number) && number > 2
        ? number
        : throw new ApertureException($"{Descriptor.Name} {text} is not the number of an inherited descriptor; give one from 3 on.");
}
