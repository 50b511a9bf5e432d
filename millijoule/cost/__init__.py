"""What a network costs on a device."""

from millijoule.cost.count import Cost, LayerCost, cost

__all__ = ["Cost", "LayerCost", "cost"]
