using Aperture.Doctor.Output;

namespace Aperture.Doctor.Tests;

/// <summary>What tests ask of a diagnosis.</summary>
internal static class Verdicts
{
    /// <summary>The one verdict of a check with all <paramref name="fragments"/> in what it says; fails with the whole text where there is none or
    /// more.</summary>
    internal static Verdict The(this Diagnosis diagnosis, VerdictKind kind, string check, params string[] fragments)
    {
        Verdict[] found = [.. diagnosis.Verdicts.Where(verdict => verdict.Kind == kind && verdict.Check == check && fragments.All(fragment =>
            $"{verdict.Means}\n{verdict.Seen}\n{string.Join('\n', verdict.Changes)}".Contains(fragment, StringComparison.Ordinal)))];
        Assert.True(found.Length == 1, $"{found.Length} {kind} of {check} with {string.Join(" and ", fragments)} in:\n{DiagnosisText.Of(diagnosis, 120)}");
        return found[0];
    }

    /// <summary>Fails where a check has a verdict of a kind.</summary>
    internal static Diagnosis HasNo(this Diagnosis diagnosis, VerdictKind kind, string check)
    {
        Assert.DoesNotContain(diagnosis.Verdicts, verdict => verdict.Kind == kind && verdict.Check == check);
        return diagnosis;
    }
}
