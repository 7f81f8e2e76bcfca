"""RetinaNet-ResNeXt50-FPN object detection."""
