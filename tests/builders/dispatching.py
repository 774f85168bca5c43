"""Dispatchers whose attempts run a few lines of code instead of a pipeline."""

from pathlib import Path

from builders.attempts import attempts_of
from builders.index import make_ready, received
from config.settings import NodeSettings, Peer, PipelineSettings, Settings
from dicom_node.dispatch import Dispatcher
from dicom_node.engine import EngineLimits, LocalEngine
from storage.files import ResultStore
from storage.index import Index

SUCCEED = """
import pathlib, sys
from dicom_node.job_records import JobOutcome, JobSpec, OutcomeKind
from storage.records import ResultFile
folder = pathlib.Path(sys.argv[1])
spec = JobSpec.read(folder)
(folder / "out").mkdir()
(folder / "out" / "sr.dcm").write_text(spec.study.study_instance_uid + " " + str(len(spec.priors)))
sr = ResultFile(kind="sr", path=folder / "out" / "sr.dcm", sha256="0" * 64, sop_class_uid="1.2.3", sop_instance_uid="2.25.9")
JobOutcome(kind=OutcomeKind.SUCCEEDED, reason="1 lesion", files=(sr,)).write(folder)
"""
CRASH = "import os; os.kill(os.getpid(), 11)"
PACS = Peer(name="pacs", ae_title="PACS", host="127.0.0.1", port=104, receives_results=True, results=("sr",))


def settings(folder: Path) -> Settings:
    """Of a node with one destination."""
    return Settings(node=NodeSettings(data_dir=folder), pipeline=PipelineSettings(attempts=2), peers=(PACS,))


def ready_study(index: Index, study: str = "1.2.3", **changes: object) -> None:
    """One study in the queue."""
    index.record_received([received(study, **changes)])
    make_ready(index, study)


def dispatcher(folder: Path, index: Index, code: str) -> Dispatcher:
    """One whose attempts run the given code."""
    engine = LocalEngine(EngineLimits(time_limit_s=30, memory_limit_bytes=0), server=attempts_of(code))
    return Dispatcher(settings(folder), index, results=ResultStore(folder), engine=engine)
