using System.Reflection;
using Aperture.Guest.Tests;
using Xunit.v3;

[assembly: AssemblyFixture(typeof(SharedLabEnd))]
[assembly: FreshLabAfterFailure]
[assembly: TestCollectionOrderer(typeof(OwnMachinesFirst))]

namespace Aperture.Guest.Tests;

/// <summary>Ends the shared machines with the last test.</summary>
public sealed class SharedLabEnd : IAsyncDisposable
{
    /// <inheritdoc/>
    public async ValueTask DisposeAsync() => await SharedLab.EndAsync(_ => true);
}

/// <summary>A machine whose test failed serves no other.</summary>
[AttributeUsage(AttributeTargets.Assembly)]
public sealed class FreshLabAfterFailureAttribute : BeforeAfterTestAttribute
{
    /// <inheritdoc/>
    public override void After(MethodInfo methodUnderTest, IXunitTest test)
    {
        if (TestContext.Current.TestState?.Result == TestResult.Failed)
        {
            SharedLab.EndAsync(session => session.LastTest == test.UniqueID).GetAwaiter().GetResult();
        }
    }
}
