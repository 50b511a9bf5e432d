"""What the zoo knows of a network beside its structure."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from millijoule.graph import Graph

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True)
class Published:
    """What a source states of a network at its default arguments.

    params: numbers that gradient descent sets. macs: of one inference, of convolutions and dense layers. None: not
    stated there. A number that ends in zeros is a rounded one.
    """

    params: int | None
    macs: int | None
    source: str


@dataclass(frozen=True)
class Entry:
    """A network of the zoo.

    function: builds its Graph; all arguments have defaults. name: of the function and of the graph.
    paper: first authors, title, where; year: when. published: what others count. constants: the arrays that the
    architecture itself fixes, by their names in Model.weights.
    """

    function: Callable[..., Graph]
    title: str
    paper: str
    year: int
    published: Published | None = None
    constants: Callable[[], dict[str, np.ndarray]] = dict

    @property
    def name(self) -> str:
        return self.function.__name__

    @property
    def arguments(self) -> tuple[str, ...]:
        """What `function` takes: `classes`, `input_shape`, …"""
        return tuple(inspect.signature(self.function).parameters)
