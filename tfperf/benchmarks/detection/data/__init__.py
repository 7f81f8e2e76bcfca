"""Photographs with boxes: where they come from, and how they become batches.

`voc` and `coco` read annotations into `annotations`, `damage` says what is done with a damaged one, and `batches` makes
what a detector is trained and evaluated on.
"""
