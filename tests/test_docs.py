"""What the documents say is what the code does."""

import re
import runpy
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def commands(text: str) -> list[str]:
    """The lines of the shell blocks of a page, continuation lines joined."""
    blocks = re.findall(r"```(?:sh|console)\n(.*?)```", text, flags=re.DOTALL)
    return [line for block in blocks for line in block.replace("\\\n", "").splitlines()]


def test_the_page_of_operators_is_made_from_the_docstrings():
    made = runpy.run_path(str(ROOT / "docs" / "make_operators.py"))["page"]()
    assert (ROOT / "docs" / "operators.md").read_text(encoding="utf-8") == made, "run: python docs/make_operators.py"


def test_continuous_integration_runs_the_test_command_of_the_readme():
    last = (ROOT / ".ci" / "run").read_text().strip().splitlines()[-1]
    assert "pytest" in last
    assert last in commands((ROOT / "README.md").read_text(encoding="utf-8"))


def test_links_between_documents_lead_somewhere():
    pages = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "benchmarks").glob("*.md")]
    for page in pages:
        for target in re.findall(r"\]\(([^)#]+?)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
            if not target.startswith(("http:", "https:")):
                assert (page.parent / target).exists(), f"{page.name}: {target}"


@pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
def test_the_diffs_of_the_guide_apply(tmp_path):
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    diffs = re.findall(r"```diff\n(.*?)```", text, flags=re.DOTALL)
    assert len(diffs) == 4
    for diff in diffs:
        (tmp_path / "change.diff").write_text(diff, encoding="utf-8")
        command = ["git", "apply", "--check", "-C1", str(tmp_path / "change.diff")]
        result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
        assert result.returncode == 0, result.stderr
