"""Internal sweeps: keras-tuner varies fields of a training run.

A sweep is a project directory. Three kinds of processes work in it: the one that the user started (`sweep`), which
watches and compares; one member for each worker, and a chief where there are several (`member`), which keras-tuner asks
for values; and one process for each trial (`trial_process`), so that a trial that dies takes nothing with it.

Nothing here can write an MLLOG line, and every file says `internal`.
"""
