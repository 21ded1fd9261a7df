namespace Aperture.Board;

/// <summary>Who wins where regions overlap. RAM, ECAM and the firmware image win over a BAR, whatever the guest programs.</summary>
internal static class RegionPriority
{
    public const int Alias = -10;
    public const int Bar = 0;
    public const int Ram = 10;
    public const int Legacy = 20;
    public const int ManagementRam = 25;
    public const int Firmware = 30;
    public const int Ecam = 40;
}
