"""`compare`, `explain`, `audit`: what costs mean."""

from __future__ import annotations

import argparse
from pathlib import Path

import millijoule
from millijoule.cli.command import NETWORK, Command, add_force, add_input, check_files, graph_or_model, network, show


def _compare_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "models", nargs="*", metavar="MODEL", help=f"{NETWORK}; none: the ten that the lecture compares; all: the zoo"
    )
    parser.add_argument(
        "--sort",
        metavar="COLUMN",
        help="name, year, params, macs, size_bytes, eager_peak_bytes, top1, top5, top1_per_million or weights",
    )
    parser.add_argument("--descending", action="store_true", help="the largest first")
    parser.add_argument("--html", type=Path, metavar="FILE", help="write the charts as one page that needs no network")
    add_force(parser)
    parser.add_argument(
        "--pictures", type=Path, metavar="FOLDER", help="write each chart as .svg and .png (needs kaleido and Chromium)"
    )


def _compare(options: argparse.Namespace) -> None:
    from millijoule.survey.compare import LECTURE, compare

    check_files(options, "html")
    names = options.models or LECTURE
    if options.models == ["all"]:
        names = [entry.name for entry in millijoule.zoo.entries()]
    rows = compare([network(name) for name in names], sort=options.sort, descending=options.descending)
    if options.html or options.pictures:
        from millijoule.report.survey.page import write_page, write_pictures

        if options.html:
            write_page(rows, options.html)
        if options.pictures:
            write_pictures(rows, options.pictures, force=options.force)
    from millijoule.report.survey import tables

    show(options, [row.to_json() for row in rows], tables.compare(rows))


def _explain_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", metavar="MODEL", help=NETWORK)
    add_input(parser, "--input")


def _explain(options: argparse.Namespace) -> None:
    from millijoule.report.survey import tables
    from millijoule.survey.explain import explain

    explanation = explain(graph_or_model(options))
    show(options, explanation.to_json(), tables.explain(explanation))


def _audit_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "claims",
        metavar="CLAIMS",
        help="lecture, or a CSV file with columns network, quantity, claimed, unit and perhaps source, arguments, "
        "fact, fact_source, note",
    )


def _audit(options: argparse.Namespace) -> None:
    from millijoule.report.survey import tables
    from millijoule.survey.audit import audit

    findings = audit(options.claims)
    show(options, [finding.to_json() for finding in findings], tables.audit(findings))


COMPARE = Command("compare", "networks beside each other: cost and published accuracy", _compare, _compare_options)
EXPLAIN = Command(
    "explain", "why a network costs what it costs, and what would make it cheaper", _explain, _explain_options
)
AUDIT = Command("audit", "claims about networks, recomputed, each with a verdict", _audit, _audit_options)
