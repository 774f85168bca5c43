"""Studies with results that an outbox sends, as files on disk."""

from hashlib import sha256
from pathlib import Path

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ComprehensiveSRStorage, ExplicitVRLittleEndian

from builders.clock import FakeClock
from builders.index import build_index, claimed_study, to
from dicom_node.outbox import BackOff
from storage.index import Index
from storage.records import ResultFile

STUDY = "1.2.3"
DAY_S = 86_400.0
BACK_OFF = BackOff(first_s=5, maximum_s=600, give_up_after_s=7 * DAY_S)


def report_file(folder: Path, uid: str) -> ResultFile:
    """A small report on disk."""
    dataset = Dataset()
    dataset.SOPClassUID = ComprehensiveSRStorage
    dataset.SOPInstanceUID = uid
    dataset.PatientID, dataset.Modality = "4711", "SR"
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = STUDY, f"{STUDY}.8"
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    path = folder / f"{uid}.dcm"
    dataset.save_as(path, enforce_file_format=True)
    return ResultFile(
        kind="sr",
        path=path,
        sha256=sha256(path.read_bytes()).hexdigest(),
        sop_class_uid=str(ComprehensiveSRStorage),
        sop_instance_uid=uid,
        transfer_syntax_uid=str(ExplicitVRLittleEndian),
    )


def add_result(index: Index, folder: Path, study: str, *, objects: int = 1) -> list[str]:
    """A study whose reports wait to be sent to `pacs`; their SOP Instance UIDs in the order of the result."""
    uids = [f"{study}.9.{number}" for number in range(1, objects + 1)]
    files = [report_file(folder, uid) for uid in uids]
    index.finish_succeeded(claimed_study(index, study), files, destinations=to("pacs"), why="1 lesion")
    return uids


def index_with_result(folder: Path, clock: FakeClock, *, objects: int = 2) -> tuple[Index, list[str]]:
    """An index with one such study."""
    index = build_index(folder, clock)
    return index, add_result(index, folder, STUDY, objects=objects)
