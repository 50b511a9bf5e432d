"""Numbers for people, the same in the terminal and on the page."""

from __future__ import annotations

from collections.abc import Sequence
from math import floor, log10

NONE = "-"
"""Stands for a number that does not exist."""


def count(value: int | None) -> str:
    """1234567 → 1,234,567."""
    return NONE if value is None else f"{value:,}"


def percent(fraction: float | None, digits: int = 2) -> str:
    """0.98765 → 98.77 %. Never rounds up to 100 or down to 0."""
    if fraction is None:
        return NONE
    text = f"{100 * fraction:.{digits}f}"
    if fraction < 1 and float(text) == 100:
        return f"> {100 - 10**-digits:.{digits}f} %"
    if fraction > 0 and float(text) == 0:
        return f"< {10**-digits:.{digits}f} %"
    return f"{text} %"


def share(part: int | None, whole: int) -> str:
    """The part of a whole, to 0.1 %; empty for nothing."""
    return percent(part / whole, 1) if part and whole else ""


def ratio(value: int | None, by: int) -> str:
    """value / by to two digits; empty where either is nothing."""
    return f"{value / by:,.2f}" if value and by else ""


def shape(sizes: Sequence[int]) -> str:
    """(32, 32, 3) → 32x32x3."""
    return "x".join(map(str, sizes))


def span(sizes: tuple[float, float] | None) -> str:
    """(3.0, 3.0) → 3, (3, 5) → 3x5."""
    if sizes is None:
        return NONE
    return f"{sizes[0]:g}" if sizes[0] == sizes[1] else f"{sizes[0]:g}x{sizes[1]:g}"


def megabytes(size: int) -> str:
    """244403360 → 244.4 MB, 233.1 MiB."""
    return f"{size / 1e6:,.4g} MB, {size / 2**20:,.4g} MiB"


def figures(value: float, digits: int = 3) -> str:
    """`digits` figures at least, thousands separated: 0.247, 14.0, 575."""
    return f"{value:,.{max(0, digits - 1 - floor(log10(abs(value))))}f}" if value else "0"


def compact(value: int) -> str:
    """At most five characters: 987, 12.3 k, 4.56 M (decimal)."""
    for unit, size in (("G", 1_000_000_000), ("M", 1_000_000), ("k", 1_000)):
        if value >= 0.9995 * size:
            scaled = value / size
            digits = 2 if scaled < 9.995 else 1 if scaled < 99.95 else 0
            return f"{scaled:.{digits}f} {unit}"
    return str(value)


def clock(hertz: int | None) -> str:
    """180000000 → 180 MHz."""
    return NONE if hertz is None else f"{hertz / 1_000_000:g} MHz"


def memory(size: int | None) -> str:
    """Device memories: in KiB, as data sheets state them."""
    return NONE if size is None else f"{size / 1024:,.10g} KiB"


def core(name: str) -> str:
    """cortex-m0plus → Cortex-M0+."""
    return name.replace("cortex-m", "Cortex-M").replace("plus", "+") or NONE
