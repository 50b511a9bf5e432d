"""Why a network costs what it costs, in sentences, and what would make it cheaper: `explain`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

from millijoule.cost import Cost, LayerCost, cost
from millijoule.errors import ModelError
from millijoule.graph import Graph
from millijoule.model import Model
from millijoule.passes import simplify
from millijoule.passes.cheaper import (
    add_bottlenecks,
    pool_instead_of_dense,
    scale_resolution,
    scale_width,
    separate_convolutions,
)

HALF_AREA = 2**-0.5
"""Of height and width: half the positions."""

REWRITES: tuple[tuple[str, Callable[[Graph], Graph]], ...] = (
    ("a global average pool instead of the hidden dense layers", pool_instead_of_dense),
    ("depthwise separable convolutions instead of full ones", separate_convolutions),
    ("1x1 bottlenecks, a quarter of the channels, around full convolutions", add_bottlenecks),
    ("half the width: channels and features x 0.5", partial(scale_width, factor=0.5)),
    ("three quarters of the width: channels and features x 0.75", partial(scale_width, factor=0.75)),
    ("half the resolution's area: height and width x 0.71", partial(scale_resolution, factor=HALF_AREA)),
)
INT8 = "int8 weights and activations instead of float32"


@dataclass(frozen=True)
class Change:
    """The network after one change, counted; saved: the share of each figure that is saved, negative if it grows.

    reason: why the change does not apply; the figures are 0 then.
    """

    title: str
    params: int
    macs: int
    size_bytes: int
    peak_ram_bytes: int
    saved: dict[str, float]
    reason: str = ""

    @property
    def rank(self) -> float:
        """Mean share saved of size, MACs and peak RAM."""
        return sum(self.saved[name] for name in FIGURES) / len(FIGURES)


FIGURES = ("size_bytes", "macs", "peak_ram_bytes")


@dataclass(frozen=True)
class Explanation:
    """sentences: what the numbers say. changes: those that apply, the largest saving first; then those that do not."""

    name: str
    sentences: tuple[str, ...]
    changes: tuple[Change, ...]

    def to_json(self) -> dict[str, Any]:
        return asdict(self) | {"sentences": list(self.sentences), "changes": [asdict(each) for each in self.changes]}


def explain(network: Model | Graph) -> Explanation:
    """Sentences about a network's cost, and rewrites of its graph, each applied and counted again.

    What a change does to accuracy is not predicted: the changed network must be trained.
    """
    graph = network.graph if isinstance(network, Model) else network
    counted = cost(network)
    changes = [_change(title, rewrite, graph, counted) for title, rewrite in REWRITES]
    if not (isinstance(network, Model) and network.is_int8):
        changes.append(_compared(INT8, cost(simplify(graph), bytes_per_weight=1), counted))
    applied = sorted((each for each in changes if not each.reason), key=lambda each: each.rank, reverse=True)
    return Explanation(
        name=graph.name,
        sentences=tuple(_sentences(graph, counted)),
        changes=(*applied, *(each for each in changes if each.reason)),
    )


def _change(title: str, rewrite: Callable[[Graph], Graph], graph: Graph, before: Cost) -> Change:
    try:
        return _compared(title, cost(rewrite(graph)), before)
    except ModelError as error:
        return Change(title, 0, 0, 0, 0, {}, reason=str(error))


def _compared(title: str, after: Cost, before: Cost) -> Change:
    def saved(name: str) -> float:
        whole = getattr(before, name)
        return 1 - getattr(after, name) / whole if whole else 0.0

    return Change(
        title=title,
        params=after.params,
        macs=after.macs,
        size_bytes=after.size_bytes,
        peak_ram_bytes=after.in_place_peak_bytes,
        saved={
            "params": saved("params"),
            "macs": saved("macs"),
            "size_bytes": saved("size_bytes"),
            "peak_ram_bytes": saved("in_place_peak_bytes"),
        },
    )


def _sentences(graph: Graph, counted: Cost) -> list[str]:
    shape = "x".join(map(str, graph.inputs[0].shape))
    least = "at least " if counted.at_least else ""
    size = counted.size_bytes
    sentences = [
        f"{graph.name} has {least}{counted.params:,} parameters, {size / 1e6:,.4g} MB or {size / 2**20:,.4g} MiB, and "
        f"needs {least}{counted.macs:,} MACs for one input of {shape}."
    ]
    if counted.at_least:
        sentences.append(f"Not counted, as the operators are not known: {counted.named_not_counted}.")
    if counted.macs and counted.params:
        sentences += [*_families(counted), *_largest(counted)]
    sentences.append(
        f"While it runs, layer by layer and in place, at most {counted.in_place_peak_bytes:,} bytes of values are "
        f"live, in {counted.in_place_peak_layer}; in eager PyTorch {counted.eager_peak_bytes:,}, in "
        f"{counted.eager_peak_layer}."
    )
    if counted.operations:
        kind, most = max(counted.operations_by_kind.items(), key=lambda each: each[1])
        sentences.append(
            f"Beside the MACs there are {counted.operations:,} other operations, most of them {kind} "
            f"({_percent(most, counted.operations)})."
        )
    return sentences


def _families(counted: Cost) -> list[str]:
    params, macs = counted.params_by_family, counted.macs_by_family
    sentences = []
    for family, title in (("dense", "Fully connected layers hold"), ("convolution", "Convolutions hold")):
        if params[family]:
            sentences.append(
                f"{title} {_percent(params[family], counted.params)} of the parameters and do "
                f"{_percent(macs[family], counted.macs)} of the MACs."
            )
    reuse = {family: macs[family] / params[family] for family in ("dense", "convolution") if params[family]}
    if len(reuse) == 2 and params["dense"] > params["convolution"] and macs["dense"] < macs["convolution"]:
        sentences.append(
            "So it is large in size but small in operations: a weight of a fully connected layer is used "
            f"{_times(reuse['dense'])} for an image, one of a convolution {_times(reuse['convolution'])}, at as many "
            "positions of the map."
        )
    elif "convolution" in reuse:
        sentences.append(f"A weight of a convolution is used {_times(reuse['convolution'])} for an input, on average.")
    return sentences


def _largest(counted: Cost) -> list[str]:
    heaviest = max(counted.layers, key=lambda layer: layer.params)
    busiest = max(counted.layers, key=lambda layer: layer.macs)
    sentences = [_about(heaviest, "parameters", heaviest.params, counted.params)]
    sentences.append(_about(busiest, "MACs", busiest.macs, counted.macs))
    if counted.intensity is not None:
        sentences.append(
            f"It moves {counted.moved_bytes:,} bytes, {counted.intensity:.3g} FLOPs per byte: a device that can do "
            "more FLOPs for each byte that its memory delivers waits for memory."
        )
    return sentences


def _about(layer: LayerCost, what: str, part: int, whole: int) -> str:
    return f"The layer with the most {what} is {layer.name} ({layer.operator}): {_percent(part, whole)} of them."


def _percent(part: int, whole: int) -> str:
    share = 100 * part / whole
    return f"{share:.0f} %" if share >= 1 or not part else f"{share:.1g} %"


def _times(count: float) -> str:
    return "once" if round(count) == 1 else f"{count:,.0f} times"
