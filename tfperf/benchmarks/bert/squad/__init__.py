"""Question answering on SQuAD v1.1: MLPerf Inference's `bert-99` and `bert-99.9`, and fine-tuning for it."""
