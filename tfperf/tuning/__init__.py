"""Internal sweeps: keras-tuner varies the fields of a training or of a measurement under LoadGen.

A sweep has a project directory. Three kinds of processes work in it:

- the one that the user started (`sweep`) watches, compares and writes the result;
- keras-tuner's processes (`tuner_process`), one for each worker and, with several workers, a chief, choose the values;
- each trial runs in its own process (`trial_process`), so that a trial that dies takes nothing with it.

What a trial does depends on the sweep's workload (`workload`): it trains (`training_workload`, `training_trial`), or it
measures with `tfperf infer` in one more process (`serving_workload`, `serving_trial`).

Nothing here can write an MLLOG line, and every file of a sweep says `internal`.
"""
