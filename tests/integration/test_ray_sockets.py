"""A worker that cannot open the sockets of Ray on its machine, where Ray ends the process that asks."""

from pathlib import Path

import pytest

from builders.deadline import until
from builders.ray_cluster import RayCluster, needs_ray
from builders.ray_engine import driver_plan, running_engine
from dicom_node.cluster.probe import probe_cluster
from dicom_node.cluster.state import ClusterState

pytestmark = needs_ray


def test_a_worker_that_cannot_see_the_sockets_says_what_to_do(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """In its log, in `status` and in `check`; the driver itself cannot say it."""
    with RayCluster(nodes=0) as cluster:
        cluster.hide_sockets()
        plan = driver_plan(cluster, tmp_path)
        with running_engine(plan, places=0):
            until(lambda: "cannot open Ray's socket" in caplog.text, within_s=120, what="the worker says it")
        assert "the driver of the Ray cluster ended with exit code 1, see ray-driver.log.1" in caplog.text
        state = ClusterState.read(tmp_path)
        assert state
        for said in (state.problem, probe_cluster(plan.ray).problem):
            assert "/sockets/raylet: start Ray as the same user, with --temp-dir" in said
