"""Masked-LM and next-sentence pre-training: MLPerf Training's `bert`."""
