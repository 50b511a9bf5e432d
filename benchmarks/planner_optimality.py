"""The planner beside exhaustive search, on random small graphs: chains, residuals, shortcuts, pools.

    python benchmarks/planner_optimality.py [--graphs N]

For each graph, one of the contracts of the input in turn, and execution by rows:

order      the most bytes that the plan has in use at one time, beside the least of all orders of execution: of every
           one that computes each row once, looked at by a search that shares no code with the planner
placement  the planned arena, beside the least arena of the same maps, rings and rows at the same times, which CP-SAT
           finds and proves
arena      the planned arena beside the least of all orders, which knows no addresses: it may be out of reach

Printed are the shares that reach the optimum, the mean of the ratios, and the worst.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
from ortools.sat.python import cp_model
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).parents[1]))

from millijoule.plan.streaming import RowBuffer, StreamPlan, stream_plan, verify_stream
from millijoule.target import CONTRACTS
from tests.plan.streaming.exhaustive import least_bytes
from tests.plan.streaming.networks import small_graph


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--graphs", type=int, default=600)
    options = parser.parse_args()
    ratios: dict[str, list[float]] = {"order": [], "placement": [], "arena": []}
    for seed in range(options.graphs):
        graph, contract = small_graph(seed), CONTRACTS[seed % 3]
        least = least_bytes(graph, contract)
        if least is None:
            print(f"graph {seed} has too many orders: left out", file=sys.stderr)
            continue
        planned = stream_plan(graph, contract, grain="row")
        verify_stream(graph, planned)
        ratios["order"].append(planned.lower_bound_bytes / least)
        ratios["placement"].append(planned.arena_bytes / least_arena(planned))
        ratios["arena"].append(planned.arena_bytes / least)
    table = Table("planned ÷ least", "graphs", "optimal", "share", "mean ratio", "worst")
    for name, found in ratios.items():
        optimal = sum(ratio <= 1 for ratio in found)
        shares = (f"{optimal / len(found):.1%}", f"{np.mean(found):.3f}", f"{max(found):.3f}")
        table.add_row(name, str(len(found)), str(optimal), *shares)
    Console(width=120).print(table)


def least_arena(planned: StreamPlan) -> int:
    """The least bytes in which the buffers of a plan have addresses; what shares its place in the plan still does."""
    buffers, most = planned.buffers, planned.arena_bytes
    model = cp_model.CpModel()
    total = model.new_int_var(planned.lower_bound_bytes, most, "total")
    offsets = []
    for buffer in buffers:
        aligned = 4 if buffer.kind == "sums" else 1
        offsets.append(aligned * model.new_int_var(0, (most - buffer.bytes) // aligned, buffer.value))
        model.add(offsets[-1] + buffer.bytes <= total)
    for one, first in enumerate(buffers):
        for two, second in enumerate(buffers[:one]):
            if shared(first, second):
                model.add(offsets[one] == offsets[two])
                continue
            # One lies below the other by enough, for all pieces of both that are there at one time.
            apart = cp_model.Domain(-most, most)
            for a in first.pieces:
                for b in second.pieces:
                    if a.first <= b.last and b.first <= a.last:
                        low, high = b.offset - a.offset - a.bytes, b.offset + b.bytes - a.offset
                        apart = apart.intersection_with(cp_model.Domain.from_intervals([[-most, low], [high, most]]))
            model.add_linear_expression_in_domain(offsets[one] - offsets[two], apart)
    model.minimize(total)
    solver = cp_model.CpSolver()
    solver.parameters.num_workers = 1
    if solver.solve(model) != cp_model.OPTIMAL:
        raise SystemExit("CP-SAT did not prove the least arena")
    return round(solver.objective_value)


def shared(one: RowBuffer, two: RowBuffer) -> bool:
    """Whether rows of one lie over rows of the other while both are there, as where a result replaces an operand."""
    return any(
        a.first <= b.last
        and b.first <= a.last
        and one.offset + a.offset < two.offset + b.offset + b.bytes
        and two.offset + b.offset < one.offset + a.offset + a.bytes
        for a in one.pieces
        for b in two.pieces
    )


if __name__ == "__main__":
    main()
