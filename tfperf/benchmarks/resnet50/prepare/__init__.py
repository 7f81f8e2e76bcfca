"""Turns the downloaded ImageNet, or any photographs in class folders, into the TFRecords that training reads.

`photos` finds the images in archives or class folders, `labels` and `boxes` read the annotations, `record` makes one
image a record, and `imagenet.prepare` puts them together.
"""
