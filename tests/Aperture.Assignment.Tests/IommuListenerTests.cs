using Aperture.Linux;
using Aperture.Memory;
using Aperture.Memory.Faulting;
using Aperture.TestKit.Parts.Assigned;
using FsCheck;
using FsCheck.Fluent;

namespace Aperture.Assignment.Tests;

public sealed class IommuListenerTests : IDisposable
{
    private const ulong Half = 2048;
    private const ulong Page = 4096;
    private const int Halves = 64;
    private const ulong Origin = 0xF8000; // 1 MiB lies in the middle

    private readonly RamBlock _ram = RamBlock.Create("test", Halves * Half);
    private readonly RamBlock _bar = RamBlock.Foreign("bar", new HostAddress(0x00DE_AD00_0000_0000), Halves * Half, new Nothing());
    private readonly AddressSpace _space = AddressSpace.ForMemory();
    private readonly FakeIommu _iommu = new();
    private readonly IommuListener _listener;

    public IommuListenerTests() => _listener = new IommuListener(_iommu);

    public void Dispose()
    {
        _space.Dispose();
        _ram.Dispose();
        _bar.Dispose();
    }

    private enum Kind
    {
        Ram,
        Rom,
        Device,
        Trapped,
    }

    // One placement in half pages: where, how long, from where in its block, what, how strong; or, with a length of 0, the removal of an earlier one.
    private sealed record Edit(int At, int Length, int Offset, Kind Kind, int Priority, bool Commits);

    private static Gen<Edit[]> Edits =>
        (from at in Gen.Choose(0, Halves - 1)
         from length in Gen.Choose(0, 20)
         from offset in Gen.Choose(0, 12)
         from kind in Gen.Elements(Kind.Ram, Kind.Ram, Kind.Rom, Kind.Device, Kind.Trapped)
         from priority in Gen.Choose(0, 3)
         from commits in Gen.Elements(true, false)
         select new Edit(at, Math.Min(length, Halves - at), offset, kind, priority, commits)).ArrayOf().Where(edits => edits.Length > 0);

    [Fact]
    public void Memory_whose_pages_come_at_a_touch_is_never_given_to_devices()
    {
        FaultPager? pager = FaultPager.TryStart("test", new NoticedEvents(), out string whyNot);
        Assert.SkipWhen(pager is null, whyNot);
        using (pager)
        {
            using RamBlock faulting = RamBlock.ForFaulting(pager.Make("granted", 4 * Page, 0, 4 * Page, new NoAnswer()));
            _space.AddListener(_listener);
            AddressRange range = new(new GuestAddress(0x10_0000), 4 * Page);
            Change(change =>
            {
                change.Place(Region.ForDevice("granted", faulting, 0, 4 * Page, new Silent()), range.Start, 0);
                change.Place(Region.ForRam("ram", _ram, 0, 4 * Page), range.Start + (8 * Page), 0);
            });
            IommuResult left = Assert.Single(_listener.Results, static result => !result.IsMapped);
            Assert.Equal((range, "its pages come and go while the guest runs"), (left.Range, left.Reason));
            Assert.Null(_listener.Verify());
        }
    }

    [Theory]
    [InlineData(0, 0)]
    [InlineData(3, 0)]
    [InlineData(3, 4)]
    public void Devices_reach_what_the_view_says_after_any_changes_whatever_the_host_refuses(int refuseOneIn, int keepOneIn)
    {
        Prop.ForAll(Edits.ToArbitrary(), Gen.Choose(0, 1000).ToArbitrary(), (edits, salt) =>
        {
            Random random = new(salt);
            bool calm = false;
            FakeIommu iommu = new()
            {
                Refuses = _ => !calm && refuseOneIn != 0 && random.Next(refuseOneIn) == 0 ? Errno.ENOMEM : 0,
                Keeps = _ => !calm && keepOneIn != 0 && random.Next(keepOneIn) == 0 ? Errno.EIO : 0,
            };
            using AddressSpace space = AddressSpace.ForMemory();
            IommuListener listener = new(iommu);
            space.AddListener(listener);
            List<Placed> model = [];
            for (int i = 0; i < edits.Length;)
            {
                using AddressChange change = space.Begin();
                do
                {
                    Apply(edits[i], change, model);
                }
                while (!edits[i++].Commits && i < edits.Length);
                TryCommit(change, keepOneIn != 0);
                if (keepOneIn == 0)
                {
                    Assert.Equal(0, iommu.Violations);
                    Assert.Null(listener.Verify());
                    CheckHalves(model, iommu, listener, refuseOneIn == 0);
                }
            }

            // A host that has come to its senses: one more change, and everything is as it should be.
            calm = true;
            using (AddressChange last = space.Begin())
            {
                last.Place(Region.Trapped("last", Page, new Silent()), new GuestAddress(0x4000_0000), 0);
                last.Commit();
            }

            Assert.Null(listener.Verify());
            CheckHalves(model, iommu, listener, mustAllBeMapped: true);
        }).Holds();
    }

    // Half page by half page: what the model has there, and what the table of the IOMMU has.
    private void CheckHalves(List<Placed> model, FakeIommu iommu, IommuListener listener, bool mustAllBeMapped)
    {
        for (int half = 0; half < Halves; half += 2)
        {
            GuestAddress page = new(Origin + ((ulong)half * Half));
            Placed? first = Owner(model, half);
            Placed? second = Owner(model, half + 1);
            bool mappable = first is { Edit.Kind: not Kind.Trapped } && ReferenceEquals(first, second) && (first.Edit.Offset + half - first.Edit.At) % 2 == 0;
            var found = iommu.Table.Values.Where(mapping => mapping.Range.Contains(page)).ToArray();
            Assert.True(found.Length <= (mappable ? 1 : 0));
            Assert.False(mappable && mustAllBeMapped && found.Length == 0);
            if (found.Length == 1)
            {
                RamBlock block = first!.Edit.Kind == Kind.Device ? _bar : _ram;
                Assert.Equal(block.HostAddress + (ulong)(first.Edit.Offset + half - first.Edit.At) * Half, found[0].Host + (page - found[0].Range.Start));
                Assert.Equal(first.Edit.Kind != Kind.Rom, found[0].Writable);
            }

            Assert.All([half, half + 1], each =>
            {
                bool memory = Owner(model, each) is { Edit.Kind: not Kind.Trapped };
                IommuResult[] results = [.. listener.Results.Where(result => result.Range.Contains(new GuestAddress(Origin + (ulong)each * Half)))];
                Assert.Equal(memory ? 1 : 0, results.Length);
                Assert.All(results, result => Assert.Equal(found.Length == 1, result.IsMapped));
            });
        }
    }

    [Fact]
    public void No_mapping_crosses_1_MiB_so_legacy_switches_leave_the_main_memory_mapped()
    {
        using RamBlock big = RamBlock.Create("big", 0x20_0000);
        Region region = Region.ForRam("ram", big, 0, 0x20_0000, mustBeMapped: true);
        _space.AddListener(_listener);
        Change(change => change.Place(region, GuestAddress.Zero, 0));
        Assert.Equal(["map 0x0-0xfffff", "map 0x100000-0x1fffff"], _iommu.Calls);
        _iommu.Calls.Clear();
        Change(change => change.Place(Region.Trapped("vga", 0x2_0000, new Silent()), new GuestAddress(0xA_0000), 1));
        Assert.Equal(["unmap 0x0-0xfffff", "map 0x0-0x9ffff", "map 0xc0000-0xfffff"], _iommu.Calls);
    }

    [Fact]
    public void What_stays_is_not_touched_and_unmapping_comes_first()
    {
        _space.AddListener(_listener);
        Region kept = Ram("kept", 0, 2);
        Region moved = Ram("moved", 2, 2);
        Change(change =>
        {
            change.Place(kept, new GuestAddress(0x10_0000), 0);
            change.Place(moved, new GuestAddress(0x20_0000), 0);
        });
        _iommu.Calls.Clear();
        Change(change =>
        {
            change.Remove(moved);
            change.Place(moved, new GuestAddress(0x18_0000), 0);
        });
        Assert.Equal(["unmap 0x200000-0x200fff", "map 0x180000-0x180fff"], _iommu.Calls);
    }

    [Fact]
    public void Changes_that_touch_no_memory_make_no_calls()
    {
        _space.AddListener(_listener);
        Change(change => change.Place(Ram("ram", 0, 4), new GuestAddress(0x10_0000), 0));
        _iommu.Calls.Clear();
        Change(change => change.Place(Region.Trapped("t", Page, new Silent()), new GuestAddress(0x30_0000), 0));
        Assert.Empty(_iommu.Calls);
    }

    [Fact]
    public void RAM_that_cannot_be_mapped_is_a_failure_that_says_how_much_has_to_be_locked()
    {
        _iommu.Refuses = static _ => Errno.ENOMEM;
        _space.AddListener(_listener);
        ApertureException failure = Assert.Throws<ApertureException>(() =>
            Change(change => change.Place(Region.ForRam("ram-low", _ram, 0, 0x10000, mustBeMapped: true), new GuestAddress(0x10_0000), 0)));
        Assert.Equal(ApertureException.HostFailure, failure.ExitCode);
        Assert.StartsWith("ram-low at 0x100000-0x10ffff cannot be reached by the assigned devices: ", failure.Message, StringComparison.Ordinal);
        Assert.False(Assert.Single(_listener.Results).IsMapped);
    }

    [Fact]
    public void RAM_outside_the_IOMMUs_ranges_says_which_addresses_are_reserved()
    {
        _iommu.Ranges = [new AddressRange(GuestAddress.Zero, 0x10_8000), new AddressRange(new GuestAddress(0x11_0000), 0x100_0000)];
        _space.AddListener(_listener);
        ApertureException failure = Assert.Throws<ApertureException>(() =>
            Change(change => change.Place(Region.ForRam("ram", _ram, 0, 0x10000, mustBeMapped: true), new GuestAddress(0x10_0000), 0)));
        Assert.EndsWith("the host's IOMMU reserves 0x108000-0x10ffff", failure.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_BAR_that_cannot_be_mapped_is_recorded_and_tried_again_at_the_next_change()
    {
        _iommu.Refuses = static _ => Errno.EFAULT;
        _space.AddListener(_listener);
        Region bar = Region.ForDevice("0000:01:00.0 BAR 0", _bar, 0, 4 * Page, new Silent());
        Change(change => change.Place(bar, new GuestAddress(0xC000_0000), 0));
        IommuResult result = Assert.Single(_listener.Results);
        Assert.True(result.IsPeerToPeer);
        Assert.Equal("EFAULT, 0 bytes locked, device memory", result.Reason);
        Assert.Null(_listener.Verify());

        _iommu.Refuses = static _ => 0;
        Change(change => change.Place(Region.Trapped("t", Page, new Silent()), new GuestAddress(0x30_0000), 0));
        Assert.True(Assert.Single(_listener.Results).IsMapped);
        Assert.Single(_iommu.Table);
    }

    [Fact]
    public void BARs_of_a_lone_device_are_mapped_once_there_is_another_to_reach_them()
    {
        bool hasPeers = false;
        IommuListener listener = new(_iommu, () => hasPeers);
        _space.AddListener(listener);
        Change(change => change.Place(Ram("ram", 0, 4), new GuestAddress(0x10_0000), 0));
        Change(change => change.Place(Region.ForDevice("first bar0", _bar, 0, 4 * Page, new Silent()), new GuestAddress(0xC000_0000), 0));
        Assert.Equal(["ram"], listener.Results.Where(r => r.IsMapped).Select(r => r.Region.Name));
        Assert.Equal("no other device is assigned", listener.Results.Single(r => !r.IsMapped).Reason);
        Assert.Single(_iommu.Table);
        Assert.Null(listener.Verify());

        hasPeers = true;
        Change(change => change.Place(Region.ForDevice("second bar0", _bar, 4 * Page, 4 * Page, new Silent()), new GuestAddress(0xD000_0000), 0));
        Assert.All(listener.Results, r => Assert.True(r.IsMapped));
        Assert.Equal(3, _iommu.Table.Count);
        Assert.Null(listener.Verify());
    }

    [Fact]
    public void Read_only_memory_is_mapped_for_reading_and_is_no_failure_when_refused()
    {
        _space.AddListener(_listener);
        Region rom = Region.ForRom("rom", _ram, 0, 2 * Page, mustBeMapped: true);
        Change(change => change.Place(rom, new GuestAddress(0xFFF0_0000), 0));
        Assert.False(Assert.Single(_iommu.Table.Values).Writable);

        Change(change => change.Remove(rom));
        _iommu.Refuses = static _ => Errno.ENOMEM;
        Change(change => change.Place(rom, new GuestAddress(0xFFE0_0000), 0));
        Assert.False(Assert.Single(_listener.Results).IsMapped);
    }

    [Fact]
    public void A_mapping_that_the_kernel_keeps_is_a_failure_and_shows_in_the_comparison()
    {
        _space.AddListener(_listener);
        Region ram = Ram("ram", 0, 4);
        Change(change => change.Place(ram, new GuestAddress(0x10_0000), 0));
        _iommu.Keeps = static _ => Errno.EIO;
        ApertureException failure = Assert.Throws<ApertureException>(() => Change(change => change.Remove(ram)));
        Assert.Contains("did not take the devices' mapping of ram at 0x100000-0x101fff back", failure.Message, StringComparison.Ordinal);
        Assert.NotNull(_listener.Verify());
        Assert.Equal(("ram", 0x10_0000UL), _listener.Stale.Select(s => (s.Region.Name, s.Range.Start.Value)).Single());

        _iommu.Keeps = static _ => 0;
        Change(change => change.Place(Region.Trapped("t", Page, new Silent()), new GuestAddress(0x30_0000), 0));
        Assert.Empty(_listener.Stale);
    }

    private static void TryCommit(AddressChange change, bool mayFail)
    {
        try
        {
            change.Commit();
        }
        catch (ApertureException) when (mayFail)
        {
            // A mapping that was kept.
        }
    }

    private static Placed? Owner(List<Placed> model, int half) => model
        .Where(placed => half >= placed.Edit.At && half < placed.Edit.At + placed.Edit.Length)
        .OrderBy(placed => placed.Edit.Priority).ThenBy(placed => placed.Sequence).LastOrDefault();

    private void Apply(Edit edit, AddressChange change, List<Placed> model)
    {
        if (edit.Length == 0)
        {
            if (model.Count > 0)
            {
                Placed gone = model[edit.Offset % model.Count];
                change.Remove(gone.Region);
                model.Remove(gone);
            }

            return;
        }

        ulong size = (ulong)edit.Length * Half;
        ulong offset = (ulong)edit.Offset * Half;
        Region region = edit.Kind switch
        {
            Kind.Ram => Region.ForRam("ram", _ram, offset, size),
            Kind.Rom => Region.ForRom("rom", _ram, offset, size),
            Kind.Device => Region.ForDevice("bar", _bar, offset, size, new Silent()),
            _ => Region.Trapped("trapped", size, new Silent()),
        };
        change.Place(region, new GuestAddress(Origin + ((ulong)edit.At * Half)), edit.Priority);
        model.Add(new Placed(edit, region, model.Count == 0 ? 0 : model[^1].Sequence + 1));
    }

    private Region Ram(string name, int first, int halves) => Region.ForRam(name, _ram, (ulong)first * Half, (ulong)halves * Half);

    private void Change(Action<AddressChange> edit)
    {
        using AddressChange change = _space.Begin();
        edit(change);
        change.Commit();
    }

    private sealed record Placed(Edit Edit, Region Region, int Sequence);

    private sealed class NoAnswer : IFaultAnswerer
    {
        public bool Touched(FaultingMemory memory, ulong offset) => false;
    }

    private sealed class Nothing : IDisposable
    {
        public void Dispose()
        {
        }
    }

    private sealed class Silent : IAccessHandler
    {
        public AccessResult Read(ulong offset, int size, out ulong value)
        {
            value = 0;
            return AccessResult.Ok;
        }

        public AccessResult Write(ulong offset, int size, ulong value) => AccessResult.Ok;
    }
}
