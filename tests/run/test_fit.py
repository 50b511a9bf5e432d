"""What does not fit says by how much, where it lies and what would make it fit."""

from dataclasses import replace

import pytest

from millijoule import zoo
from millijoule.cost.device import Region, list_devices, load_device
from millijoule.errors import DoesNotFit
from millijoule.graph import Builder, Input
from millijoule.ops import Conv2d, Dense, Flatten, GlobalAveragePool
from millijoule.plan import plan
from millijoule.run.fit import CODE_RESERVE_BYTES, STACK_RESERVE_BYTES, check_before_compiling, largest_input
from tests.networks import random_int8
from tests.run.project import device


def wide():
    """40x40x1 in, 40x40x8 between the two convolutions: 14,400 bytes are live in the first, 16,000 in the second."""
    build = Builder("wide", (40, 40, 1))
    build("first", Conv2d(channels=8, kernel=3, padding="same"))
    build("second", Conv2d(channels=2, kernel=1))
    build("pool", GlobalAveragePool())
    build("classes", Dense(features=3))
    return build.graph()


def message(network, target) -> list[str]:
    with pytest.raises(DoesNotFit) as error:
        check_before_compiling(network, plan(network), target)
    assert error.value.exit_code == 1
    return str(error.value).splitlines()


def test_ram_names_the_layer_and_the_largest_input_that_fits():
    target = device(ram_bytes=8192)
    first, where, what = message(wide(), target)
    assert first == (
        f"the firmware needs at least {16_000 + STACK_RESERVE_BYTES:,} bytes of RAM with 2,048 bytes of stack; device "
        f"'{target.name}' has 8,192 (SRAM): {16_000 + STACK_RESERVE_BYTES - 8192:,} too many"
    )
    assert where == "hint: most RAM is live in layer 'second': 16,000 bytes"
    assert "trained with an input of 24x24x1 instead of 40x40x1, it fits the RAM" in what
    for side, fits in ((24, True), (25, False)):
        smaller = replace(wide(), inputs=(Input("input", (side, side, 1)),))
        assert (plan(smaller).arena_bytes + STACK_RESERVE_BYTES <= 8192) is fits


def test_flash_names_the_layers_with_most_weights():
    first, where, what = message(zoo.lenet5(), device(flash_bytes=40_000))
    weights = 61_470 + 4 * 236
    assert first.startswith(f"the firmware needs at least {weights:,} bytes of flash; device ")
    assert first.endswith(f": {weights - 40_000:,} too many")
    assert (
        where
        == "hint: most flash is held by the weights of 'c5' (48,480 bytes), 'f6' (10,416 bytes), 'c3' (2,464 bytes)"
    )
    assert what.startswith("hint: it fits ")
    assert "trained with" not in what


def test_both_memories_are_told_at_once():
    lines = message(zoo.lenet5(), device(flash_bytes=40_000, ram_bytes=4096))
    assert " too many; and " in lines[0]
    assert len(lines) == 4


def test_devices_that_fit_are_the_smallest_and_hold_all_of_it():
    network = random_int8(wide())
    large = replace(network.graph, inputs=(Input("input", (100, 100, 1)),))
    lines = message(large, device(ram_bytes=8192))
    need = plan(large).arena_bytes + STACK_RESERVE_BYTES
    named = lines[-1].split("it fits ")[1].split(";")[0].split(", ")
    assert len(named) == 3
    known = [board for board in list_devices() if board.ram]
    fitting = [board for board in known if board.ram.bytes >= need and board.flash.bytes >= CODE_RESERVE_BYTES + 999]
    assert 0 < len(fitting) < len(known)
    largest_named = max(load_device(name).ram.bytes for name in named)
    assert all(load_device(name).ram.bytes >= need for name in named)
    assert sum(board.ram.bytes < largest_named for board in fitting) <= 2


def test_what_fits_no_known_device():
    build = Builder("huge", (2000, 2000, 3))
    build("conv", Conv2d(channels=8, kernel=1))
    assert message(build.graph(), device())[-1].startswith("hint: trained with an input of ")
    build = Builder("huge", (8_000_000,))
    build("classes", Dense(features=2))
    assert message(build.graph(), device())[-1] == "hint: it fits no microcontroller that is known, only the host"


def test_what_fits_passes():
    check_before_compiling(zoo.lenet5(), plan(zoo.lenet5()), load_device("nucleo-f446re"))
    exact = load_device("nucleo-f446re")
    need = plan(zoo.lenet5()).arena_bytes + STACK_RESERVE_BYTES
    check_before_compiling(zoo.lenet5(), plan(zoo.lenet5()), replace(exact, ram=Region("SRAM", 0x20000000, need)))
    with pytest.raises(DoesNotFit, match="1 too many"):
        check_before_compiling(
            zoo.lenet5(), plan(zoo.lenet5()), replace(exact, ram=Region("SRAM", 0x20000000, need - 1))
        )


def test_no_smaller_input_where_a_layer_is_bound_to_its_size():
    build = Builder("flat", (64,))
    build("classes", Dense(features=2))
    assert largest_input(build.graph(), plan(build.graph()), 10) is None
    build = Builder("bound", (9, 9, 1))
    build("conv", Conv2d(channels=1, kernel=9))
    build("flatten", Flatten())
    assert largest_input(build.graph(), plan(build.graph()), 50) is None
