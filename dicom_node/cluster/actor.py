"""The process on a machine of the cluster that holds the networks and analyses one study after the other."""

import contextlib
import dataclasses
import importlib
import logging
import os
import resource
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from dicom_node.cluster.packs import PackBytes, write_pack
from dicom_node.cluster.parcel import Payload, unpack
from dicom_node.cluster.records import ActorFacts, ActorPlan, Order, Reply
from dicom_node.cluster.scratch import ScratchFolder
from dicom_node.cluster.versions import own_versions
from dicom_node.job import engine_of, finish_job
from dicom_node.job_records import JobOutcome, JobProgress, JobSpec, OutcomeKind
from dicom_node.log import quieten_libraries
from pipeline.engine import Engine

logger = logging.getLogger(__name__)

_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


class HeldEngine:
    """The networks of the newest job, so that the next one does not load them again."""

    def __init__(self) -> None:
        """Nothing is loaded yet."""
        self._names: tuple[str, ...] | None = None
        self._engine: Engine | None = None
        self.pack_sha256 = ""
        """Set before each job: the hash is what a pack is called in the whole cluster."""

    def __call__(self, spec: JobSpec) -> Engine:
        """The networks of the job."""
        names = (self.pack_sha256, spec.device, spec.precision, spec.lung_segmenter, spec.lesion_detector)
        if self._engine is None or self._names != names:
            self._engine = None
            self._engine, self._names = engine_of(spec), names
        return self._engine


class AnalysisActor:
    """Analyses one study at a time; needs neither the share nor the database of the node.

    Files live in a folder for temporary files as long as the attempt; a crash leaves them to the next actor's sweep.
    """

    def __init__(self, plan: ActorPlan) -> None:
        """Make the folder; networks come with the first study."""
        quieten_libraries()
        self._plan = plan
        self._scratch = ScratchFolder()
        self._engine = HeldEngine()
        self._job: Path | None = None

    def facts(self) -> ActorFacts:
        """Who and where it is."""
        ray = importlib.import_module("ray")
        return ActorFacts(node_id=ray.get_runtime_context().get_node_id(), pid=os.getpid(), versions=own_versions())

    def progress(self) -> JobProgress | None:
        """How far the running attempt is; None where none runs."""
        job = self._job
        return JobProgress.read(job) if job else None

    def run(self, order: Order, payload: Payload, pack: PackBytes) -> Reply:
        """Do an attempt to its end.

        Args:
            order: What to do.
            payload: The bytes of the files.
            pack: The networks.
        """
        job = self._scratch.path / "job"
        shutil.rmtree(job, ignore_errors=True)
        job.mkdir()
        self._job = job
        try:
            with logged_to(job / "job.log"):
                return self._reply(order, payload, pack, job)
        finally:
            self._job = None
            shutil.rmtree(job, ignore_errors=True)

    def _reply(self, order: Order, payload: Payload, pack: PackBytes, job: Path) -> Reply:
        try:
            spec = dataclasses.replace(
                unpack(order.parcel, payload, job), model_pack=self._pack_folder(pack), threads=self._plan.threads
            )
            spec.write(job)
            self._engine.pack_sha256 = order.pack_sha256
            with memory_limited(self._plan.memory_limit_bytes):
                outcome = finish_job(job, self._engine)
        except OSError as exc:
            reason = f"the machine of the actor has no room for the study: {exc.strerror}: free its temporary folder"
            outcome = JobOutcome(kind=OutcomeKind.FAILED, reason=reason, retryable=True)
            return Reply(outcome_json=outcome.to_json(), files={}, log=_bytes_of(job / "job.log"))
        files = {file.path.name: file.path.read_bytes() for file in outcome.files}
        return Reply(outcome_json=outcome.to_json(), files=files, log=_bytes_of(job / "job.log"))

    def _pack_folder(self, pack: PackBytes) -> Path:
        """Where the pack lies, written at its first study; older ones are removed."""
        packs = self._scratch.path / "packs"
        folder = packs / pack.sha256
        if not folder.exists():
            shutil.rmtree(packs, ignore_errors=True)
            write_pack(pack, packs / "part")
            (packs / "part").rename(folder)
        return folder


@contextlib.contextmanager
def logged_to(path: Path) -> Iterator[None]:
    """Everything that is logged meanwhile goes to a file too, as in the process of a local attempt."""
    root = logging.getLogger()
    handler = logging.FileHandler(path)
    handler.setFormatter(logging.Formatter(logging.BASIC_FORMAT))
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    try:
        yield
    finally:
        root.setLevel(level)
        root.removeHandler(handler)
        handler.close()


@contextlib.contextmanager
def memory_limited(limit_bytes: int) -> Iterator[None]:
    """Hold the address space to what it is now and so much more (RLIMIT_AS); 0 is no limit."""
    before: tuple[Any, Any] = resource.getrlimit(resource.RLIMIT_AS)
    if limit_bytes:
        mapped_bytes = int(Path("/proc/self/statm").read_text().split()[0]) * _PAGE_BYTES
        resource.setrlimit(resource.RLIMIT_AS, (mapped_bytes + limit_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


def _bytes_of(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""
