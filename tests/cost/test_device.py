"""Device files: figures, sources, and what is said of wrong ones."""

import re
from itertools import pairwise

import pytest

from millijoule.cost.device import (
    COMPILED_FOR,
    TARGETS,
    Device,
    Region,
    compiled_for,
    list_devices,
    load_device,
    memories,
    parse_device,
    slow_memory,
    target_of,
)
from millijoule.errors import DeviceError
from millijoule.target import Target

BOARD = """
title = "a board"
kind = "mcu"
core = "cortex-m4"
clock_hz = 64_000_000
[flash]
name = "flash"
origin = 0x08000000
bytes = 65_536
[ram]
name = "SRAM"
origin = 0x20000000
bytes = 8_192
[sources]
clock_hz = "data sheet"
flash = "data sheet"
ram = "data sheet"
"""

# Data sheets: core, MHz, flash KiB, RAM KiB.
FIGURES = {
    "nucleo-g0b1re": ("cortex-m0plus", 64, 512, 144),
    "raspberry-pi-pico": ("cortex-m0plus", 133, 2048, 264),
    "nucleo-f103rb": ("cortex-m3", 72, 128, 20),
    "nucleo-l152re": ("cortex-m3", 32, 512, 80),
    "nucleo-f446re": ("cortex-m4", 180, 512, 128),
    "nucleo-l4r5zi": ("cortex-m4", 120, 2048, 640),
    "nrf52840-dk": ("cortex-m4", 64, 1024, 256),
    "nucleo-h743zi": ("cortex-m7", 480, 2048, 512),
    "nucleo-h7a3zi-q": ("cortex-m7", 280, 2048, 1024),
    "nucleo-u575zi-q": ("cortex-m33", 160, 2048, 768),
    "nrf5340-dk": ("cortex-m33", 128, 1024, 512),
    "corstone-300": ("cortex-m55", 32, 512, 512),
    "alif-ensemble-e7": ("cortex-m55", 400, 5632, 1024),
    "ek-ra8d1": ("cortex-m85", 480, 2016, 896),
    "nucleo-l4r5zi-p": ("cortex-m4", 120, 2048, 640),
    "cy8cproto-062-4343w": ("cortex-m4", 150, 2048, 1024),
    "numaker-m467hj": ("cortex-m4", 200, 1024, 512),
    "disco-f746ng": ("cortex-m7", 216, 1024, 320),
    "ek-ra6m4": ("cortex-m33", 200, 1024, 256),
    "b-u585i-iot02a": ("cortex-m33", 160, 2048, 768),
    "nucleo-u385rg-q": ("cortex-m33", 96, 1024, 256),
}
COMPUTERS = {
    *("raspberry-pi-4-tflite-2.7.1", "raspberry-pi-4-tflite-2.4.1", "raspberry-pi-4-armnn-21.02"),
    *("odroid-tflite-2.7.1", "jetson-xavier-tflite-2.4.1", "jetson-xavier-armnn-21.02", "jetson-xavier-armnn-21.11"),
    *("jetson-tx1", "h100", "server-8-h100"),
}
ACCELERATORS = {"eyeriss", "horowitz-45nm"}


@pytest.mark.parametrize("name", FIGURES)
def test_figures(name):
    device = load_device(name)
    flash, ram = memories(device)
    assert (device.core, device.clock_hz, flash.bytes, ram.bytes) == (
        FIGURES[name][0], FIGURES[name][1] * 1_000_000, FIGURES[name][2] * 1024, FIGURES[name][3] * 1024,
    )  # fmt: skip


def test_every_device_is_complete():
    devices = list_devices()
    assert {device.name for device in devices} == {*FIGURES, *COMPUTERS, *ACCELERATORS, "host"}
    assert {device.core for device in devices} == {*COMPILED_FOR, ""}
    for device in devices:
        for key, value in (("clock_hz", device.clock_hz), ("flash", device.flash), ("ram", device.ram)):
            assert (value is None) == (device.kind != "mcu")
            assert (key in device.sources) == (value is not None)
        assert ("other" in device.sources) == bool(device.other)
        for key in device.figures:
            assert device.sources[key]


@pytest.mark.parametrize("device", list_devices(), ids=lambda device: device.name)
def test_memories_do_not_overlap(device: Device):
    regions = sorted(
        (region.origin, region.origin + region.bytes) for region in (device.flash, device.ram, *device.other) if region
    )
    assert all(end <= start for (_, end), (start, _) in pairwise(regions))
    assert all(end <= 1 << 32 for _, end in regions)


def test_a_second_memory_is_one_of_the_others():
    assert {device.name: device.slow.name for device in list_devices() if device.slow} == {
        "corstone-300": "internal SRAM",
        "nucleo-h743zi": "SRAM1 to SRAM3",
    }
    external = '[[other]]\nname = "SDRAM"\norigin = 0xC0000000\nbytes = 8_388_608\n[sources]\nother = "schematic"'
    board = BOARD.replace("clock_hz =", 'slow = "SDRAM"\nclock_hz =', 1).replace("[sources]", external)
    assert slow_memory(parse_device("board", board)) == Region("SDRAM", 0xC0000000, 8_388_608)
    with pytest.raises(DeviceError, match=r"slow is 'SDRAM'; it must be the name of one of \[\[other\]\]: 'PSRAM'"):
        parse_device("board", board.replace('name = "SDRAM"', 'name = "PSRAM"'))
    with pytest.raises(DeviceError, match=r"'host' has no second memory .* choose one of corstone-300, nucleo-h743zi"):
        slow_memory(load_device("host"))


def test_cores_that_run_the_code_of_another_say_so():
    for device in list_devices():
        if device.kind == "mcu" and compiled_for(device) != device.core:
            assert any("Helium" in note for note in device.notes), device.name
    assert compiled_for(load_device("corstone-300")) == compiled_for(load_device("ek-ra8d1")) == "cortex-m55"


def test_unknown_names_get_the_nearest_and_the_list():
    with pytest.raises(DeviceError, match=r"'nucleo-f446' is not known; did you mean nucleo-f446re\? known are.*host"):
        load_device("nucleo-f446")
    with pytest.raises(DeviceError, match="'abacus' is not known; known are") as error:
        load_device("abacus")
    assert "did you mean" not in str(error.value)


def test_a_device_of_ones_own(tmp_path):
    path = tmp_path / "my-board.toml"
    path.write_text(BOARD)
    device = load_device(str(path))
    assert (device.name, device.title, memories(device)[1].bytes) == ("my-board", "a board", 8192)
    with pytest.raises(DeviceError, match=r"none\.toml' cannot be read: No such file"):
        load_device(str(tmp_path / "none.toml"))
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DeviceError, match="not a text file"):
        load_device(str(path))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('kind = "mcu"', 'kind = "fpga"', "kind is 'fpga'; it must be one of mcu, host, roofline, hierarchy"),
        ('kind = "mcu"', "", "kind is None"),
        ('kind = "mcu"', 'kind = "mcu"\nregulator = "ldo"', "'regulator' has no source"),
        ("[sources]", "[figures]\npower_w = 1\n[sources]", "a device of kind mcu may have none"),
        ("[sources]", "[[reading]]\nlatency_ms = 1\n[sources]\nreading = 'me'", "has no 'network'"),
        (
            "[sources]",
            "[[reading]]\nnetwork = 'a'\nlatency_ms = 'fast'\ninstructions = 1\n[sources]\nreading = 'me'",
            "latency_ms of a [[reading]] is 'fast'; it must be a number above 0",
        ),
        (
            "[sources]",
            "[[reading]]\nnetwork = 'a'\nlatency_ms = 1\n[sources]\nreading = 'me'",
            "a [[reading]] has no 'instructions'",
        ),
        ('kind = "mcu"', 'kind = "mcu"\nsupply_v = "low"', "'supply_v' has no source"),
        ('core = "cortex-m4"', "", "'core' is missing"),
        ('core = "cortex-m4"', 'core = "cortex-a53"', "core 'cortex-a53'; known are cortex-m0plus"),
        ("clock_hz = 64_000_000", "", "'clock_hz' is missing; state it, with its source"),
        ("clock_hz = 64_000_000", "clock_hz = 64.5", "clock_hz is 64.5"),
        ("clock_hz = 64_000_000", "clock_mhz = 64\nclock_hz = 1", "'clock_mhz' is not a key"),
        ('clock_hz = "data sheet"', "", "'clock_hz' has no source"),
        ('ram = "data sheet"', 'ram = ""', "'ram' has no source"),
        ("bytes = 8_192", "bytes = 0", "[ram] needs name, origin and bytes (1 or more)"),
        ("bytes = 8_192", "kilobytes = 8", "[ram] needs name, origin and bytes"),
        ("bytes = 8_192", 'bytes = "8 KB"', "[ram] needs name, origin and bytes"),
        ("[ram]", "[ram", "device 'board'"),
    ],
)
def test_wrong_files_are_named_with_the_key(old, new, message):
    assert old in BOARD
    with pytest.raises(DeviceError, match=re.escape(message)) as error:
        parse_device("board", BOARD.replace(old, new, 1))
    assert "device 'board'" in str(error.value)


def test_the_host_has_no_memory_of_its_own():
    with pytest.raises(DeviceError, match="'host' has no flash and RAM"):
        memories(load_device("host"))


def test_no_firmware_is_built_for_a_computer():
    with pytest.raises(DeviceError, match="device 'h100' is no microcontroller: firmware cannot be built for it"):
        target_of(load_device("h100"))


def test_every_core_has_its_kernels():
    assert {*TARGETS} == {*COMPILED_FOR.values()}
    built_for = [device for device in list_devices() if device.kind in ("mcu", "host")]
    instructions = {device.core: target_of(device).instructions for device in built_for}
    assert instructions[""] == "host"
    assert instructions["cortex-m0plus"] == "armv6m"
    assert instructions["cortex-m4"] == instructions["cortex-m33"] == "dsp"
    assert instructions["cortex-m55"] == instructions["cortex-m85"] == "mve"


def test_a_target_names_known_instructions():
    with pytest.raises(ValueError, match="instructions is 'neon'; it must be one of scalar, armv6m, dsp, mve"):
        Target("neon")
