"""Batches in an index, how far their studies are, and a PACS that gives nothing of them."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from pydicom.dataset import Dataset

from builders.clock import FakeClock
from builders.find_scp import match
from builders.index import claim, make_ready, received, result_files
from config.settings import Peer, Settings
from dicom_node.audit.trail import audit_trail
from dicom_node.batch.run import BatchRunner
from dicom_node.retrieve.archive import Archive, Retriever
from dicom_node.retrieve.association import StopSwitch
from dicom_node.retrieve.auditing import RetrieveAudit
from dicom_node.retrieve.errors import ArchiveFailedError, ArchiveRefusesError
from dicom_node.retrieve.transfer import SubOperations
from storage.batch_records import BatchLine, BatchPlan, BatchStudyState
from storage.index import Index
from storage.records import ResultFile


@dataclass(slots=True)
class RefusingRetriever:
    """Fails as a PACS does that is out of resources; remembers who was asked for."""

    asked: list[str] = field(default_factory=list)
    reason: str = "pacs: the retrieval failed with status 0xA702"
    retryable: bool = True
    meanwhile: Callable[[], object] = list
    """What happens while the PACS sends."""

    def retrieve(self, study_instance_uid: str, series_uids: Sequence[str], *, limit_s: float) -> SubOperations:
        """Fail."""
        self.asked.append(study_instance_uid)
        self.meanwhile()
        raise ArchiveFailedError(self.reason) if self.retryable else ArchiveRefusesError(self.reason)


def plan(**changes: object) -> BatchPlan:
    """A batch of the PACS of `find_scp`."""
    values = {"name": "", "peer": "pacs", "delivers": False, "in_flight": 4, "per_hour": 60, "hours": ""}
    return BatchPlan(**(values | changes))  # type: ignore[arg-type]  # of mixed types


def next_line(index: Index, number: int = 1) -> BatchLine:
    """The study that is asked for next."""
    (line,) = index.batches.in_state(number, BatchStudyState.WAITING)
    return line


def fetch(index: Index, number: int = 1) -> str:
    """The next study comes as a whole and is ready to be analysed; its UID."""
    line = next_line(index, number)
    index.batches.asked(line, is_own=True)
    index.record_received([received(line.study_instance_uid)])
    index.batches.fetched(line)
    make_ready(index, line.study_instance_uid)
    return line.study_instance_uid


def analyse(index: Index, *files: ResultFile) -> None:
    """The study that is ready has this result; there is nobody to send it to."""
    index.finish_succeeded(claim(index), files, destinations=(), why="1 lesion")


def result_on_disk(folder: Path, *, score: float = 0.75) -> ResultFile:
    """What was found, as the file of a result: two lesions in a series of three images."""
    document = {
        "series": {"sop_instance_uids": ["1", "2", "3"]},
        "lesions": [{"volume_ml": 1.5}, {"volume_ml": 2.0}],
        "priors_used": [],
        "patient_score": score,
        "involvement_percent": 4.5,
        "stage": "progressive",
        "algorithm": {"name": "space-time", "version": "1", "weights_sha256": "ab"},
        "qualifications": ["thick_slices"],
    }
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "findings.json"
    path.write_text(json.dumps(document))
    return replace(result_files()[1], path=path)


def one_series(query: Dataset) -> Sequence[Dataset]:
    """A CT series of two images of any study."""
    uid = str(query.StudyInstanceUID)
    values = {"StudyInstanceUID": uid, "SeriesInstanceUID": f"{uid}.1", "Modality": "CT"}
    return [match("SERIES", **values, NumberOfSeriesRelatedInstances=2)]


def runner_of(settings: Settings, index: Index, peer: Peer, retriever: Retriever, clock: FakeClock) -> BatchRunner:
    """The runner of a PACS that is got from in this way."""
    audit = RetrieveAudit(audit_trail(settings, clock=clock), peer, own_aet="NODE")
    archive = Archive(settings, peer, retriever=retriever, switch=StopSwitch(), audit=audit)
    return BatchRunner(settings, index, archive, clock=clock)
