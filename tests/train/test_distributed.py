"""Several workers share each batch: the same gradients as one process with the whole of it."""

import json
import os
import socket
import subprocess
import sys

import numpy as np
import pytest

from millijoule.train import load_data, load_run, train
from millijoule.train.initial import initial_weights
from millijoule.zoo import lenet5
from tests.train.cases import everything_random, linear, of_any_size, stripes

pytestmark = pytest.mark.skipif(os.name != "posix", reason="gloo over local sockets")
WORKER = """
import os
import sys
from pathlib import Path
import numpy as np
from millijoule.train import train
from millijoule.train.initial import initial_weights
from tests.train.cases import stripes
from tests.train.test_distributed import NETWORKS, SETTINGS
network, change = NETWORKS[sys.argv[3]]
model = train(network(), stripes(), checkpoint=sys.argv[1], **SETTINGS | change)
if os.environ["RANK"] == "0":
    np.savez(sys.argv[2], **model.weights)
left = [path.read_text().strip() for path in Path("/proc/self/task").glob("*/comm")]
assert not [name for name in left if "gloo" in name], left
"""
SETTINGS = {"epochs": 3, "batch_size": 9, "learning_rate": 0.03, "shift": 1, "seed": 3, "must_learn": False}
NETWORKS = {"linear": (linear, {}), "growing images": (of_any_size, {"first_size": 0.5, "learning_rate": 0.1})}


def torchrun(folder, script: str, *arguments: object, workers: int = 2) -> subprocess.CompletedProcess:
    (folder / "worker.py").write_text(script)
    return subprocess.run(
        [
            sys.executable, "-m", "torch.distributed.run", f"--nproc-per-node={workers}", "--standalone",
            str(folder / "worker.py"), *map(str, arguments),
        ],
        capture_output=True,
        text=True,
        timeout=300,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"},
    )  # fmt: skip


@pytest.mark.parametrize("name", NETWORKS)
def test_two_workers_end_with_the_weights_of_one_process(tmp_path, name):
    network, change = NETWORKS[name]
    alone, start = train(network(), stripes(), **SETTINGS | change), initial_weights(network(), SETTINGS["seed"])
    result = torchrun(tmp_path, WORKER, tmp_path / "kept", tmp_path / "weights.npz", name)
    assert result.returncode == 0, result.stderr
    with np.load(tmp_path / "weights.npz") as together:
        for name, array in alone.weights.items():
            # Gradients are added in another order. 36 images in 4 batches of 9: the workers have 5 and 4 of them.
            np.testing.assert_allclose(together[name], array, rtol=0, atol=2e-6)
            assert np.abs(array - start[name]).max() > 1e-3
    assert (tmp_path / "kept" / "checkpoint.npz").exists()


def test_one_of_several_workers_takes_its_part(monkeypatch):
    from millijoule.train.loop.machine import Machine

    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "3")
    machine = Machine()
    assert list(range(10))[machine.part(10)] == [1, 4, 7]
    import torch

    loss = torch.tensor(2.0)
    assert machine.share_of_mean(loss, machine.part(10), 10).item() == pytest.approx(2 * 3 * 3 / 10)
    assert everything_random().nodes


def test_two_machines_given_the_same_command_end_with_the_weights_of_one(tmp_path):
    data = stripes(60, side=32)
    arrays = {name: getattr(data, name) for name in ("x_train", "y_train", "x_test", "y_test")}
    np.savez(tmp_path / "data.npz", **arrays)
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    command = (
        f"{sys.executable} -m millijoule train lenet5 --data data.npz --epochs 2 --batch-size 9 --out run --json "
        f"--nodes 2 --rendezvous localhost:{port}"
    ).split()
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"}
    options = {"cwd": tmp_path, "env": environment, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, **options) as one, subprocess.Popen(command, **options) as other:
        answers = [each.communicate(timeout=300) for each in (one, other)]
    assert [one.returncode, other.returncode] == [0, 0], answers
    told = [out for out, _ in answers if out]
    assert len(told) == 1
    assert json.loads(told[0])["epochs"] == 2
    changes = {"epochs": 2, "batch_size": 9}
    alone, together = (
        train(lenet5(classes=2), load_data(str(tmp_path / "data.npz")), **changes),
        load_run(tmp_path / "run"),
    )
    for name, array in alone.weights.items():
        np.testing.assert_allclose(together.weights[name], array, rtol=0, atol=2e-6)
