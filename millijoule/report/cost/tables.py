"""The cost of a network in the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import RenderableType
from rich.text import Text

from millijoule.cost import Cost, LayerCost
from millijoule.report import format as fmt
from millijoule.report.layout import Column, make_table

if TYPE_CHECKING:
    from millijoule.plan import Plan


def cost(costs: Cost, *, by_layer: bool = True, arena: Plan | None = None) -> list[RenderableType]:
    """Totals, then layer by layer. arena: the planned one, if it was planned."""
    columns = (Column("", text=True), Column("count"), Column("", text=True))
    parts: list[RenderableType] = [Text(costs.name, style="bold"), *not_counted(costs)]
    parts.append(make_table(columns, totals(costs, arena)))
    if by_layer:
        rows = [layer_cells(number, layer, costs) for number, layer in enumerate(costs.layers, start=1)]
        parts.append(make_table(LAYER_COLUMNS, [*rows, total_cells(costs)], total=True))
    return parts


def not_counted(costs: Cost) -> list[RenderableType]:
    """The layers that the totals do not hold, if there are any."""
    return [Text(not_counted_note(costs))] if costs.at_least else []


def not_counted_note(costs: Cost) -> str:
    return f"Not counted: {costs.named_not_counted}. Every total is at least what stands here."


def totals(costs: Cost, arena: Plan | None = None) -> list[tuple[str, str, str]]:
    """(what, how much, what to know) for every total."""
    at_least = "at least " if costs.at_least else ""

    def row(what: str, value: int | None, text: str = "") -> tuple[str, str, str]:
        return (what, at_least + fmt.count(value), text)

    kinds = ", ".join(f"{kind} {fmt.compact(count)}" for kind, count in costs.operations_by_kind.items() if count)
    sizes = costs.size_bytes_by_precision
    rows = [
        row("parameters", costs.params, _shares(costs.params_by_family)),
        row("running statistics", costs.statistics, "of batch-norm, not trained"),
        row("MACs", costs.macs, _shares(costs.macs_by_family)),
        row("FLOPs", costs.flops, "2 x MACs"),
        row("other operations", costs.operations, kinds),
        row("connections", costs.connections, "MACs + bias additions"),
        row("neurons", costs.neurons, "outputs of layers with MACs"),
        *(row(f"size {name}, bytes", size, fmt.megabytes(size)) for name, size in sizes.items()),
        row("activations", costs.activations, f"all values: {fmt.megabytes(costs.activation_bytes)}"),
        row("peak RAM, bytes", costs.peak_ram_bytes, f"layer by layer, nothing in place; in {costs.peak_layer}"),
        row("peak RAM eager", costs.eager_peak_bytes, f"PyTorch's tensors; in {costs.eager_peak_layer}"),
        row("peak RAM in place", costs.in_place_peak_bytes, f"batch-norm folded; in {costs.in_place_peak_layer}"),
    ]
    if arena is not None:
        rows.append(row("planned arena, bytes", arena.arena_bytes, f"int8, as deployed; in {arena.fullest_step}"))
    intensity = "" if costs.intensity is None else f"{costs.intensity:.3g} FLOPs per byte"
    return [*rows, row("bytes moved", costs.moved_bytes, intensity)]


def _shares(by_family: dict[str, int]) -> str:
    """`convolution 4.0 %, dense 96.0 %`."""
    whole = sum(by_family.values())
    return ", ".join(f"{family} {fmt.share(count, whole)}" for family, count in by_family.items() if count)


LAYER_COLUMNS = (
    Column("#", rank=4),
    Column("layer", text=True),
    Column("operator", text=True, rank=5),
    Column("output", text=True, rank=3),
    Column("parameters"),
    Column("share", rank=7),
    Column("MACs"),
    Column("share", rank=2),
    Column("other\nops", rank=6),
    Column("weights,\nbytes", rank=3),
    Column("live RAM,\nbytes", rank=1),
    Column("live,\neager", rank=8),
    Column("field", rank=9),
    Column("stride", rank=10),
    Column("FLOPs\nper byte", rank=9),
)


def layer_cells(number: int, layer: LayerCost, costs: Cost) -> tuple[str, ...]:
    """One row of LAYER_COLUMNS."""
    counted = layer.counted
    return (
        str(number),
        layer.name,
        layer.operator,
        fmt.shape(layer.output_shape),
        fmt.count(layer.params),
        fmt.share(layer.params, costs.params),
        fmt.count(layer.macs) if counted else "not counted",
        fmt.share(layer.macs, costs.macs),
        fmt.count(layer.operations),
        fmt.count(layer.size_bytes),
        fmt.count(layer.live_bytes),
        fmt.count(layer.eager_live_bytes),
        fmt.span(layer.receptive_field),
        fmt.span(layer.stride),
        f"{layer.intensity:.3g}" if layer.intensity else "",
    )


def total_cells(costs: Cost) -> tuple[str, ...]:
    """The last row of LAYER_COLUMNS."""
    at_least = ">= " if costs.at_least else ""
    return (
        "",
        "total, peak RAM",
        "",
        "",
        at_least + fmt.count(costs.params),
        "",
        at_least + fmt.count(costs.macs),
        "",
        at_least + fmt.count(costs.operations),
        fmt.count(costs.size_bytes),
        fmt.count(costs.peak_ram_bytes),
        fmt.count(costs.eager_peak_bytes),
        "",
        "",
        f"{costs.intensity:.3g}" if costs.intensity else "",
    )


def definitions(entries: Sequence[tuple[str, str]]) -> list[RenderableType]:
    """Figures and what they mean."""
    text = Text()
    for index, (name, meaning) in enumerate(entries):
        text.append("\n\n" if index else "").append(name, style="bold").append(f"\n{meaning}")
    return [text]
