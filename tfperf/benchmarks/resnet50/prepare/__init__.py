"""Turns photographs as they are downloaded into the TFRecords that training reads.

`photos` finds the images in archives or class folders, `labels` and `boxes` read what else was downloaded, `record`
makes one image a record, `shards` writes one file of records, `journal` remembers the finished ones, and
`imagenet.prepare` puts them together.
"""
