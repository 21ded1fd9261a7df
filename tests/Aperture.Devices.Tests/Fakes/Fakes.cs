using Aperture.Devices.Serial;
using Aperture.Devices.TestDevice;

namespace Aperture.Devices.Tests.Fakes;

internal sealed class RecordingBackend : ISerialBackend
{
    public List<byte> Bytes { get; } = [];

    public void Write(byte value) => Bytes.Add(value);
}

internal sealed class FakeTestInterrupts : ITestInterrupts
{
    public bool MsiEnabled { get; set; }

    public bool MsixEnabled { get; set; }

    public bool Intx { get; private set; }

    public List<(string Kind, int Vector)> Fired { get; } = [];

    public void FireMsi(int vector) => Fired.Add(("msi", vector));

    public void FireMsix(int vector) => Fired.Add(("msix", vector));

    public void SetIntx(bool asserted) => Intx = asserted;
}
