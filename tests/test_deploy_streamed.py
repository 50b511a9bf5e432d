"""Deployments whose layers are executed row by row: on request, or because nothing else fits."""

from dataclasses import replace

import pytest

from millijoule.cost.device import Region, load_device, target_of
from millijoule.deploy import deploy, plan_for
from millijoule.errors import DoesNotFit, OptionError
from millijoule.plan import Plan, plan
from millijoule.plan.streaming import StreamPlan, stream_plan
from millijoule.run.fit import STACK_RESERVE_BYTES, STATIC_ALIGNMENT
from tests.test_emit_streamed import residual


def board(arena_bytes: int):
    """A real one, with so much RAM that this arena just fits."""
    whole = load_device("nucleo-l4r5zi")
    static_bytes = -(-arena_bytes // STATIC_ALIGNMENT) * STATIC_ALIGNMENT
    return replace(whole, ram=Region("SRAM", whole.ram.origin, static_bytes + STACK_RESERVE_BYTES))


def least_bytes() -> int:
    return stream_plan(residual(), target=target_of(load_device("nucleo-l4r5zi"))).arena_bytes


@pytest.mark.parametrize("input", ["overwrite", "keep", "push"])
def test_the_least_ram(tmp_path, input):
    found = deploy(residual(), "nucleo-l4r5zi", optimize="ram", input=input, folder=tmp_path / "out", samples=2)
    assert found.bit_exact
    assert isinstance(found.plan, StreamPlan)
    assert found.plan.input == input
    assert found.measurement.arena_bytes == found.plan.arena_bytes == found.to_json()["arena_planned_bytes"]
    assert found.build.ram_bytes == -(-found.plan.arena_bytes // 8) * 8
    assert found.to_json()["streamed_steps"] == found.plan.streamed_steps > 3
    layers = {layer["name"]: layer for layer in found.layers()}
    assert layers.keys() == {node.name for node in residual().graph.nodes}
    assert max(layer["ram_bytes"] for layer in layers.values()) <= found.plan.arena_bytes
    assert all(layer["instructions"] > 0 for layer in layers.values())
    assert "row by row" not in " ".join(found.plan.notes)
    assert "<pre>" in (tmp_path / "out" / "report.html").read_text()


def test_on_this_computer(tmp_path):
    assert deploy(residual(), "host", optimize="ram", input="push", folder=tmp_path / "out").bit_exact


def test_speed_streams_as_little_as_fits(tmp_path):
    stored = plan(residual(), target=target_of(load_device("nucleo-l4r5zi")))
    assert isinstance(plan_for(residual(), board(stored.arena_bytes)), Plan)
    fallen = plan_for(residual(), board(stored.arena_bytes - STATIC_ALIGNMENT))
    assert isinstance(fallen, StreamPlan)
    assert fallen.arena_bytes < stored.arena_bytes
    assert f"layer by layer the arena takes {stored.arena_bytes:,} bytes, which do not fit" in fallen.notes[0]
    least = plan_for(residual(), board(least_bytes()))
    assert least.arena_bytes == least_bytes()
    assert fallen.streamed_steps <= least.streamed_steps
    found = deploy(residual(), board(least_bytes()), folder=tmp_path / "out", samples=1)
    assert found.bit_exact
    assert found.plan.notes[0] in (tmp_path / "out" / "report.html").read_text().replace("&#x27;", "'")


def test_what_does_not_fit_row_by_row_either_is_told_with_the_least(tmp_path):
    with pytest.raises(DoesNotFit) as error:
        deploy(residual(), board(least_bytes() - STATIC_ALIGNMENT), folder=tmp_path / "out")
    assert f"the arena of {least_bytes():,} bytes is the least that is known" in str(error.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("optimize", ["speed", "ram"])
def test_flash_for_speed(tmp_path, optimize):
    int8, int16 = (
        deploy(
            residual(),
            "nucleo-l4r5zi",
            optimize=optimize,
            folder=tmp_path / str(wide),
            samples=2,
            flash_for_speed=wide,
        )
        for wide in (False, True)
    )
    assert int16.bit_exact
    assert int16.mean_instructions < int8.mean_instructions
    assert int16.plan.arena_bytes == int8.plan.arena_bytes


@pytest.mark.parametrize("device", ["host", "nucleo-g0b1re"])
def test_flash_for_speed_is_for_kernels_that_have_it(tmp_path, device):
    with pytest.raises(OptionError, match=f"'{device}' has no kernels for int16 weights, only Cortex-M4, M7 and M33"):
        deploy(residual(), device, flash_for_speed=True, folder=tmp_path / "out")


def test_flash_that_int16_weights_overflow(tmp_path):
    whole = load_device("nucleo-l4r5zi")
    found = deploy(residual(), whole, folder=tmp_path / "out", samples=1)
    assert whole.flash is not None
    small = replace(whole, flash=replace(whole.flash, bytes=found.build.flash_bytes))
    with pytest.raises(DoesNotFit, match="without --flash-for-speed, its weights take half the flash"):
        deploy(residual(), small, folder=tmp_path / "wide", flash_for_speed=True)


def test_unknown_aims_are_refused(tmp_path):
    with pytest.raises(OptionError, match="optimize is 'size'; it must be one of speed, ram"):
        deploy(residual(), "host", optimize="size", folder=tmp_path / "out")
    with pytest.raises(OptionError, match="input is 'pull'"):
        deploy(residual(), "host", optimize="ram", input="pull", folder=tmp_path / "out")
