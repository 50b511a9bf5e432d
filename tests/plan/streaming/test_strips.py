"""Plans in strips: smaller where lines are long, and proven like all others."""

import json
from dataclasses import replace

import numpy as np
import pytest

from millijoule.cli import main
from millijoule.cost import cost
from millijoule.errors import OptionError
from millijoule.export.tflite import to_tflite
from millijoule.graph import Builder
from millijoule.model import Model
from millijoule.ops import Add, Conv2d, Dense, Flatten, GlobalAveragePool
from millijoule.plan import PlanError
from millijoule.plan.streaming import execute, stream_plan, strip_frontier, strip_plan, verify_stream
from tests.networks import random_int8


def wide() -> Model:
    """Long lines of many channels at the beginning, few numbers later."""
    build = Builder("wide", (16, 64, 3))
    build("stem", Conv2d(channels=8, kernel=3, stride=2, padding="same", activation="relu"))
    build("expand", Conv2d(channels=24, kernel=1, activation="relu"))
    build("dw", Conv2d(channels=24, kernel=3, stride=2, padding="same", groups=24, activation="relu"))
    build("project", Conv2d(channels=6, kernel=1))
    build("more", Conv2d(channels=6, kernel=3, padding="same", activation="relu"))
    build("sum", Add(), "more", "project")
    build("last", Conv2d(channels=12, kernel=3, stride=2, padding="same"))
    build("mean", GlobalAveragePool())
    build("out", Dense(features=5))
    return random_int8(build.graph())


def input_of(model: Model) -> np.ndarray:
    return np.random.default_rng(0).integers(-128, 128, model.graph.inputs[0].shape, dtype=np.int8)


@pytest.mark.parametrize("input", ["read", "keep", "overwrite"])
@pytest.mark.parametrize("count", [2, 3, 4])
def test_strips_give_what_the_model_gives(count, input):
    model = wide()
    split, planned = strip_plan(model, count, input)
    verify_stream(split, planned)
    (found,) = execute(split, planned, input_of(model)).values()
    np.testing.assert_array_equal(found, model.run(input_of(model)[None])["out"][0])
    assert (planned.strips, planned.more_macs) == (count, cost(split).macs - cost(model).macs)
    assert planned.more_macs > 0
    assert f"in {count} strips of its width: {planned.more_macs / cost(model).macs:.1%} more MACs" in planned.notes[0]


def test_strips_need_less_where_lines_are_long():
    whole = stream_plan(wide(), "read").arena_bytes
    arenas = [strip_plan(wide(), count)[1].arena_bytes for count in (2, 4)]
    assert arenas[1] < arenas[0] < whole
    kept = strip_plan(wide(), 2, "keep")[1]
    assert kept.arena_bytes >= arenas[0] + 16 * 64 * 3


def test_each_strip_writes_its_columns_where_the_map_has_them():
    split, planned = strip_plan(wide(), 3)
    (end,) = planned.joined
    host = planned.places["stored", split.graph.by_name[end].name]
    parts = [planned.places["stored", f"{end.removesuffix('.strips')}.strip{number}"] for number in range(3)]
    assert [part.offset for part in parts] == [host.offset + sum(p.row_bytes for p in parts[:n]) for n in range(3)]
    assert {part.pitch for part in parts} == {host.row_bytes} == {sum(part.row_bytes for part in parts)}


def test_a_strip_in_the_wrong_columns_is_found():
    split, planned = strip_plan(wide(), 2)
    at = next(index for index, buffer in enumerate(planned.buffers) if buffer.within)
    for change in ({"offset": planned.buffers[at].offset + 1}, {"pitch": planned.buffers[at].pitch - 1}):
        wrong = (*planned.buffers[:at], replace(planned.buffers[at], **change), *planned.buffers[at + 1 :])
        with pytest.raises(PlanError):
            verify_stream(split, replace(planned, buffers=wrong))


def test_an_input_outside_takes_no_arena_and_is_never_written():
    planned = stream_plan(wide(), "read")
    assert ("stored", "input") not in planned.places
    assert planned.arena_bytes == stream_plan(wide(), "keep").arena_bytes - 16 * 64 * 3
    beyond = replace(planned.buffers[0], offset=planned.arena_bytes)
    with pytest.raises(PlanError):
        verify_stream(wide(), replace(planned, buffers=(beyond, *planned.buffers[1:])))


def test_a_frontier_of_strips_needs_more_with_fewer():
    plans = [planned for _, planned in strip_frontier(wide(), 4)]
    assert [planned.strips for planned in plans] == sorted((planned.strips for planned in plans), reverse=True)
    assert [planned.arena_bytes for planned in plans] == sorted({planned.arena_bytes for planned in plans})


def test_the_command_shows_strips_before_what_needs_more(capsys, tmp_path):
    model, path = wide(), tmp_path / "wide.tflite"
    path.write_bytes(to_tflite(model))
    assert main(["plan", str(path), "--frontier", "--strips", "3", "--input", "read", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    arenas, strips = [each["arena_bytes"] for each in found], [each["strips"] for each in found]
    assert arenas == sorted(set(arenas))
    assert strips == sorted(strips, reverse=True)
    assert strips[0] == 3
    for each in found:
        assert (each["more_macs"] > 0) == (each["strips"] > 1)
    without = stream_plan(model, "read")
    assert without.arena_bytes == arenas[strips.index(1)]
    assert main(["plan", str(path), "--frontier", "--strips", "3", "--input", "read"]) == 0
    assert f"{found[0]['more_macs']:,}" in capsys.readouterr().out


def test_what_cannot_be_in_strips_is_refused():
    with pytest.raises(OptionError, match="pushed rows are gone: choose --input read or keep"):
        strip_plan(wide(), 2, "push")
    with pytest.raises(OptionError, match="'wide' cannot be computed in 99 strips"):
        strip_plan(wide(), 99)
    build = Builder("flat", (4, 4, 1))
    build("flatten", Flatten())
    build("out", Dense(features=2))
    with pytest.raises(OptionError, match="'flat' cannot be computed in 2 strips"):
        strip_plan(random_int8(build.graph()), 2)
