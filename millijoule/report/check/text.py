"""A check in the terminal, in a comment on a pull request (GitHub-flavoured Markdown) and as test report (JUnit)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from xml.etree import ElementTree

from rich.console import RenderableType
from rich.text import Text

from millijoule.report import energy
from millijoule.report import format as fmt
from millijoule.report.check.result import COMPARED, Check, Difference, Verdict, total
from millijoule.report.layout import Column, make_table

HEAD = ("budget", "limit", "needed", "most likely", "")
LAYER_HEAD = ("layer", "figure", "before", "now", "change")
ROWS_SHOWN = 20
"""Layers that differ, in the terminal and in a comment; JSON has them all."""


def tables(check: Check) -> list[RenderableType]:
    """The verdict, each budget, what changed, and what predictions rest on."""
    colour = "green" if check.is_met else "bold red"
    parts: list[RenderableType] = [Text(headline(check), style=colour)]
    columns = (Column(HEAD[0], text=True), *(Column(name) for name in HEAD[1:4]), Column("", text=True))
    parts.append(make_table(columns, [_cells(verdict) for verdict in check.verdicts]))
    if check.differences:
        columns = (Column("layer", text=True), Column("figure", text=True), *(Column(name) for name in LAYER_HEAD[2:]))
        parts.append(make_table(columns, [_layer_cells(each) for each in check.differences[:ROWS_SHOWN]]))
    return [*parts, *(Text(note) for note in _notes(check))]


def markdown(check: Check) -> str:
    """Tables for a comment on a pull request."""
    title = f"### {'✅' if check.is_met else '❌'} {_escaped(headline(check))}"
    lines = [title, "", *_rows(HEAD, [_cells(verdict) for verdict in check.verdicts])]
    if check.differences:
        lines += ["", *_rows(LAYER_HEAD, [_layer_cells(each) for each in check.differences[:ROWS_SHOWN]])]
    return "\n".join([*lines, "", *(f"- {_escaped(note)}" for note in _notes(check)), ""])


def junit(check: Check, when: datetime) -> str:
    """One test case for each budget, in what Ant's and Jenkins's schemas have in common. when: of the report."""
    failed = [verdict for verdict in check.verdicts if not verdict.is_met]
    suite = ElementTree.Element(
        "testsuite",
        name=f"{check.model} on {check.device}",
        tests=str(len(check.verdicts)),
        failures=str(len(failed)),
        errors="0",
        skipped="0",
        time="0",
        timestamp=when.isoformat(timespec="seconds"),
        hostname="localhost",
    )
    ElementTree.SubElement(suite, "properties")
    for verdict in check.verdicts:
        name = f"{check.model} {verdict.quantity}"
        case = ElementTree.SubElement(suite, "testcase", classname=f"millijoule.{check.device}", name=name, time="0")
        if not verdict.is_met:
            failure = ElementTree.SubElement(case, "failure", message=sentence(verdict), type="budget")
            failure.text = verdict.note
    ElementTree.SubElement(suite, "system-out").text = "\n".join(_notes(check))
    ElementTree.SubElement(suite, "system-err")
    return ElementTree.tostring(suite, encoding="unicode", xml_declaration=True) + "\n"


def headline(check: Check) -> str:
    """`net on board: 2 of 4 budgets are met`."""
    met = sum(verdict.is_met for verdict in check.verdicts)
    count = len(check.verdicts)
    what = f"all {count} budgets are met" if met == count else f"{met} of {count} budgets are met"
    if count == 1:
        what = f"the budget is {'' if met else 'not '}met"
    return f"{check.model} on {check.device}: {what}"


def sentence(verdict: Verdict) -> str:
    """`energy: 6.1 mJ, the budget is 5 mJ`."""
    used = "not known" if verdict.used is None else f"{_number(verdict.used, verdict)} {verdict.unit}"
    return f"{verdict.quantity}: {used}, the budget is {_number(verdict.limit, verdict)} {verdict.unit}"


def _cells(verdict: Verdict) -> tuple[str, ...]:
    used, nominal = (fmt.NONE if each is None else _number(each, verdict) for each in (verdict.used, verdict.nominal))
    outcome = "met" if verdict.is_met else "not known" if verdict.used is None else "EXCEEDED"
    limit = _number(verdict.limit, verdict)
    return (f"{verdict.quantity}, {verdict.unit}", limit, used, "" if verdict.nominal is None else nominal, outcome)


def _number(value: float, verdict: Verdict) -> str:
    return fmt.count(round(value)) if verdict.unit == "bytes" else fmt.figures(value)


def _layer_cells(each: Difference) -> tuple[str, ...]:
    change = (each.now or 0) - (each.before or 0)
    return (each.layer, each.figure, fmt.count(each.before), fmt.count(each.now), f"{change:+,}")


def _notes(check: Check) -> list[str]:
    # What a prediction refuses, its own notes say.
    refused = dict(check.prediction.refused) if check.prediction else {}
    notes = [f"{each.quantity}: {each.note}" for each in check.verdicts if each.note and each.quantity not in refused]
    if check.differences is not None:
        figures = [figure for figure in COMPARED if any(each.figure == figure for each in check.differences)]
        changes = [f"{figure} {total(check.differences, figure):+,}" for figure in figures]
        more = len(check.differences) - ROWS_SHOWN
        notes.append(f"against the baseline: {', '.join(changes)}" if check.differences else "no layer differs")
        notes += [f"{more} further differences are in the JSON"] if more > 0 else []
    if check.prediction and any(each.quantity in ("energy", "latency") for each in check.verdicts):
        notes += energy.notes(check.prediction)
    return notes


def _rows(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """A table in Markdown; numbers to the right."""
    lines = [f"| {' | '.join(head)} |", f"|{'|'.join(['---', *['---:'] * (len(head) - 1)])}|"]
    return lines + [f"| {' | '.join(map(_escaped, row))} |" for row in rows]


def _escaped(text: str) -> str:
    """A text that Markdown takes as it is: names of layers may hold anything."""
    for special in "\\`*_|<>[]#":
        text = text.replace(special, f"\\{special}")
    return text
