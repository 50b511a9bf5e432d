"""`package.module:callable` and `file.py:callable`: the user's module, made as the user would make it."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from millijoule.errors import ModelError
from millijoule.load.names import identifier
from millijoule.load.torch.users_code import running

if TYPE_CHECKING:
    import torch


def find(reference: str) -> tuple[Any, str]:
    """What a reference names, and what its network is called. Its module is imported, from the current folder too."""
    place, _, name = reference.rpartition(":")
    module = _file(place) if place.endswith(".py") else _package(place)
    found: Any = module
    for part in name.split("."):
        if not hasattr(found, part):
            known = sorted(key for key, each in vars(found).items() if callable(each) and key[0] != "_") or ["nothing"]
            raise ModelError(f"{reference}: '{place}' has no '{part}'; it has {', '.join(known[:12])}")
        found = getattr(found, part)
    return found, identifier(name).strip("_").lower()


def _package(place: str) -> ModuleType:
    # As `python -m` does: the current folder first.
    sys.path.insert(0, "")
    try:
        with running(place, "cannot be imported"):
            return importlib.import_module(place)
    finally:
        sys.path.remove("")
    raise AssertionError


def _file(place: str) -> ModuleType:
    path = Path(place)
    if not path.is_file():
        raise ModelError(f"{place}: there is no such file")
    spec = importlib.util.spec_from_file_location(identifier(path.stem), path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # Its neighbours can be imported, as when Python runs the file.
    sys.path.insert(0, str(path.parent.resolve()))
    sys.modules[spec.name] = module
    try:
        with running(place, "cannot be imported"):
            spec.loader.exec_module(module)
    except ModelError:
        del sys.modules[spec.name]
        raise
    finally:
        sys.path.remove(str(path.parent.resolve()))
    return module


def make(factory: Any, reference: str, *, numbers: bool = True) -> torch.nn.Module:
    """Call the factory. numbers: False puts every parameter on the meta device as soon as it is made."""
    import torch

    if isinstance(factory, torch.nn.Module):
        return factory
    if not callable(factory):
        raise ModelError(f"{reference}: is a {type(factory).__name__}; a module, its class, or a function is needed")
    with running(reference, "cannot be called without arguments"):
        if numbers:
            module = factory()
        else:
            with _parameters_without_numbers():
                module = factory()
    if not isinstance(module, torch.nn.Module):
        raise ModelError(f"{reference}: gives a {type(module).__name__}; a torch.nn.Module is needed")
    return module


@contextmanager
def _parameters_without_numbers() -> Iterator[None]:
    """Within it, parameters go to the meta device as modules register them; other tensors stay as they are."""
    import torch

    register: Callable[..., None] = torch.nn.Module.register_parameter

    def without_numbers(self: torch.nn.Module, name: str, param: Any) -> None:
        if param is not None and not param.is_meta:
            param = torch.nn.Parameter(param.detach().to("meta"), requires_grad=param.requires_grad)
        register(self, name, param)

    torch.nn.Module.register_parameter = without_numbers  # type: ignore[method-assign]
    try:
        yield
    finally:
        torch.nn.Module.register_parameter = register  # type: ignore[method-assign]
