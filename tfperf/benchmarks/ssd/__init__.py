"""SSD300-ResNet34 object detection."""
