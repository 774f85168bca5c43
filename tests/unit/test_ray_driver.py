"""The driver of a Ray cluster as the worker sees it; no cluster is needed."""

from contextlib import closing
from pathlib import Path

import pytest

from builders.deadline import until
from config.ray import RaySettings
from dicom_node.cluster.abort import socket_problem
from dicom_node.cluster.driver_log import bound_log, driver_logs, keep_previous_log
from dicom_node.cluster.engine import RayEngine
from dicom_node.cluster.plan import DriverPlan


def test_why_a_driver_ended_is_kept_and_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The next one writes a file of its own."""
    unreadable = RaySettings.model_construct(address="nonsense")
    plan = DriverPlan(ray=unreadable, device="cpu", time_limit_s=1, memory_limit_bytes=0, data_dir=tmp_path)

    with closing(RayEngine(plan)) as engine:

        def has_ended() -> bool:
            engine.tend()
            return "ended" in caplog.text

        until(has_ended, within_s=60, what="the driver ended")
    assert "ended with exit code 1, see ray-driver.log.1 in the data folder" in caplog.text
    (previous,) = driver_logs(tmp_path)
    assert "must be host:port" in previous.read_text()


def test_an_abort_of_ray_is_told_from_others() -> None:
    """As Ray 2.60 says it."""
    head = "[2026-05-04 12:00:00,000 C 7 7] raylet_ipc_client.cc:85: "
    socket = "/tmp/ray/session_2026-05-04_12-00-00_774158_16031/sockets/raylet"
    said = f"{head}Failed to connect to socket at address:{socket}\n*** StackTrace Information ***\n"
    assert f"cannot open Ray's socket {socket}: start Ray as" in socket_problem(said)
    assert socket_problem(f"{head}Check failed: node\n") == ""


def test_the_log_of_the_driver_before_is_bounded(tmp_path: Path) -> None:
    """Its end is kept; an empty one takes no other's place."""
    log, previous = tmp_path / "ray-driver.log", tmp_path / "ray-driver.log.1"
    log.write_bytes(b"begin" + bytes(1 << 20) + b"the end")
    keep_previous_log(tmp_path)
    log.touch()
    keep_previous_log(tmp_path)
    kept = previous.read_bytes()
    assert (len(kept), kept[:5], kept[-7:]) == (1 << 20, bytes(5), b"the end")


def test_the_log_of_a_driver_that_runs_is_bounded(tmp_path: Path) -> None:
    """It is left alone until it is long; then its end is kept, and what the driver says next follows."""
    log = tmp_path / "ray-driver.log"
    bound_log(tmp_path)
    with log.open("ab", buffering=0) as driver:
        driver.write(b"begin" + bytes(7 << 20))
        bound_log(tmp_path)
        assert log.stat().st_size == 5 + (7 << 20)
        driver.write(bytes(1 << 20) + b"the end")
        bound_log(tmp_path)
        driver.write(b", and more")
    kept = log.read_bytes()
    assert (len(kept), kept[:5], kept[-17:]) == ((1 << 20) + 10, bytes(5), b"the end, and more")


def test_a_node_without_a_driver_has_no_log_of_one(tmp_path: Path) -> None:
    """Nothing is created."""
    keep_previous_log(tmp_path)
    assert (driver_logs(tmp_path), list(tmp_path.iterdir())) == ((), [])
