namespace Aperture.Doctor.Checks;

/// <summary>Whether there is a map with the devices at the host's addresses, as the solver says.</summary>
internal static class MirrorCheck
{
    private const string Name = "map";

    internal static IEnumerable<Verdict> Look(Examination examination)
    {
        string plan = $"aperture plan{(examination.IsLive ? "" : $" --host {examination.Host.Origin.Name}")} --mirror "
            + string.Join(',', examination.Devices.Select(static device => device.Address));
        if (examination.MirrorConflicts is not { } conflicts)
        {
            yield break;
        }

        if (conflicts.Count == 0)
        {
            yield return new Verdict(VerdictKind.Good, Name, Examination.Addresses(examination.Devices),
                "There is a map in which they have the host's buses, windows and addresses.", "the solver found one")
            { Changes = [plan] };
        }

        foreach (string conflict in conflicts)
        {
            yield return new Verdict(VerdictKind.Cannot, Name, Examination.Addresses(examination.Devices),
                $"There is no map with the host's addresses: {conflict}",
                "the solver's answer")
            { Changes = [$"{plan}, without what stands in the way"] };
        }
    }
}
