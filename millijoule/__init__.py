"""millijoule: what a CNN costs on a device, and how it runs there for less.

    import millijoule as mj

    graph = mj.zoo.lenet5()
    print(mj.cost(graph).macs)
    dataset = mj.load_data("digits")
    model = mj.quantize(mj.train(graph, dataset), dataset.x_train)
    plan = mj.plan(model)
    deployment = mj.deploy(model, "nucleo-f446re", data=dataset)

Each verb of the command line is a function of the same name. A verb and the sub-package that holds it share the name:
`mj.cost` is the function, `from millijoule.cost import …` reads the sub-package. Nothing heavy is imported before it
is used.
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from millijoule import zoo
    from millijoule.cost import cost
    from millijoule.cost.device import list_devices, load_device
    from millijoule.deploy import deploy
    from millijoule.diagnose import diagnose
    from millijoule.emit import emit
    from millijoule.energy.predict import predict_energy
    from millijoule.errors import MillijouleError
    from millijoule.export import export
    from millijoule.graph import Builder, Graph, Node
    from millijoule.load import load
    from millijoule.measure.runs import measure
    from millijoule.model import Model, Quantization
    from millijoule.passes.integer import reduce
    from millijoule.plan import plan
    from millijoule.quantize import quantize
    from millijoule.run.doctor import doctor
    from millijoule.shrink import distill, prune, quantize_aware
    from millijoule.train import load_data, train

_MODULE_OF = {
    "Builder": "millijoule.graph",
    "Graph": "millijoule.graph",
    "MillijouleError": "millijoule.errors",
    "Model": "millijoule.model",
    "Node": "millijoule.graph",
    "Quantization": "millijoule.model",
    "cost": "millijoule.cost",
    "deploy": "millijoule.deploy",
    "distill": "millijoule.shrink",
    "diagnose": "millijoule.diagnose",
    "doctor": "millijoule.run.doctor",
    "emit": "millijoule.emit",
    "export": "millijoule.export",
    "list_devices": "millijoule.cost.device",
    "load": "millijoule.load",
    "load_data": "millijoule.train",
    "load_device": "millijoule.cost.device",
    "measure": "millijoule.measure.runs",
    "plan": "millijoule.plan",
    "predict_energy": "millijoule.energy.predict",
    "prune": "millijoule.shrink",
    "quantize": "millijoule.quantize",
    "quantize_aware": "millijoule.shrink",
    "reduce": "millijoule.passes.integer",
    "train": "millijoule.train",
}

__all__ = [
    "Builder",
    "Graph",
    "MillijouleError",
    "Model",
    "Node",
    "Quantization",
    "cost",
    "deploy",
    "diagnose",
    "distill",
    "doctor",
    "emit",
    "export",
    "list_devices",
    "load",
    "load_data",
    "load_device",
    "measure",
    "plan",
    "predict_energy",
    "prune",
    "quantize",
    "quantize_aware",
    "reduce",
    "train",
    "zoo",
]


class _Verb:
    """An attribute of the package that is imported when first read.

    Python binds an imported sub-package to its parent; as a descriptor that takes no assignment, the verb of the same
    name stays what `mj.<verb>` means.
    """

    def __init__(self, name: str) -> None:
        self.name = name

    def __get__(self, package: ModuleType | None, owner: type) -> Any:
        return getattr(importlib.import_module(_MODULE_OF[self.name]), self.name)

    def __set__(self, package: ModuleType, value: Any) -> None:
        pass


class _Package(ModuleType):
    def __dir__(self) -> list[str]:
        return [*__all__, *super().__dir__()]


for _name in _MODULE_OF:
    setattr(_Package, _name, _Verb(_name))
sys.modules[__name__].__class__ = _Package


def __getattr__(name: str) -> ModuleType:
    if name == "zoo":
        return importlib.import_module("millijoule.zoo")
    raise AttributeError(f"module 'millijoule' has no attribute {name!r}")
