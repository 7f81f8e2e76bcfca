"""Object detection for every detector: boxes, matching, losses, suppression and mAP."""
