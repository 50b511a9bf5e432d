"""Factories, PyTorch files, and what is wrong with them: one line that names the user's, exit code 2."""

import json
import pickle
import sys
import textwrap

import pytest

from millijoule.cli import main

torch = pytest.importorskip("torch")

SOURCE = textwrap.dedent(
    """
    import torch
    from torch import nn

    def net():
        print("making it")
        return nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(288, 4))

    class Sized(nn.Sequential):
        example_input_array = torch.zeros(1, 3, 8, 8)
        def __init__(self):
            super().__init__(nn.Conv2d(3, 8, 3))

    class Depends(nn.Module):
        def forward(self, x):
            if x.sum() > 0:
                return x
            return x + 1

    class Raises(nn.Module):
        def forward(self, x):
            return x.reshape(5, 5)

    def boom():
        raise ValueError("no such luck")

    def leaves():
        raise SystemExit(3)

    def number():
        return 5

    def looks():
        conv = nn.Conv2d(3, 8, 3)
        assert conv.weight.sum().item() != 0
        return conv

    def same():
        return nn.Identity()

    value = 7
    """
)


def line(text):
    """Where the user's line stands."""
    return f"nets_of_a_user.py:{SOURCE.splitlines().index(text) + 1}"


INPUT = ("--shape", "1x3x8x8")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    (tmp_path / "nets_of_a_user.py").write_text(SOURCE)
    (tmp_path / "broken_net.py").write_text("import nothing_like_this\n")
    (tmp_path / "no_python.py").write_text("def net(:\n")
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    sys.modules.pop("nets_of_a_user", None)


def run(capsys, *arguments):
    code = main(["cost", *map(str, arguments)])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


@pytest.mark.parametrize("place", ["nets_of_a_user", "nets_of_a_user.py"])
def test_a_factory_is_costed(capsys, folder, place):
    code, out, _ = run(capsys, f"{place}:net", *INPUT, "--json")
    assert code == 0
    assert json.loads(out)["params"] == 3 * 8 * 9 + 8 + 288 * 4 + 4
    assert json.loads(out)["macs"] == 36 * 8 * 27 + 288 * 4


def test_the_input_comes_from_the_module_itself(capsys, folder):
    assert json.loads(run(capsys, "nets_of_a_user:Sized", "--json")[1])["macs"] == 36 * 8 * 27


def test_a_module_that_looks_at_its_numbers_is_made_with_them(capsys, folder):
    assert json.loads(run(capsys, "nets_of_a_user:looks", *INPUT, "--json")[1])["params"] == 224


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nets_of_a_user:net"], ["what shape", "--shape"]),
        (["nets_of_a_user:net", "--shape", "1x3x8x9"], ["cannot be exported", "288"]),
        (["nets_of_a_user:net", "--shape", "1x4x8x8"], ["cannot be exported"]),
        (["nets_of_a_user:Depends", *INPUT], [line("        if x.sum() > 0:"), "cannot be exported"]),
        (["nets_of_a_user:Raises", *INPUT], [line("        return x.reshape(5, 5)"), "5, 5"]),
        (["nets_of_a_user:boom", *INPUT], [line('    raise ValueError("no such luck")'), "ValueError: no such luck"]),
        (["nets_of_a_user:leaves", *INPUT], [line("    raise SystemExit(3)"), "SystemExit"]),
        (["nets_of_a_user:number", *INPUT], ["int", "torch.nn.Module"]),
        (["nets_of_a_user:value", *INPUT], ["int", "function"]),
        (["nets_of_a_user:same", *INPUT], ["nothing to count"]),
        (["nets_of_a_user:absent", *INPUT], ["absent", "net"]),
        (["no_such_package_of_mine:net", *INPUT], ["cannot be imported", "no_such_package_of_mine"]),
        (["broken_net:net", *INPUT], ["broken_net.py:1", "nothing_like_this"]),
        (["no_python.py:net", *INPUT], ["no_python.py:1", "SyntaxError"]),
        (["absent.py:net", *INPUT], ["absent.py", "no such file"]),
    ],
)
def test_what_goes_wrong_is_one_line(capsys, folder, arguments, words):
    code, out, err = run(capsys, *arguments)
    assert (code, out) == (2, "")
    (message,) = [each for each in err.splitlines() if each != "making it"]
    assert message.startswith("error: ")
    for word in words:
        assert word in message


class Harmful:
    def __reduce__(self):
        return (open, ("it_ran", "w"))


def assert_refused(capsys, path, *words, options=()):
    code, out, err = run(capsys, path, *options)
    assert (code, out) == (2, "")
    assert len(err.splitlines()) == 1
    for word in (path.name, *words):
        assert word in err


@pytest.mark.parametrize("suffix", ["pt", "pth", "th", "ckpt"])
def test_a_pickle_that_would_run_code_does_not(capsys, folder, suffix):
    path = folder / f"harmful.{suffix}"
    torch.save({"weight": Harmful()}, path)
    assert_refused(capsys, path, "--trust")
    path.write_bytes(pickle.dumps(Harmful(), protocol=2))
    assert_refused(capsys, path, "pickle")
    assert not (folder / "it_ran").exists()


def test_numbers_without_structure(capsys, folder):
    path = folder / "numbers.pth"
    torch.save({"state_dict": torch.nn.Conv2d(3, 8, 3).state_dict()}, path)
    assert_refused(capsys, path, "2 arrays", "state_dict.weight", "(8, 3, 3, 3)", "package.module:factory")
    path = folder / "numbers.safetensors"
    header = json.dumps({"a.weight": {"dtype": "F32", "shape": [2, 1], "data_offsets": [0, 8]}}).encode()
    path.write_bytes(len(header).to_bytes(8, "little") + header + bytes(8))
    assert_refused(capsys, path, "1 arrays", "a.weight", "(2, 1)")
    path.write_bytes(b"\xff" * 20)
    assert_refused(capsys, path, "damaged")
    (folder / "empty.pt").write_bytes(b"")
    assert_refused(capsys, folder / "empty.pt", "empty")
    (folder / "cut.pt").write_bytes(b"PK\x03\x04rest")
    assert_refused(capsys, folder / "cut.pt", "zip archive", "damaged")


def test_a_whole_module_and_an_exported_program_need_trust(capsys, folder):
    module = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3), torch.nn.ReLU()).eval()
    whole, exported = folder / "whole.pt", folder / "exported.pt2"
    torch.save(module, whole)
    torch.export.save(torch.export.export(module, (torch.zeros(1, 3, 8, 8),), strict=False), exported)
    assert_refused(capsys, whole, "--trust")
    assert_refused(capsys, exported, "--trust")
    for path, options in ((whole, INPUT), (exported, ())):
        code, out, _ = run(capsys, path, "--trust", "--json", *options)
        assert code == 0
        assert json.loads(out)["macs"] == 36 * 8 * 27
