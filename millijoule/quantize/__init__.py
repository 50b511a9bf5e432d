"""Float model → int8 model."""

from millijoule.quantize.calibrate import quantize

__all__ = ["quantize"]
