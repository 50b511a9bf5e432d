"""Tables as wide as the terminal allows, plain text where there is none.

Columns of numbers never wrap; names are folded over lines where there is no room.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from rich.box import Box
from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.table import Table
from rich.text import Text

RULE = Box("    \n    \n -- \n    \n    \n -- \n    \n    \n", ascii=True)
"""A line of hyphens below the header, and above the totals."""
WIDE = 100
"""Columns from which a table shows everything."""
TEXT_LEAST = 16
"""Characters that a column of text keeps where others could go instead."""


def print_tables(tables: Sequence[RenderableType], console: Console | None = None) -> None:
    """Print to stdout, a blank line between one and the next; without colour if stdout is no terminal."""
    console = console or Console(markup=False, highlight=False, emoji=False)
    for index, table in enumerate(tables):
        if index:
            console.print()
        console.print(table)


@dataclass(frozen=True)
class Column:
    """header: may have a second line for unit or origin. text: flush left and folded where there is no room. wide_only:
    left out below WIDE. rank: where the rest does not fit, the column of the highest rank goes first; 0 always stays.
    """

    header: str
    text: bool = False
    wide_only: bool = False
    rank: int = 0


@dataclass(frozen=True)
class Responsive:
    """What `make(width)` returns for the width there is."""

    make: Callable[[int], RenderableType]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield self.make(options.max_width)


def make_table(columns: Sequence[Column], rows: Sequence[Sequence[str]], total: bool = False) -> RenderableType:
    """total: the last row is a total, below a line."""

    def make(width: int) -> RenderableType:
        shown = _fitting(columns, rows, width)
        table = Table(box=RULE, show_edge=False, pad_edge=False, padding=(0, 0, 0, 1), show_footer=total)
        for index in shown:
            column = columns[index]
            justify: Literal["left", "right"] = "left" if column.text else "right"
            table.add_column(
                Text(column.header),
                Text(rows[-1][index], style="bold") if total else "",
                justify=justify,
                no_wrap=not column.text,
                overflow="fold",
                header_style="bold",
                min_width=6 if column.text else None,
            )
        for row in rows[:-1] if total else rows:
            table.add_row(*(Text(row[index]) for index in shown))
        return table

    return Responsive(make)


def _fitting(columns: Sequence[Column], rows: Sequence[Sequence[str]], width: int) -> list[int]:
    """The columns that are shown."""

    def needed(index: int) -> int:
        texts = (*columns[index].header.splitlines(), *(row[index] for row in rows))
        widest = max(map(len, texts), default=0)
        return min(widest, TEXT_LEAST) if columns[index].text else widest

    shown = [index for index, column in enumerate(columns) if width >= WIDE or not column.wide_only]
    while sum(needed(index) + 2 for index in shown) - 2 > width:
        last = max(shown, key=lambda index: columns[index].rank)
        if columns[last].rank == 0:
            break
        shown.remove(last)
    return shown
