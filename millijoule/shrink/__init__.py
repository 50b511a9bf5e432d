"""Networks that do the same for less: quantization-aware training, pruning, distillation."""

from millijoule.shrink.aware import quantize_aware
from millijoule.shrink.distillation import distill
from millijoule.shrink.norms import add_batch_norm
from millijoule.shrink.pruning import prune
from millijoule.shrink.settings import as_shown, itself, retraining

__all__ = ["add_batch_norm", "as_shown", "distill", "itself", "prune", "quantize_aware", "retraining"]
