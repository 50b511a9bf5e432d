"""The frame of the pages about training, and what they are made of."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

from millijoule.report.files import read_part
from millijoule.report.page.frame import frame


def training_page(
    kind: str, title: str, subtitle: str, sections: Sequence[tuple[str, str]], value: Any, notes: Sequence[str] = ()
) -> str:
    """The page as text. sections: (heading, HTML). The others as in `report.frame`."""
    parts = [f"<section>\n<h2>{escape(heading)}</h2>\n{body}\n</section>\n" for heading, body in sections]
    style = read_part("training/style.css")
    return frame(kind, title, subtitle, "".join(parts), value, notes=notes, style=style)


def cards(entries: Sequence[tuple[str, str, str]]) -> str:
    """(title, number, what to know of it), side by side."""
    body = "\n".join(
        f'<div class="card"><h3>{escape(title)}</h3><div class="big">{escape(big)}</div><p>{escape(line)}</p></div>'
        for title, big, line in entries
    )
    return f'<div class="cards">\n{body}\n</div>'


def definitions(entries: dict[str, Any]) -> str:
    pairs = "".join(f"<dt>{escape(name)}</dt><dd>{escape(str(value))}</dd>" for name, value in entries.items())
    return f"<dl>{pairs}</dl>"
