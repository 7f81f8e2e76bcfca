"""Measures training driven by an external loop: `model.fit` in existing code, or a custom loop.

Keras calls the hooks of `fit.MLPerfCallback`; a custom loop calls what `custom_loop.measure` returns. Both are thin
adapters of `training.meter` and leave the run directory of `tfperf train`: the MLPerf log, the events, TensorBoard and
the result. See `tfperf.MLPerfCallback` and `tfperf.measure`.
"""
