"""One training on several machines, started by torchrun's launcher or by Ray. No engine of our own."""

from millijoule.train.cluster.nodes import run_on_nodes
from millijoule.train.cluster.on_ray import run_on_ray

__all__ = ["run_on_nodes", "run_on_ray"]
