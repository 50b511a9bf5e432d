"""Float model → int8 model."""

from millijoule.quantize.calibrate import quantize
from millijoule.quantize.faults import calibration_faults
from millijoule.quantize.images import Images, load_images

__all__ = ["Images", "calibration_faults", "load_images", "quantize"]
