"""Comparisons, explanations and audits in the terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import RenderableType
from rich.text import Text

from millijoule.report import format as fmt
from millijoule.report.layout import Column, make_table
from millijoule.survey.audit import Finding, tally
from millijoule.survey.compare import Compared
from millijoule.survey.explain import Change, Explanation


def compare(rows: Sequence[Compared]) -> list[RenderableType]:
    """One row for each network."""
    columns = (
        Column("network", text=True),
        Column("year", rank=5),
        Column("parameters"),
        Column("MACs"),
        Column("size,\nMB", rank=3),
        Column("size,\nMiB", rank=4),
        Column("eager peak,\nMiB", rank=6),
        Column("top-1,\n%", rank=1),
        Column("top-5,\n%", rank=2),
        Column("top-1 %\nper 10^6", rank=7),
        Column("weights of", text=True, rank=8),
    )
    cells = [
        (
            row.name + (" (at least)" if row.not_counted else ""),
            str(row.year) if row.year else fmt.NONE,
            fmt.compact(row.params),
            fmt.compact(row.macs),
            fmt.figures(row.size_bytes / 1e6),
            fmt.figures(row.size_bytes / 2**20),
            fmt.figures(row.eager_peak_bytes / 2**20),
            fmt.NONE if row.top1 is None else f"{row.top1:.1f}",
            fmt.NONE if row.top5 is None else f"{row.top5:.1f}",
            fmt.NONE if row.top1_per_million is None else fmt.figures(row.top1_per_million),
            row.weights or fmt.NONE,
        )
        for row in rows
    ]
    known = any(row.top1 is not None for row in rows)
    note = [Text("Accuracies are published ones, of the weights named; --json has their sources.")] if known else []
    return [make_table(columns, cells), *note]


def explain(explanation: Explanation) -> list[RenderableType]:
    """The sentences, then the changes that make it cheaper."""
    columns = (
        Column("change, the largest saving first", text=True),
        Column("size", rank=1),
        Column("MACs"),
        Column("peak RAM", rank=2),
        Column("parameters\nthen", rank=3),
        Column("MACs\nthen", rank=4),
    )
    applied = [change for change in explanation.changes if not change.reason]
    refused = [change for change in explanation.changes if change.reason]
    parts: list[RenderableType] = [Text(explanation.name, style="bold"), Text("\n".join(explanation.sentences))]
    parts += [make_table(columns, [_change_cells(change) for change in applied])]
    if refused:
        reasons = "\n".join(f"Does not apply: {change.title}: {change.reason}" for change in refused)
        parts.append(Text(reasons))
    parts.append(
        Text(
            "Shares are what the change saves (-: adds), counted on the changed graph; ranked by the mean of size, "
            "MACs and peak RAM. What it does to accuracy shows only in training."
        )
    )
    return parts


def _change_cells(change: Change) -> tuple[str, ...]:
    return (
        change.title,
        _saved(change.saved["size_bytes"]),
        _saved(change.saved["macs"]),
        _saved(change.saved["peak_ram_bytes"]),
        fmt.compact(change.params),
        fmt.compact(change.macs),
    )


def _saved(share: float) -> str:
    return f"{100 * share:.0f} %" if abs(share) >= 0.005 else "0 %"


def audit(findings: Sequence[Finding]) -> list[RenderableType]:
    """One row for each claim, then how many got which verdict."""
    columns = (
        Column("claim", text=True),
        Column("claimed"),
        Column("is", rank=0),
        Column("verdict", text=True),
        Column("what to know", text=True, rank=2),
        Column("by", text=True, rank=3),
    )
    rows = [
        (
            f"{finding.network} {finding.quantity}".strip(),
            _with_unit(finding.claimed, finding.unit),
            fmt.NONE if finding.found is None else _with_unit(finding.found, finding.unit),
            verdict(finding),
            finding.slip,
            finding.origin or fmt.NONE,
        )
        for finding in findings
    ]
    counts = ", ".join(f"{count} {name}" for name, count in tally(findings).items())
    return [make_table(columns, rows), Text(f"{len(findings)} claims: {counts}.")]


def verdict(finding: Finding) -> str:
    """The verdict, for a wrong claim with its factor."""
    if finding.verdict != "wrong" or not finding.ratio or finding.unit == "year":
        return finding.verdict
    factor = finding.ratio if finding.ratio >= 1 else 1 / finding.ratio
    way = "too much" if finding.ratio >= 1 else "too little"
    return f"wrong by x{factor:.2f}, {way}"


def _with_unit(value: float, unit: str) -> str:
    plain = unit == "%" or (value == int(value) and value < 10_000)
    number = f"{value:g}" if plain else fmt.figures(value, 4)
    return number if unit in ("1", "year") else f"{number} {unit}"
