"""What doctor says of this computer, and of one where things are missing."""

import platform

import numpy as np

from millijoule.run import doctor as module
from millijoule.run.doctor import doctor


def test_finds_what_the_tests_run_on():
    checks = {check.name: check for check in doctor()}
    assert checks["python"].version == platform.python_version()
    assert checks["numpy"].version == np.__version__
    for name in ("python", "numpy", "ziglang", "unicorn", "pyelftools"):
        assert checks[name].found
    assert {"ortools", "torch", "scikit-learn", "pillow", "datasets"} <= checks.keys()
    assert {"arm-none-eabi-gcc", "make", "qemu-system-arm"} <= checks.keys()


def test_every_check_says_what_for_and_how_to_get_it():
    for check in doctor():
        assert check.what_for
        assert check.how_to_get.startswith(("pip install ", "apt-get install "))
        assert bool(check.version) or not check.found


def test_missing_programs_and_packages(monkeypatch):
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(module, "PACKAGES", (("no-such-package", "nothing"),))
    checks = {check.name: check for check in doctor()}
    assert not checks["no-such-package"].found
    assert checks["no-such-package"].how_to_get == "pip install no-such-package"
    for name in ("arm-none-eabi-gcc", "make", "qemu-system-arm"):
        assert not checks[name].found
        assert checks[name].version == ""


def test_a_cross_compiler_without_its_c_library_does_not_count(monkeypatch, tmp_path):
    compiler = tmp_path / "arm-none-eabi-gcc"
    compiler.write_text("#!/bin/sh\ncase $1 in --version) echo gcc 12.2.1;; *) echo nano.specs;; esac\n")
    compiler.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    check = next(check for check in doctor() if check.name == "arm-none-eabi-gcc")
    assert not check.found
    assert "newlib" in check.version
    assert "libnewlib" in check.how_to_get
