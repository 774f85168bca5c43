"""One attempt on the cluster: from the folder of its job to an actor, and its results back into the folder."""

import hashlib
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from dicom_node.cluster.errors import ForeignBytesError
from dicom_node.cluster.gate import ByteGate
from dicom_node.cluster.head import HeadWatch
from dicom_node.cluster.library import RayModule
from dicom_node.cluster.parcel import Parcel, parcel_of, read_payload
from dicom_node.cluster.pool import ActorPool, Member
from dicom_node.cluster.records import Order, Reply
from dicom_node.cluster.shelf import PackShelf
from dicom_node.disk_refusals import refusal_code
from dicom_node.errors import NodeError
from dicom_node.job_records import JobOutcome, JobSpec, OutcomeKind
from pipeline.errors import PipelineError

logger = logging.getLogger(__name__)

_LOOK_INTERVAL_S = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """What attempts share."""

    ray: RayModule
    pool: ActorPool
    shelf: PackShelf
    gate: ByteGate
    head: HeadWatch
    time_limit_s: float


def run_attempt(cluster: Cluster, folder: Path, *, is_wanted: Callable[[], bool]) -> None:
    """Do the job in a folder; what the process of a local attempt leaves there is there afterwards.

    What Ray ends while the head is there is a failed attempt. Where the head is lost this does not return: the driver ends,
    and the attempt without an outcome.

    Args:
        cluster: Where.
        folder: Holds `job.json`.
        is_wanted: Asked a few times a second; after False there is no outcome.

    Raises:
        OSError: The disk takes nothing, for which the study is not at fault.
    """
    (folder / "job.log").touch()
    try:
        outcome = _outcome(cluster, folder, is_wanted)
    except (PipelineError, NodeError) as error:
        outcome = JobOutcome(kind=OutcomeKind.FAILED, reason=error.reason, retryable=error.retryable)
    except cluster.ray.exceptions.RayError as error:
        if not cluster.head.is_there(is_wanted=is_wanted):
            return
        outcome = _failure(folder, f"the Ray cluster ended the attempt ({type(error).__name__})", error)
    except OSError as error:
        if refusal_code(error):
            raise
        outcome = _failure(folder, f"this machine did not take the result: {error.strerror}", error)
    if outcome is not None:
        outcome.write(folder)


def _outcome(cluster: Cluster, folder: Path, is_wanted: Callable[[], bool]) -> JobOutcome | None:
    spec = JobSpec.read(folder)
    parcel = parcel_of(spec)
    sha256, pack = cluster.shelf.reference(spec.model_pack)
    with cluster.gate.hold(parcel.size_bytes, is_wanted=is_wanted) as is_in:
        if not is_in:
            return None
        payload = cluster.ray.put(read_payload(parcel))
        member = cluster.pool.take(folder.name, is_wanted=is_wanted)
        if member is None:
            return None
        order = Order(parcel=_for_device(parcel, member.device), pack_sha256=sha256)
        outcome = None
        try:
            outcome = _lent(cluster, member, folder, member.handle.run.remote(order, payload, pack), is_wanted)
        finally:
            # A fault of CUDA sticks to its process, and one that hangs is ended only so.
            is_sound = outcome is not None and outcome.kind is not OutcomeKind.FAILED
            cluster.pool.give_back(member, is_sound=is_sound)
        return outcome


def _lent(
    cluster: Cluster, member: Member, folder: Path, answer: Any, is_wanted: Callable[[], bool]
) -> JobOutcome | None:
    """Wait for the actor; one that dies or takes too long is a failed attempt, as a local process is."""
    deadline_s = time.monotonic() + cluster.time_limit_s
    told = None
    while not cluster.ray.wait([answer], timeout=_LOOK_INTERVAL_S)[0]:
        if not is_wanted():
            return None
        if time.monotonic() > deadline_s:
            reason = f"not finished after {cluster.time_limit_s:g} s: ended; raise [pipeline].time_limit_s"
            return JobOutcome(kind=OutcomeKind.FAILED, reason=reason, retryable=True)
        if member.progress not in {told, None}:
            told = member.progress
            told.write(folder)
    try:
        return _kept(cluster.ray.get(answer), folder)
    except cluster.ray.exceptions.RayActorError as error:
        if not cluster.head.is_there(is_wanted=is_wanted):
            return None
        return _failure(folder, "the actor that had the study died: out of memory, or its machine went down?", error)


def _kept(reply: Reply, folder: Path) -> JobOutcome:
    """Write what came back where the process of a local attempt writes it.

    Raises:
        ForeignBytesError: A file is not the one that the actor wrote.
    """
    (folder / "job.log").write_bytes(reply.log)
    outcome = JobOutcome.from_json(reply.outcome_json)
    out = folder / "out"
    for file in outcome.files:
        data = reply.files.get(file.path.name, b"")
        if hashlib.sha256(data).hexdigest() != file.sha256:
            raise ForeignBytesError
        out.mkdir(exist_ok=True)
        (out / file.path.name).write_bytes(data)
    return replace(outcome, files=tuple(replace(file, path=out / file.path.name) for file in outcome.files))


def _for_device(parcel: Parcel, device: str) -> Parcel:
    return replace(parcel, spec=replace(parcel.spec, device=device))


def _failure(folder: Path, reason: str, error: Exception) -> JobOutcome:
    """A failed attempt whose log says what Ray said."""
    logger.warning("attempt %s: %s", folder.name, reason)
    with (folder / "job.log").open("a", encoding="utf-8") as log:
        log.write(f"{error}\n")
    return JobOutcome(kind=OutcomeKind.FAILED, reason=reason, retryable=True)
