"""What emit writes: its interface, called from C through ctypes, its text, and what it refuses."""

from __future__ import annotations

import ctypes
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from millijoule.cost.device import load_device
from millijoule.emit import emit, identifier, layer_symbols
from millijoule.errors import ModelError
from millijoule.graph import Builder, Graph, Input, Node
from millijoule.model import Model, Quantization
from millijoule.ops import Add, Conv2d, Dense, Flatten, Relu, Tanh
from millijoule.plan import plan
from millijoule.run.elf import Elf
from millijoule.run.host import build_host
from tests.networks import random_int8, small_int8_model
from tests.run.project import device

FLAGS = ["-Wall", "-Wextra", "-Werror"]
GCC = [
    pytest.param("gcc", marks=pytest.mark.skipif(not shutil.which("arm-none-eabi-gcc"), reason="no arm-none-eabi-gcc"))
]
needs_gcc = pytest.mark.skipif(not shutil.which("gcc"), reason="gcc is not installed")


def write(folder: Path, model: Model) -> Path:
    folder.mkdir(exist_ok=True)
    emit(model, plan(model), device(), folder)
    return folder


def named(model: Model, name: str) -> Model:
    return replace(model, graph=replace(model.graph, name=name))


def samples(count: int = 4) -> np.ndarray:
    return np.random.default_rng(0).integers(-128, 128, (count, 12, 12, 1), dtype=np.int8)


@pytest.fixture(scope="module")
def small(tmp_path_factory) -> Path:
    return write(tmp_path_factory.mktemp("small"), small_int8_model())


@pytest.fixture(scope="module")
def library(small) -> ctypes.CDLL:
    found = ctypes.CDLL(str(build_host(small, "small")))
    for end in (found.small_input, found.small_output):
        end.restype = ctypes.c_void_p
    for run in (found.small_run, found.small_run_float):
        run.argtypes = (ctypes.c_void_p, ctypes.c_void_p)
    return found


# The interface


def test_run_with_the_callers_buffers(library):
    x = samples()
    expected = small_int8_model().run(x)["softmax"]
    for sample, answer in zip(x, expected, strict=True):
        kept, output = sample.copy(), np.zeros(3, np.int8)
        assert library.small_run(sample.ctypes.data, output.ctypes.data) == 0
        np.testing.assert_array_equal(output, answer)
        np.testing.assert_array_equal(sample, kept)


def test_run_in_the_arena_copies_nothing(library):
    x = samples()
    expected = small_int8_model().run(x)["softmax"]
    for sample, answer in zip(x, expected, strict=True):
        ctypes.memmove(library.small_input(), sample.ctypes.data, sample.size)
        assert library.small_run(library.small_input(), library.small_output()) == 0
        np.testing.assert_array_equal(np.frombuffer(ctypes.string_at(library.small_output(), 3), np.int8), answer)


def test_null_pointers_are_refused_and_nothing_is_written(library):
    buffer = np.full(144, 77, np.int8)
    real = np.full(144, 7.5, np.float32)
    for run, given in ((library.small_run, buffer), (library.small_run_float, real)):
        before = given.copy()
        assert run(None, given.ctypes.data) == -1
        assert run(given.ctypes.data, None) == -1
        assert run(None, None) == -1
        np.testing.assert_array_equal(given, before)


def test_run_float_quantizes_runs_and_dequantizes(library):
    model = small_int8_model()
    entry, last = model.quantization["input"], model.quantization["softmax"]
    rng = np.random.default_rng(1)
    real = rng.uniform(-0.2, 1.2, (6, 12, 12, 1)).astype(np.float32)
    # Halfway between two steps, signed zeros, subnormal numbers, and far out of range.
    real.reshape(6, -1)[0, :6] = np.array([0.5, 1.5, 2.5, -0.5, 254.5, 255.5], np.float32) * entry.scale
    real.reshape(6, -1)[0, 6:14] = (0.0, -0.0, 1e-45, -1e-45, 3.4e38, -3.4e38, np.inf, -np.inf)
    expected = last.dequantize(model.run(entry.quantize(real))["softmax"])
    for sample, answer in zip(real, expected, strict=True):
        output = np.zeros(3, np.float32)
        assert library.small_run_float(sample.ctypes.data, output.ctypes.data) == 0
        np.testing.assert_array_equal(output, answer)


def test_run_float_takes_not_a_number_for_the_lowest(library):
    outputs = np.zeros((2, 3), np.float32)
    for value, output in zip((np.nan, -np.inf), outputs, strict=True):
        sample = np.full((12, 12, 1), value, np.float32)
        assert library.small_run_float(sample.ctypes.data, output.ctypes.data) == 0
    np.testing.assert_array_equal(outputs[0], outputs[1])


def test_the_arena_may_be_the_callers(small, tmp_path):
    own = "_Alignas(16) int8_t small_arena[SMALL_ARENA_BYTES];"
    (tmp_path / "own.c").write_text(f'#include "model.h"\n{own}\n')
    command = [sys.executable, "-m", "ziglang", "cc", "-std=c11", *FLAGS, "-shared", "-fPIC", "-DSMALL_OWN_ARENA"]
    subprocess.run(
        [*command, f"-I{small}", small / "model.c", tmp_path / "own.c", "-o", tmp_path / "own.so"], check=True
    )
    found = ctypes.CDLL(str(tmp_path / "own.so"))
    (sample,) = samples(1)
    output = np.zeros(3, np.int8)
    assert found.small_run(ctypes.c_void_p(sample.ctypes.data), ctypes.c_void_p(output.ctypes.data)) == 0
    np.testing.assert_array_equal(output, small_int8_model().run(sample[None])["softmax"][0])


@pytest.mark.skipif(not shutil.which("make") or not shutil.which("cc"), reason="make or cc is not installed")
def test_the_makefile_makes_a_program_of_this_computer(small, tmp_path):
    folder = shutil.copytree(small, tmp_path / "small")
    x = samples()
    (folder / "input.bin").write_bytes(x.tobytes())
    subprocess.run(["make", "host"], cwd=folder, check=True, capture_output=True)
    subprocess.run([folder / "host"], cwd=folder, check=True)
    expected = small_int8_model().run(x)["softmax"]
    assert (folder / "output.bin").read_bytes() == expected.tobytes()


@pytest.mark.skipif(not shutil.which("make"), reason="make is not installed")
@pytest.mark.parametrize("compiler", ["zig", *GCC])
def test_the_makefile_makes_firmware(small, tmp_path, compiler):
    folder = shutil.copytree(small, tmp_path / "small")
    choice = [f"CC={sys.executable} -m ziglang cc"] if compiler == "zig" else []
    subprocess.run(["make", *choice], cwd=folder, check=True, capture_output=True)
    elf = Elf.read(folder / "firmware.elf")
    assert all(elf.symbol(symbol).bytes for symbol in layer_symbols(small_int8_model()).values())


@pytest.mark.skipif(not shutil.which("g++"), reason="g++ is not installed")
def test_cpp_can_use_it(small, tmp_path):
    (tmp_path / "main.cpp").write_text(
        '#include "model.h"\n'
        "int8_t output[SMALL_OUTPUT_BYTES];\n"
        "int main() { return small_run(small_input(), output) + small_run(0, 0) + 1; }\n"
    )
    subprocess.run(["gcc", "-std=c11", "-c", small / "model.c", "-o", tmp_path / "model.o"], check=True)
    command = ["g++", *FLAGS, "-std=c++11", "-pedantic", f"-I{small}", tmp_path / "main.cpp", tmp_path / "model.o"]
    subprocess.run([*command, "-o", tmp_path / "main"], check=True)
    subprocess.run([tmp_path / "main"], check=True)


def test_the_header_says_what_the_model_is(small):
    model = small_int8_model()
    constants = dict(re.findall(r"#define SMALL_(\w+) (\S+)", (small / "model.h").read_text()))
    assert (constants["INPUT_HEIGHT"], constants["INPUT_WIDTH"], constants["INPUT_CHANNELS"]) == ("12", "12", "1")
    assert (constants["INPUT_BYTES"], constants["OUTPUT_FEATURES"], constants["OUTPUT_BYTES"]) == ("144", "3", "3")
    assert int(constants["ARENA_BYTES"]) == plan(model).arena_bytes
    for side, value in (("INPUT", "input"), ("OUTPUT", "softmax")):
        assert np.float32(constants[f"{side}_SCALE"].removesuffix("f")) == model.quantization[value].scale
        assert int(constants[f"{side}_ZERO_POINT"].strip("()")) == model.quantization[value].zero_point


# The text


def test_every_layer_is_a_function_with_its_resolved_parameters(small):
    model, source = small_int8_model(), (small / "model.c").read_text()
    symbols = layer_symbols(model)
    assert [node.name for node in model.graph.nodes if node.op.alias] == ["flat"]
    assert list(symbols) == [node.name for node in model.graph.nodes if node.name != "flat"]
    for node in model.graph.nodes:
        if node.name not in symbols:
            continue
        body = source[source.index(f"void {symbols[node.name]}(void)") :].split("\n}\n")[0]
        calls = node.op.call(
            *model.graph.input_shapes(node),
            weights=model.node_weights(node),
            quantization=model.node_quantization(node),
        )
        for call in calls:
            assert f"{call.function}(" in body
            for parameter, value in call.parameters.items():
                assert f".{parameter} = {value}," in body
    run = source[source.index("int small_run(") :]
    order = [run.index(f"{symbol}();") for symbol in symbols.values()]
    assert order == sorted(order)


def test_static_asserts_hold_the_sizes(small):
    model, weights = small_int8_model(), (small / "weights.h").read_text()
    assert (small / "model.c").read_text().count("_Static_assert(") == 2
    sizes = [int(size) for size in re.findall(r"_Static_assert\(sizeof \w+ == (\d+)", weights)]
    assert len(sizes) == weights.count("static const")
    assert sum(sizes) >= sum(array.nbytes for array in model.weights.values())


@needs_gcc
@pytest.mark.skipif(not shutil.which("nm"), reason="nm is not installed")
def test_nothing_is_needed_but_memcpy_and_memset(small, tmp_path):
    subprocess.run(["gcc", "-std=c11", "-O2", "-c", small / "model.c", "-o", tmp_path / "model.o"], check=True)
    listing = subprocess.run(["nm", "-u", tmp_path / "model.o"], check=True, capture_output=True, text=True).stdout
    needed = set(listing.split()) - {"U", "_GLOBAL_OFFSET_TABLE_"}
    assert needed <= {"memcpy", "memset"}


@needs_gcc
def test_no_function_recurses_and_every_stack_is_bounded(small, tmp_path):
    """gcc's own call graph: no cycle, no dynamic stack."""
    command = ["gcc", "-std=c11", "-O2", "-fcallgraph-info=su", "-c", str(small / "model.c"), "-o", "model.o"]
    subprocess.run(command, cwd=tmp_path, check=True)
    graph = (tmp_path / "model.ci").read_text()
    assert "dynamic" not in graph
    calls: dict[str, set[str]] = {}
    for caller, callee in re.findall(r'edge: \{ sourcename: "([^"]+)" targetname: "([^"]+)"', graph):
        calls.setdefault(caller, set()).add(callee)
    assert any(caller.endswith("small_run") for caller in calls)

    def reached(function: str, above: tuple[str, ...]) -> None:
        assert function not in above
        for callee in calls.get(function, ()):
            reached(callee, (*above, function))

    for function in calls:
        reached(function, ())


def test_only_the_used_kernel_headers_are_written(small, tmp_path):
    build = Builder("one", (4,))
    build("relu", Relu())
    quantization = {"input": Quantization.of(0.1), "relu": Quantization.of(0.1)}
    folder = write(tmp_path / "one", Model(build.graph(), {}, quantization))
    includes = set(re.findall(r'#include "([^"]+)"', "".join(path.read_text() for path in folder.glob("*.[ch]"))))
    headers = {path.name for path in folder.glob("*.h")}
    assert headers == includes
    assert headers < {path.name for path in small.glob("*.h")}


def test_the_host_gets_no_start_up_code(tmp_path):
    model = small_int8_model()
    files = emit(model, plan(model), load_device("host"), tmp_path)
    assert {path.name for path in files} == {path.name for path in tmp_path.iterdir()}
    assert not {"startup.c", "linker.ld", "Makefile"} & {path.name for path in files}


def test_the_same_model_gives_the_same_text(small, tmp_path):
    again = write(tmp_path / "again", small_int8_model())
    assert {path.name: path.read_text() for path in again.iterdir() if path.is_file()} == {
        name: (small / name).read_text() for name in (path.name for path in again.iterdir())
    }


# Names

NAMES = ["9layers", "int", "a-b.c d", "model", "modèle", "モデル", "", "mj_window", "x*/y", "a/*b", "what??/", "main"]


@needs_gcc
@pytest.mark.parametrize("name", NAMES)
def test_any_name_of_a_model_gives_c_that_compiles(tmp_path, name):
    folder = write(tmp_path / "named", named(small_int8_model(), name))
    assert re.fullmatch("[A-Za-z][A-Za-z0-9_]*", identifier(name))
    flags = ["-std=c11", *FLAGS, "-pedantic"]
    for source in ("model.c", "main.c"):
        subprocess.run(["gcc", *flags, "-c", folder / source, "-o", folder / "object.o"], check=True)
    assert f"int {identifier(name)}_run(" in (folder / "model.h").read_text()


@needs_gcc
def test_any_name_of_a_node_or_class_gives_c_that_compiles(tmp_path):
    graph = Graph(
        "odd",
        (Input("in*/put", (4,)),),
        (
            Node("1st/*", Dense(features=4), ("in*/put",)),
            Node("a.b", Tanh(), ("1st/*",)),
            Node("a_b", Dense(features=4), ("a.b",)),
            Node("int", Relu(), ("a_b",)),
            Node("", Relu(), ("int",)),
            Node("back\\slash\n", Relu(), ("",)),
        ),
        ("back\\slash\n",),
    )
    model = replace(random_int8(graph), labels=("a*/b", "/*", "\\", "ü"))
    folder = write(tmp_path / "odd", model)
    flags = ["-std=c11", *FLAGS, "-pedantic"]
    subprocess.run(["gcc", *flags, "-c", folder / "model.c", "-o", folder / "object.o"], check=True)
    symbols = list(layer_symbols(model).values())
    assert len(set(symbols)) == len(symbols) == 6


# What is refused


def test_models_that_have_no_firmware_are_refused(tmp_path):
    model = small_int8_model()
    with pytest.raises(ModelError, match="'small' is float; firmware needs int8"):
        emit(replace(model, quantization=None), plan(model), device(), tmp_path)
    graph = Graph("pair", (Input("a", (3,)), Input("b", (3,))), (Node("sum", Add(), ("a", "b")),), ("sum",))
    same = dict.fromkeys(("a", "b", "sum"), Quantization.of(0.1))
    pair = Model(graph, {}, same)
    with pytest.raises(ModelError, match="'pair' has 2 inputs; firmware is made of models with one"):
        emit(pair, plan(pair), device(), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_node_without_kernel_is_named(tmp_path):
    build = Builder("moved", (4, 4, 1))
    build("conv", Conv2d(channels=1, kernel=1))
    build("flat", Flatten())
    model = random_int8(build.graph())
    planned = plan(model)
    other = {**model.quantization, "flat": Quantization.of(0.3)}
    with pytest.raises(ModelError, match=r"node 'flat' \(Flatten\): input 0 has scale .* they must be equal"):
        emit(replace(model, quantization=other), planned, device(), tmp_path)
    assert list(tmp_path.iterdir()) == []
