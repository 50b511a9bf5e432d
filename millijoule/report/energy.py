"""Predictions of latency and energy in the terminal: the value, its range, and what both rest on."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import RenderableType
from rich.text import Text

from millijoule.energy.money import Bill
from millijoule.energy.prediction import Accesses, Estimate, Prediction
from millijoule.report import format as fmt
from millijoule.report.layout import Column, make_table

ACCESSES = (
    Column("memory", text=True),
    Column("of", text=True),
    Column("read, bytes"),
    Column("written, bytes"),
    Column("energy, mJ"),
    Column("range"),
)


def prediction(predicted: Prediction, lacking: Sequence[str] = ()) -> list[RenderableType]:
    """What is predicted on a device, what is refused and why, and what it rests on.

    lacking: sentences on what the device has too little of, which go before everything.
    """
    span = "90 % range" if predicted.tested else "range"
    columns = (Column("predicted, one inference", text=True), Column(""), Column(span), Column("", text=True))
    return [
        Text(f"{predicted.network} on {predicted.device}", style="bold"),
        make_table(columns, rows(predicted)),
        *([make_table(ACCESSES, [_accesses(each) for each in predicted.accesses])] if predicted.accesses else []),
        *(Text(f"{'Hint' if index else 'It does not fit'}: {text}") for index, text in enumerate(lacking)),
        *(Text(f"Note: {note}") for note in notes(predicted)),
    ]


def _accesses(each: Accesses) -> tuple[str, ...]:
    energy = cells(each.energy_mj)[:2] if each.energy_mj else (fmt.NONE, "")
    return (each.level, each.what, f"{each.reads_bytes:,}", f"{each.writes_bytes:,}", *energy)


def rows(predicted: Prediction) -> list[tuple[str, str, str, str]]:
    """(quantity and unit, value, range, how far it goes) for latency and energy."""
    refused = dict(predicted.refused)
    return [
        (name, *cells(value)) if value else (name, "refused" if key in refused else fmt.NONE, "", "")
        for key, name, value in (
            ("latency", "latency, ms", predicted.latency_ms),
            ("energy", "energy, mJ", predicted.energy_mj),
        )
    ]


def cells(estimate: Estimate) -> tuple[str, str, str]:
    """Value, range and how far it goes, as text."""
    low, high = (fmt.NONE if each is None else fmt.figures(each) for each in (estimate.low, estimate.high))
    if estimate.value is None:
        return (f"at most {high}" if estimate.low is None else f"at least {low}"), "", ""
    if estimate.low == estimate.high:
        return fmt.figures(estimate.value), "", ""
    return fmt.figures(estimate.value), f"{low} to {high}", estimate.percent


def notes(predicted: Prediction) -> list[str]:
    """Sentences: what it rests on, what is assumed, what is refused and why."""
    reasons: dict[str, list[str]] = {}
    for quantity, reason in predicted.refused:
        reasons.setdefault(reason, []).append(quantity)
    return [
        *(f"it rests on {text}" for text in predicted.rests_on),
        *predicted.assumptions,
        *(f"no {' and no '.join(quantities)}: {reason}" for reason, quantities in reasons.items()),
    ]


def bill(bill: Bill) -> list[RenderableType]:
    """Time, energy, money and carbon, each with its range, and what they rest on."""
    quantities = (
        ("hours", bill.hours),
        ("energy, kWh", bill.energy_kwh),
        ("electricity, $", bill.electricity_usd),
        ("carbon, kg CO2e", bill.carbon_kg),
        ("machine, $", bill.machine_usd),
    )
    rows = [(name, *cells(value)[:2]) if value else (name, fmt.NONE, "") for name, value in quantities]
    return [
        Text(f"{bill.what} on {bill.device}", style="bold"),
        make_table((Column("", text=True), Column(""), Column("range")), rows),
        *(Text(f"Note: {note}") for note in bill.missing),
        *(Text(f"{name}: {source}") for name, source in bill.sources),
    ]
