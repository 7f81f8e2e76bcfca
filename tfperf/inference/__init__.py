"""Serving under LoadGen: compiled forms of a model, the sample library, the SUT of each scenario, the child process.

`process.run` starts a `job.Job` in a process of its own, where `child` opens what is served, warms it up and hands a
`sut` to `loadgen`. What the SUT sees goes into a `recording` that the parent reads while the run goes on.
"""
