"""Files that are damaged anywhere end in one line, or are read."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from millijoule.detect.data import load_detection
from millijoule.errors import DataError
from tests.detect.data.layouts import coco, voc, yolo

FILES = [
    (voc, "Annotations/a.xml"),
    (voc, "ImageSets/Main/train.txt"),
    (voc, "JPEGImages/a.jpg"),
    (coco, "annotations/instances_train2017.json"),
    (yolo, "data.yaml"),
    (yolo, "labels/train/a.txt"),
]


@pytest.mark.parametrize(("layout", "name"), FILES, ids=[name for _, name in FILES])
def test_bytes_that_are_changed(tmp_path, layout, name):
    root = layout(tmp_path / "pets")
    whole = (root / name).read_bytes()

    @settings(max_examples=60, deadline=None, derandomize=True)
    @given(st.data())
    def damage(data):
        at = data.draw(st.integers(0, len(whole) - 1))
        end = data.draw(st.integers(at, min(len(whole), at + 20)))
        new = data.draw(
            st.one_of(st.binary(max_size=8), st.sampled_from([b"-1", b"nan", b"1e999", b"{}", b"[]", b"\n"]))
        )
        (root / name).write_bytes(whole[:at] + new + whole[end:])
        for skip_bad in (False, True):
            message = ""
            try:
                load_detection(f"{layout.__name__}:{root}", skip_bad=skip_bad)
            except DataError as error:
                message = str(error)
            assert "\n" not in message
            assert not message or root.name in message or Path(name).name in message

    damage()
