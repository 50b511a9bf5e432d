"""Object detection: annotated images, networks that find boxes, and how good what they find is."""
