// All of these start the lab, which has one machine at a time: tests beside each other would spend their time limits waiting for it.
[assembly: CollectionBehavior(DisableTestParallelization = true)]
