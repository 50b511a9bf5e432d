"""Float model → int8 model."""

from millijoule.quantize.calibrate import quantize
from millijoule.quantize.images import Images, load_images, unlike_training

__all__ = ["Images", "load_images", "quantize", "unlike_training"]
