using System.Runtime.CompilerServices;

// Every import takes and returns blittable values only; with the runtime's marshalling off, a signature that is not does not compile.
[assembly: DisableRuntimeMarshalling]
