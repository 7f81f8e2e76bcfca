"""Measures training that is not tfperf's own: `model.fit` in existing code, or a loop written by hand.

`fit.MLPerfCallback` is told what happens by Keras, `custom_loop.measure` by its caller. Both leave the run directory of
`tfperf train`: the MLPerf log, the events, TensorBoard, the result. See `tfperf.MLPerfCallback`, `tfperf.measure`.
"""
