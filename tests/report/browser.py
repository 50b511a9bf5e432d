"""Pages in Debian's headless Chromium."""

import re
import shutil
import subprocess
from html import unescape
from pathlib import Path

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")


def measured(text: str, folder: Path, width: int) -> str:
    """What a script of the page put into its title behind `measured `, on a screen of that width."""
    (folder / "page.html").write_text(text, encoding="utf-8")
    result = subprocess.run(
        [
            CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--dump-dom",
            "--virtual-time-budget=30000", f"--user-data-dir={folder / 'profile'}", f"--window-size={width},1000",
            (folder / "page.html").as_uri(),
        ],
        capture_output=True,
        text=True,
        timeout=240,
    )  # fmt: skip
    found = re.search(r"<title>measured (.*?)</title>", result.stdout)
    assert found, result.stderr[-500:]
    return unescape(found[1])
