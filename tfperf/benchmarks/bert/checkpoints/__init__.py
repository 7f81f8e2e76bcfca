"""The weights that BERT starts from: MLPerf's TF1 and TF2 checkpoints and safetensors files of transformers.

`names` has the tables of names, `files` reads the files, and `initial` gives a training run its weights.
"""
