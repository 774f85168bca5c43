"""A whole node whose worker hands its studies to a Ray cluster."""

from functools import partial
from pathlib import Path

import pytest

from builders.ct_series import CtSeries, ct_images
from builders.deadline import until
from builders.listener import send
from builders.node import AE_TITLE, NodeProcess
from builders.ray_cluster import RayCluster, needs_ray
from storage.lifecycle import State

pytestmark = needs_ray


class RayNode(NodeProcess):
    """`NodeProcess` with a cluster."""

    address = ""

    def _configuration(self) -> str:
        local = super()._configuration()
        ray = f'engine = "ray"\n[ray]\naddress = "{self.address}"\ncpus_per_actor = 1\n'
        return local.replace('device = "cpu"\n', f'device = "cpu"\n{ray}')


def said_when_idle(node: RayNode) -> str:
    """What `status` says once the actor is idle; nothing before: actors tell it now and then."""
    said = node.command("status").stdout
    return said if "actor on 127.0.0.3, cpu: idle" in said else ""


@pytest.mark.slow
def test_a_study_that_is_sent_is_analysed_on_the_cluster(tmp_path: Path) -> None:
    """From C-STORE to the stored result, with the networks of the package; `status` and `check` show the cluster."""
    with RayCluster(nodes=1) as cluster:
        node = RayNode(folder=tmp_path)
        node.address = cluster.address
        with node:
            images = ct_images(CtSeries())
            assert set(send(node.port, *images, called_aet=AE_TITLE, calling_aet="CT1")) == {0}
            view = node.wait_for("1.2.3", State.PROCESSED, within_s=240)
            assert view.result
            assert all(file.path.is_file() for file in view.result.files)
            status = until(partial(said_when_idle, node), within_s=60, what="the actor has told that it is idle")
            assert f"Ray cluster {cluster.address}: 2 machines, 1 actors" in status
            assert "room for 1 actors" in node.command("check").stdout
            cluster.kill("node 0")
            until(
                lambda: "ALERT: Ray cluster: no study is analysed" in node.command("status").stdout,
                within_s=120,
                what="an alert",
            )
