"""Networks that do the same for less: quantization-aware training, pruning, distillation."""

from millijoule.shrink.aware import quantize_aware

__all__ = ["quantize_aware"]
