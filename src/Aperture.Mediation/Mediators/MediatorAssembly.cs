using System.Diagnostics.CodeAnalysis;
using System.Reflection;
using System.Runtime.Loader;

namespace Aperture.Mediation.Mediators;

/// <summary>
/// Mediators that are not compiled in: a class of an assembly, <c>PATH[,type=NAME][,KEY=VALUE]...</c>. It implements <see cref="IMediator"/> and has a
/// constructor without parameters, or one with an <see cref="IReadOnlyDictionary{TKey, TValue}"/> of strings, which gets the options by key. Only where the
/// program is not compiled ahead of time. What is loaded stays loaded: it is the operator's code, and may do what this process may.
/// </summary>
public static class MediatorAssembly
{
    /// <summary>What is written for one.</summary>
    public const string Form = "PATH[,type=NAME][,KEY=VALUE]...";

    private const string TypeKey = "type";

    /// <summary>Loads the assembly that <paramref name="text"/> names, and makes its mediator.</summary>
    /// <exception cref="ApertureException">There is no such assembly, mediator or constructor, or the constructor fails.</exception>
    [RequiresUnreferencedCode("The assembly may use whatever there is of the program.")]
    public static IMediator Make(string text)
    {
        ArgumentNullException.ThrowIfNull(text);
        string[] words = text.Split(',');
        Dictionary<string, string> options = [];
        foreach (string word in words[1..])
        {
            string[] parts = word.Split('=', 2);
            if (parts.Length < 2 || parts[0].Length == 0)
            {
                throw new ApertureException($"'{word}' is not an option of the mediator in {words[0]}; write it as key=value");
            }

            if (!options.TryAdd(parts[0], parts[1]))
            {
                throw new ApertureException($"{parts[0]}= of the mediator in {words[0]} is given twice; give it once");
            }
        }

        options.Remove(TypeKey, out string? name);
        return Make(Choose(Load(words[0]), words[0], name), options);
    }

    [RequiresUnreferencedCode("The assembly may use whatever there is of the program.")]
    private static Type[] Load(string path)
    {
        string full = Path.GetFullPath(path.Length == 0 ? "." : path);
        try
        {
            return new Context(full).LoadFromAssemblyPath(full).GetTypes();
        }
        catch (ReflectionTypeLoadException e)
        {
            string why = e.LoaderExceptions[0]?.Message ?? e.Message;
            throw new ApertureException($"{path} cannot be used: {why}; build it against this version of Aperture.Mediation", innerException: e);
        }
        catch (Exception e) when (e is IOException or BadImageFormatException or UnauthorizedAccessException)
        {
            throw new ApertureException($"{path} is no assembly that can be loaded; give the .dll that dotnet build makes", innerException: e);
        }
    }

    private static Type Choose(Type[] types, string path, string? name)
    {
        Type[] mediators = [.. types.Where(static t => t is { IsClass: true, IsAbstract: false, ContainsGenericParameters: false }
            && typeof(IMediator).IsAssignableFrom(t))];
        Type[] chosen = name is null ? mediators : [.. mediators.Where(t => t.FullName == name || t.Name == name)];
        string all = string.Join(", ", mediators.Select(static t => t.FullName));
        return chosen.Length == 1 ? chosen[0] : throw new ApertureException(mediators.Length == 0
            ? $"{path} has no class that implements Aperture.Mediation.IMediator; give another assembly"
            : $"{path} has {(name is null ? "several mediators" : $"not one mediator {name}")}; give type= one of {all}");
    }

    private static IMediator Make(
        [DynamicallyAccessedMembers(DynamicallyAccessedMemberTypes.PublicConstructors)] Type type, Dictionary<string, string> options)
    {
        ConstructorInfo? takesOptions = type.GetConstructor([typeof(IReadOnlyDictionary<string, string>)]);
        ConstructorInfo? plain = type.GetConstructor([]);
        if (takesOptions is null && (plain is null || options.Count != 0))
        {
            throw new ApertureException(plain is null
                ? $"the mediator {type.FullName} has no public constructor without parameters, nor one of IReadOnlyDictionary<string, string>; give it one"
                : $"the mediator {type.FullName} has no options, so {options.Keys.First()}= means nothing; leave it out");
        }

        try
        {
            return (IMediator)(takesOptions?.Invoke([options]) ?? plain!.Invoke([]));
        }
        catch (TargetInvocationException e) when (e.InnerException is { } cause)
        {
            throw cause as ApertureException ?? new ApertureException(
                $"the mediator {type.FullName} could not be made: {cause.Message}", ApertureException.HostFailure, cause);
        }
    }

    /// <summary>What lies beside the program is the program's own, so that both mean the same types; the rest is found beside the assembly.</summary>
    private sealed class Context : AssemblyLoadContext
    {
        private readonly AssemblyDependencyResolver _resolver;

        [RequiresUnreferencedCode("The assembly may use whatever there is of the program.")]
        public Context(string path)
            : base(path) => _resolver = File.Exists(path) ? new AssemblyDependencyResolver(path) : throw new FileNotFoundException(null, path);

        [UnconditionalSuppressMessage("Trimming", "IL2026", Justification = "Only made where code may be loaded, as its constructor says.")]
        protected override Assembly? Load(AssemblyName assemblyName) => File.Exists(Path.Combine(AppContext.BaseDirectory, $"{assemblyName.Name}.dll"))
            ? null
            : _resolver.ResolveAssemblyToPath(assemblyName) is { } path ? LoadFromAssemblyPath(path) : null;
    }
}
