"""What reducing a model removed, for the terminal."""

from __future__ import annotations

from rich.console import RenderableType
from rich.text import Text

from millijoule.passes.integer import Reduction
from millijoule.report import format as fmt
from millijoule.report.layout import Column, make_table


def reduction(reduced: Reduction, proof: bool = False) -> list[RenderableType]:
    """The result of `reduce`: layer by layer; with `proof`, every channel that was removed and why."""
    values = reduced.to_json()
    names = ("constant", "twin", "unread", "macs", "macs_left", "weights", "weights_left")
    counted = ("channels", "channels_left", *names)
    rows = [
        (layer["name"], layer["operator"], *(fmt.count(layer[name]) for name in counted)) for layer in values["layers"]
    ]
    sums = (fmt.count(sum(layer[name] for layer in values["layers"])) for name in names)
    rows.append(("total", "", "", "", *sums))
    columns = (
        Column("layer", text=True),
        Column("operator", text=True, wide_only=True),
        Column("channels"),
        Column("left"),
        Column("constant"),
        Column("twin", wide_only=True),
        Column("unread", wide_only=True),
        Column("MACs"),
        Column("left"),
        Column("weights"),
        Column("left"),
    )
    parts: list[RenderableType] = [
        Text(values["model"], style="bold"),
        *(Text(note) for note in reduced.notes or ("Every channel matters: nothing was removed.",)),
        make_table(columns, rows, total=True),
    ]
    return [*parts, _proof(reduced)] if proof else parts


def _proof(reduced: Reduction) -> RenderableType:
    columns = (
        Column("layer", text=True),
        Column("channel"),
        Column("least sum"),
        Column("largest sum"),
        Column("why it does not matter", text=True),
    )
    rows = []
    for channel in reduced.channels:
        why = {
            "constant": f"always {channel.constant}",
            "twin": f"equals channel {channel.twin}",
            "unread": "nothing that is left reads it",
        }[channel.reason]
        least, largest = (fmt.count(end) for end in channel.sums or (None, None))
        rows.append((channel.value, str(channel.channel), least, largest, why))
    return make_table(columns, rows)
