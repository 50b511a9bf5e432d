"""The emitted C on this computer."""

import shutil

import numpy as np
import pytest

from millijoule.errors import ToolError
from millijoule.run.host import HostLibrary, build_host, run_program
from tests.run.project import ADD, INPUT_BYTES, OUTPUT_BYTES, device, expected, inputs, write_project

SANITIZERS = [
    pytest.param(name, marks=pytest.mark.skipif(not shutil.which(name), reason=f"no {name}"))
    for name in ("gcc", "clang")
]


def write_library(folder, body: str = ADD):
    """A project whose run copies its input in and its output out, as emitted ones do."""
    write_project(folder, device(), {"work": body})
    source = (folder / "model.c").read_text()
    source = source.replace("    (void)input;\n    (void)output;", "    __builtin_memcpy(tiny_arena, input, 8);")
    source = source.replace("    return 0;", "    __builtin_memcpy(output, tiny_arena + 8, 4);\n    return 0;")
    (folder / "model.c").write_text(source)
    return folder


@pytest.mark.parametrize("compiler", ["zig", *SANITIZERS])
def test_library_computes_what_the_source_says(tmp_path, compiler):
    library = build_host(write_library(tmp_path), "tiny", compiler)
    assert library == tmp_path / "tiny.so"
    samples = inputs(5)
    outputs = HostLibrary(library, "tiny", INPUT_BYTES, OUTPUT_BYTES).run(samples)
    np.testing.assert_array_equal(outputs, expected(samples))
    assert outputs.dtype == np.int8


def test_a_library_that_was_built_again_is_loaded_again(tmp_path):
    samples = inputs(1)
    first = HostLibrary(build_host(write_library(tmp_path), "tiny"), "tiny", INPUT_BYTES, OUTPUT_BYTES)
    other = write_library(tmp_path, ADD.replace("+ tiny_arena[4", "- tiny_arena[4"))
    second = HostLibrary(build_host(other, "tiny"), "tiny", INPUT_BYTES, OUTPUT_BYTES)
    assert second.run(samples).tolist() == [[-4] * 4]
    np.testing.assert_array_equal(first.run(samples), expected(samples))


@pytest.mark.parametrize("compiler", SANITIZERS)
def test_clean_code_passes_the_sanitizers(tmp_path, compiler):
    samples = inputs(3)
    outputs = run_program(write_library(tmp_path), samples, OUTPUT_BYTES, compiler)
    np.testing.assert_array_equal(outputs, expected(samples))


@pytest.mark.parametrize("compiler", SANITIZERS)
@pytest.mark.parametrize(
    ("body", "fault"),
    [
        ("volatile int at = 64; tiny_arena[at] = 1;", "global-buffer-overflow|out of bounds"),
        ("volatile int by = 40; tiny_arena[8] = (int8_t)(1 << by);", "shift exponent"),
    ],
    ids=["overflow", "shift"],
)
def test_sanitizers_find_faults(tmp_path, compiler, body, fault):
    with pytest.raises(ToolError, match=fault):
        run_program(write_library(tmp_path, body), inputs(), OUTPUT_BYTES, compiler)


def test_errors(tmp_path):
    folder = write_library(tmp_path, "int unused = 1;")
    with pytest.raises(ToolError, match=r"model\.c:\d+:\d+: error: unused variable"):
        build_host(folder, "tiny")
    with pytest.raises(ToolError, match="'no-such-cc' is not installed"):
        build_host(folder, "tiny", "no-such-cc")
    with pytest.raises(ToolError, match=r"without sanitizers.*choose gcc or clang"):
        build_host(folder, "tiny", sanitize=("address",))
    library = build_host(write_library(tmp_path), "tiny")
    with pytest.raises(ToolError, match="not a library with other_run"):
        HostLibrary(library, "other", INPUT_BYTES, OUTPUT_BYTES)
    assert sorted(path.name for path in tmp_path.glob("t*")) == ["tiny.so"]


def test_a_failure_of_the_library_is_an_error(tmp_path):
    folder = write_library(tmp_path)
    source = (folder / "model.c").read_text().replace("    return 0;", "    return -1;")
    (folder / "model.c").write_text(source)
    with pytest.raises(ToolError, match="returned -1"):
        HostLibrary(build_host(folder, "tiny"), "tiny", INPUT_BYTES, OUTPUT_BYTES).run(inputs())
