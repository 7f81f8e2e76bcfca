"""Weights in files of other programs, for every benchmark that starts from them."""
