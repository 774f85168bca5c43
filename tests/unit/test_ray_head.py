"""What ends on the cluster with its head is no failure of a study; no cluster is needed."""

import time
from collections.abc import Callable
from pathlib import Path
from threading import Event, Thread
from types import SimpleNamespace
from typing import Any, cast

import pytest

from builders.deadline import until
from builders.jobs import job
from config.ray import RaySettings
from dicom_node.cluster import head as head_module
from dicom_node.cluster.attempt import Cluster, run_attempt
from dicom_node.cluster.gate import ByteGate
from dicom_node.cluster.head import HeadWatch
from dicom_node.cluster.plan import DriverPlan
from dicom_node.cluster.pool import ActorPool, Member
from dicom_node.cluster.shelf import PackShelf
from dicom_node.job_records import JobOutcome, OutcomeKind, StudySpec


class RayError(Exception):
    """As Ray has it."""


class RayActorError(RayError):
    """As Ray has it."""


class ObjectLostError(RayError):
    """As Ray has it."""


@pytest.fixture(autouse=True)
def settles_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that goes down needs seconds, this test none."""
    monkeypatch.setattr(head_module, "_SETTLED_S", 0.1)


def cluster_that_ends(folder: Path, error: RayError) -> Cluster:
    """One with an actor, which answers until it has a study; then this is what comes of it."""

    def get(reference: str, **_: object) -> None:
        if reference == "answer":
            raise error

    def remote(answer: str) -> Callable[..., str]:
        return lambda *_: answer

    progress = SimpleNamespace(options=lambda **_: SimpleNamespace(remote=remote("progress")))
    handle = SimpleNamespace(progress=progress, run=SimpleNamespace(remote=remote("answer")))
    ray = SimpleNamespace(
        exceptions=SimpleNamespace(RayError=RayError, RayActorError=RayActorError),
        get=get,
        put=lambda _: "bytes",
        wait=lambda references, **_: (references, []),
        kill=lambda *_, **__: None,
    )
    settings = RaySettings.model_construct(address="nobody:1")
    plan = DriverPlan(ray=settings, device="cpu", time_limit_s=60, memory_limit_bytes=0, data_dir=folder)
    member = Member(handle=handle, device="cpu", hello=None, facts=cast("Any", SimpleNamespace(node_id="n")))
    pool = ActorPool(ray=ray, plan=plan, _members=[member])
    shelf = cast("PackShelf", SimpleNamespace(reference=lambda _: ("", None)))
    return Cluster(ray=ray, pool=pool, shelf=shelf, gate=ByteGate(), head=HeadWatch(), time_limit_s=60)


def begin(cluster: Cluster, folder: Path, *, ended: Event) -> Thread:
    """An attempt, in a thread of its own, that the worker wants until the event is set."""
    folder.mkdir()
    job(StudySpec(study_instance_uid="1.2", acquired_at=None, inputs=())).write(folder)
    thread = Thread(target=run_attempt, args=(cluster, folder), kwargs={"is_wanted": lambda: not ended.is_set()})
    thread.start()
    return thread


@pytest.mark.parametrize("error", [RayActorError(), ObjectLostError()])
def test_what_ends_with_the_head_leaves_no_outcome(tmp_path: Path, error: RayError) -> None:
    """Ray says the same as of an actor that died alone, and answers of the head from before say nothing."""
    cluster, folder, ended = cluster_that_ends(tmp_path, error), tmp_path / "7", Event()
    cluster.head.note(asked_at_s=time.monotonic())
    attempt = begin(cluster, folder, ended=ended)
    attempt.join(0.5)
    assert attempt.is_alive()
    ended.set()
    attempt.join(20)
    assert not attempt.is_alive()
    assert JobOutcome.read(folder) is None


@pytest.mark.parametrize("error", [RayActorError(), ObjectLostError()])
def test_what_ends_while_the_head_is_there_is_a_failed_attempt(tmp_path: Path, error: RayError) -> None:
    """It was asked afterwards, and answered."""
    cluster, folder = cluster_that_ends(tmp_path, error), tmp_path / "7"
    attempt = begin(cluster, folder, ended=Event())

    def is_over() -> bool:
        cluster.head.note(asked_at_s=time.monotonic())
        return not attempt.is_alive()

    until(is_over, within_s=20, what="the attempt has ended")
    outcome = JobOutcome.read(folder)
    assert outcome and (outcome.kind, outcome.retryable) == (OutcomeKind.FAILED, True)
