"""Turns a downloaded data set into TFRecord files that training reads: what preparing any data set needs.

`plan` decides which example goes into which file, `shards` writes the files, `journal` remembers the finished ones, so
that a killed preparation can be resumed, `lock` keeps a second process out of the folder, and `bar` shows how far it
is.
"""
