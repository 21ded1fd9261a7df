using Aperture.Host.Reading;

namespace Aperture.Host.Capture;

/// <summary>Finds what of a host besides PCI a capture holds.</summary>
/// <param name="reader">Who reads it from the tree.</param>
/// <param name="put">Takes a place from the root of the file system, and its content; null for a directory.</param>
internal sealed class SystemCopy(SystemReader reader, Action<string, string?> put)
{
    /// <summary>Copies everything.</summary>
    internal void Copy()
    {
        CopyIommus();
        CopyFolder(SystemFiles.Dmi, SystemFiles.DmiTexts);
        CopyNamed(SystemFiles.Tables, SystemFiles.IommuTables, asFile: true);
        CopyNamed(SystemFiles.NodeFolder, SystemFiles.DeviceNodes, asFile: false);
        CopyNamed(SystemFiles.ModuleFolder, SystemFiles.Modules, asFile: false);
        foreach (string parameter in SystemFiles.Parameters)
        {
            CopyText($"{SystemFiles.ModuleFolder}/{parameter.Replace("/", "/parameters/", StringComparison.Ordinal)}");
        }

        foreach ((_, string pool) in reader.PoolFolders())
        {
            CopyFolder(pool, SystemFiles.PoolNumbers);
        }

        CopyRoot();
    }

    private void CopyIommus()
    {
        if (reader.Folder(SystemFiles.Iommus) is not { } units)
        {
            return;
        }

        put($"sys/{SystemFiles.Iommus}", null);
        foreach (string unit in units)
        {
            put($"sys/{SystemFiles.Iommus}/{unit}", null);
            CopyFolder($"{SystemFiles.Iommus}/{unit}", SystemFiles.IommuRegisters);
        }
    }

    private void CopyRoot()
    {
        if (!reader.HasRoot)
        {
            return;
        }

        foreach ((string path, Func<string, string> keep) in SystemFiles.Process)
        {
            if (reader.RootText(path) is { } text)
            {
                put(path, keep(text));
            }
        }

        if (reader.RootFolder(SystemFiles.Rules) is { } files)
        {
            put(SystemFiles.Rules, null);
            foreach (string file in files.Where(static file => file.EndsWith(".conf", StringComparison.Ordinal)))
            {
                if (SystemFiles.ModuleRules(reader.RootText($"{SystemFiles.Rules}/{file}") ?? "") is { Length: > 0 } rules)
                {
                    put($"{SystemFiles.Rules}/{file}", rules);
                }
            }
        }

        CopyCgroups();
    }

    // Without the names, which may be those of users and services.
    private void CopyCgroups()
    {
        IReadOnlyList<string> limits = reader.CgroupLimits();
        if (limits.Count == 0)
        {
            return;
        }

        string place = "";
        for (int i = 0; i < limits.Count; i++)
        {
            place += $"/{i + 1}";
            if (limits[i].Length != 0)
            {
                put($"sys/fs/cgroup{place}/memory.max", limits[i] + "\n");
            }
        }

        put("proc/self/cgroup", $"0::{place}\n");
    }

    // That a table, module or node is there is all that counts; tables' content takes root and is not asked for.
    private void CopyNamed(string folder, IReadOnlyList<string> names, bool asFile)
    {
        if (reader.Folder(folder) is not { } there)
        {
            return;
        }

        put($"sys/{folder}", null);
        foreach (string name in there.Where(names.Contains))
        {
            put($"sys/{folder}/{name}", asFile ? "" : null);
        }
    }

    private void CopyFolder(string folder, string[] names)
    {
        foreach (string name in names)
        {
            CopyText($"{folder}/{name}");
        }
    }

    private void CopyText(string path)
    {
        if (reader.Text(path) is { } text)
        {
            put($"sys/{path}", text);
        }
    }
}
