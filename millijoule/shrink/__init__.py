"""Networks that do the same for less: quantization-aware training and pruning."""

from millijoule.shrink.aware import quantize_aware
from millijoule.shrink.pruning import prune
from millijoule.shrink.settings import as_shown, fine_tuning

__all__ = ["as_shown", "fine_tuning", "prune", "quantize_aware"]
