"""Files that are there whole or not at all."""

import os

import pytest

from millijoule.errors import OptionError
from millijoule.report.files import check_new
from millijoule.whole_file import remove_half_written, whole_file, write_text

FULL = OSError(28, "No space left on device")


def write_in_parts(target, between) -> None:
    with whole_file(target) as file:
        file.write(b"ha")
        between()
        file.write(b"lf")


@pytest.mark.parametrize("where", ["writing", "renaming"])
def test_a_file_is_there_whole_or_not_at_all(tmp_path, monkeypatch, where):
    target = tmp_path / "report.json"
    write_text(target, "old ✓")
    assert target.stat().st_mode & 0o777 == 0o644

    def full(*arguments):
        raise FULL

    if where == "renaming":
        monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OSError, match="No space left"):
        write_in_parts(target, full if where == "writing" else str)
    assert [path.name for path in tmp_path.iterdir()] == ["report.json"]
    assert target.read_text(encoding="utf-8") == "old ✓"


def test_a_folder_that_is_not_there_is_told_by_the_name_of_the_file(tmp_path):
    with pytest.raises(OSError, match="No such file") as error:
        write_text(tmp_path / "none" / "report.json", "new")
    assert error.value.filename == str(tmp_path / "none" / "report.json")


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may write everywhere")
def test_a_page_in_a_folder_without_write_permission_is_refused_before_time_is_spent(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(OptionError, match=r"cannot be written \(Permission denied\): choose another --out"):
        check_new(tmp_path / "look.html", force=False)


def test_what_a_killed_process_left_goes_and_nothing_else(tmp_path):
    for name in (".a.json-x", "a.json", ".b.json-x"):
        (tmp_path / name).write_text("half")
    remove_half_written(tmp_path / "a.json")
    assert sorted(path.name for path in tmp_path.iterdir()) == [".b.json-x", "a.json"]
