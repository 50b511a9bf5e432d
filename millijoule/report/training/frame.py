"""The frame of the pages about training: one file that needs nothing else."""

from __future__ import annotations

import json
from collections.abc import Sequence
from html import escape
from string import Template
from typing import Any

import millijoule
from millijoule.report.files import read_part


def frame(
    kind: str, title: str, subtitle: str, sections: Sequence[tuple[str, str]], value: Any, notes: Sequence[str] = ()
) -> str:
    """The page as text.

    sections: (heading, HTML). value: the page's numbers, which it keeps as JSON under the id `kind`.
    """
    return Template(read_part("training/frame.html")).substitute(
        style=read_part("style.css"),
        title=escape(title),
        subtitle=escape(subtitle),
        notes="\n".join(f'<p class="note">{escape(note)}</p>' for note in notes),
        sections="\n".join(f"<section>\n<h2>{escape(heading)}</h2>\n{body}\n</section>" for heading, body in sections),
        footer=f"Made by millijoule {escape(millijoule.__version__)}. The numbers are in this page as JSON.",
        kind=kind,
        # No `<` can end the element or open a comment.
        json=json.dumps(value).replace("<", "\\u003c"),
    )


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
