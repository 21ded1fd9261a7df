using Aperture.Pci.Ports;

namespace Aperture.Pci.Tests;

public class PortAtomicsTests
{
    // Device capabilities 2 and device control 2 of PCI Express 5.0, sections 7.5.3.15 and 7.5.3.16.
    private const int Capabilities2 = 0x24;
    private const int Control2 = 0x28;
    private const uint EgressBlocking = 1 << 7;

    [Theory]
    [InlineData(AtomicOps.None, 0x000u, 0u)]
    [InlineData(AtomicOps.Routing, 0x040u, EgressBlocking)]
    [InlineData(AtomicOps.Completer32 | AtomicOps.Completer64, 0x180u, 0u)]
    [InlineData(AtomicOps.Completers, 0x380u, 0u)]
    public void A_port_shows_what_it_does_with_AtomicOps_and_can_block_what_it_forwards(AtomicOps atomics, uint shown, uint blocking)
    {
        PciePort[] ports =
            [new RootPort("root", 1, atomics: atomics), new SwitchDownstreamPort("down", 2, atomics: atomics), new SwitchUpstreamPort("up", atomics: atomics)];
        foreach (PciePort port in ports)
        {
            Assert.Equal(shown, port.ReadConfig(port.Express.Offset + Capabilities2, 4) & 0x3C0);
            port.WriteConfig(port.Express.Offset + Control2, 2, EgressBlocking);
            Assert.Equal(blocking, port.ReadConfig(port.Express.Offset + Control2, 2) & EgressBlocking);
        }
    }
}
