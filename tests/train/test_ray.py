"""The same training on a Ray cluster: two nodes, one after the other on this machine, as Ray tests itself."""

import os
import signal
from pathlib import Path

import numpy as np
import pytest

from millijoule.train import train
from millijoule.train.cluster import run_on_ray
from tests.train.cases import linear, stripes
from tests.train.test_distributed import SETTINGS

try:
    import ray
except Exception as error:  # a library for GPUs that others installed can be broken, too
    pytest.skip(f"needs millijoule[ray] ({error!r})", allow_module_level=True)
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # Ray's own

QUICK = {
    "RAY_worker_niceness": "0",
    "RAY_TRAIN_ENABLE_PREEMPTION_WATCHER": "0",
    "RAY_TRAIN_METRICS_ENABLED": "0",
    "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.2",
    "RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S": "600",
}
"""What Ray's own services would cost, and patience with a busy machine."""


@pytest.fixture(scope="module")
def address():
    """Of a cluster of two nodes with one core each."""
    from ray.cluster_utils import Cluster

    with pytest.MonkeyPatch.context() as patch:
        for name, value in QUICK.items():
            patch.setenv(name, value)
        try:
            cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
            cluster.add_node(num_cpus=1)
        except Exception as error:  # Ray gives a node 30 seconds to start, which a busy machine may not reach
            pytest.skip(f"Ray's own nodes did not start: {error}")
        yield cluster.address
        cluster.shutdown()


def train_and_die(folder: str) -> dict[str, np.ndarray]:
    """Trains; the first process kills itself after the second epoch, before that is kept, but only once."""
    here, died = Path(folder), Path(folder) / "died"
    with (here / "nodes").open("a") as file:
        file.write(ray.get_runtime_context().get_node_id() + "\n")

    def on_epoch(epoch):
        with (here / "epochs").open("a") as file:
            file.write(f"{epoch.epoch}\n")
        if epoch.epoch == 2 and not died.exists():
            died.touch()
            os.kill(os.getpid(), signal.SIGKILL)

    return dict(train(linear(), stripes(), checkpoint=here, on_epoch=on_epoch, **SETTINGS).weights)


def test_a_killed_worker_goes_on_from_the_checkpoint_to_the_weights_of_one_process(address, tmp_path):
    alone = train(linear(), stripes(), **SETTINGS)
    together = run_on_ray(train_and_die, str(tmp_path), address=address, nodes=None, folder=tmp_path)
    for name, array in alone.weights.items():
        np.testing.assert_allclose(together[name], array, rtol=0, atol=2e-6)
    assert (tmp_path / "epochs").read_text().split() == ["1", "2", "2", "3"]
    nodes = (tmp_path / "nodes").read_text().split()
    assert (len(nodes), len(set(nodes))) == (4, 2)
    assert not (tmp_path / ".ray").exists()
