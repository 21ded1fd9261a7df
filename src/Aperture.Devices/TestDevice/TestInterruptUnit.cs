namespace Aperture.Devices.TestDevice;

/// <summary>The interrupt trigger, status and counter of a test device.</summary>
internal sealed class TestInterruptUnit(ITestInterrupts interrupts, int msiVectors, int msixVectors)
{
    private const uint IntxAsserted = 1;
    private const uint NoSuchVector = 2;

    private readonly Lock _gate = new();
    private uint _status;
    private uint _fired;

    /// <summary>The status register.</summary>
    public uint Status => Volatile.Read(ref _status);

    /// <summary>How many triggers were carried out.</summary>
    public uint Fired => Volatile.Read(ref _fired);

    /// <summary>Fires <paramref name="vector"/> by the best means the guest has enabled; INTx has no vectors and ignores it.</summary>
    public void Trigger(uint vector)
    {
        if (interrupts.MsixEnabled)
        {
            if (Take(vector, msixVectors))
            {
                interrupts.FireMsix((int)vector);
            }
        }
        else if (interrupts.MsiEnabled)
        {
            if (Take(vector, msiVectors))
            {
                interrupts.FireMsi((int)vector);
            }
        }
        else
        {
            Assert();
        }
    }

    /// <summary>Clears the status bits given; clearing bit 0 deasserts INTx.</summary>
    public void Acknowledge(uint bits)
    {
        lock (_gate)
        {
            bool released = (_status & bits & IntxAsserted) != 0;
            _status &= ~bits;
            if (released)
            {
                interrupts.SetIntx(false);
            }
        }
    }

    /// <summary>Back to no interrupt.</summary>
    public void Reset()
    {
        lock (_gate)
        {
            (_status, _fired) = (0, 0);
            interrupts.SetIntx(false);
        }
    }

    private void Assert()
    {
        lock (_gate)
        {
            _fired++;
            if ((_status & IntxAsserted) == 0)
            {
                _status |= IntxAsserted;
                interrupts.SetIntx(true);
            }
        }
    }

    private bool Take(uint vector, int count)
    {
        lock (_gate)
        {
            if (vector >= (uint)count)
            {
                _status |= NoSuchVector;
                return false;
            }

            _fired++;
            return true;
        }
    }
}
