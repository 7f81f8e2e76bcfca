"""Internal sweeps: keras-tuner varies fields of a training or of a measurement under LoadGen.

A sweep is a project directory. Three kinds of processes work in it: the one that the user started (`sweep`), which
watches and compares; one member for each worker, and a chief where there are several (`member`), which keras-tuner asks
for values; and one process for each trial, so that a trial that dies takes nothing with it. What a trial does is a
matter of the sweep's kind (`training`, `serving`): it trains (`training_trial`), or measures with `tfperf infer` in
one more process (`serving_trial`).

Nothing here can write an MLLOG line, and every file that it writes says `internal`.
"""
