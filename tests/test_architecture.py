"""The package's structure: what may import what, and how cheap the package is to import."""

import ast
import importlib
import subprocess
import sys
from pathlib import Path

import millijoule

PACKAGE = Path(millijoule.__file__).parent

# Each room may import from its own row and the rows above.
ORDER = [
    {"errors"},
    {"graph", "fixedpoint", "model", "boxes", "target", "csv_file", "whole_file"},
    {"ops"},
    {"zoo", "load", "passes"},
    {"cost", "train", "quantize"},
    {"detect"},
    {"plan"},
    {"energy"},
    {"emit"},
    {"run"},
    {"shrink", "diagnose"},
    {"survey"},
    {"report"},
    {"trial", "deploy", "check", "export"},
    {"measure"},
    {"cli"},
]
RANK = {room: rank for rank, rooms in enumerate(ORDER) for room in rooms}


def imports(tree: ast.AST):
    """Modules of the package that are imported when the code runs; imports for type checkers do not count."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and getattr(node.test, "id", "") == "TYPE_CHECKING":
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        yield from imports(node)


def test_imports_follow_the_order_of_the_phases():
    wrong = []
    for path in sorted(PACKAGE.rglob("*.py")):
        room = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
        if room in ("__init__", "__main__"):
            continue
        for module in imports(ast.parse(path.read_text())):
            other = module.split(".")[1] if module.startswith("millijoule.") else None
            if other in RANK and RANK[other] > RANK[room]:
                wrong.append(f"{path.relative_to(PACKAGE)} imports {module}")
    assert not wrong


def test_every_room_is_in_the_order():
    rooms = {path.stem for path in PACKAGE.glob("*.py")} | {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    assert rooms - {"__init__", "__main__"} == set(RANK)


def test_files_stay_small():
    long = {
        str(path.relative_to(PACKAGE)): lines
        for pattern in ("*.py", "*.h", "*.c")
        for path in PACKAGE.rglob(pattern)
        if (lines := len(path.read_text().splitlines())) > 420
    }
    assert not long


def test_importing_the_package_imports_nothing_heavy():
    code = (
        "import sys, millijoule; "
        "heavy = {'numpy', 'torch', 'onnx', 'unicorn', 'ortools', 'sklearn', 'PIL', 'rich', 'plotly'}; "
        "heavy &= set(sys.modules); "
        "sys.exit(', '.join(heavy) or 0)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr


def test_core_verbs_do_not_import_torch():
    code = (
        "import sys, millijoule as mj; graph = mj.zoo.lenet5(); mj.cost(graph); mj.plan(graph); mj.list_devices(); "
        "heavy = {'torch', 'sklearn', 'onnx'} & set(sys.modules); sys.exit(', '.join(heavy) or 0)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr


def test_every_name_of_all_can_be_read_and_verbs_stay_functions():
    for name in millijoule.__all__:
        assert getattr(millijoule, name) is not None
    importlib.import_module("millijoule.cost.count")
    assert not hasattr(millijoule.cost, "count")
    for verb in ("load", "cost", "train", "quantize", "plan", "emit", "deploy", "export", "diagnose"):
        assert callable(getattr(millijoule, verb))
        assert not hasattr(getattr(millijoule, verb), "__path__")
