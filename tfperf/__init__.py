"""Benchmarks of TensorFlow systems by the rules of MLPerf."""
