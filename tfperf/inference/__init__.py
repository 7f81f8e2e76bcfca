"""Serving under LoadGen: compiled forms of a model, the sample library, the SUT of each scenario, the child process.

`process.run` starts a `job.Job` in a separate process, where `child` opens what is served, warms it up and hands a
`sut` to `loadgen`. The SUT records the run in a `recording`, which the parent reads meanwhile.
"""
