"""A phantom patient with two studies that are small enough to be analysed in seconds."""

import fcntl
import tempfile
from dataclasses import dataclass
from pathlib import Path

from dicom_node.demo.patient import DEMO_PLAN, PatientPlan, write_patient
from dicom_node.folders import find_studies
from pipeline.phantom import Scan

SMALL_PLAN = PatientPlan(
    seed=DEMO_PLAN.seed, course=DEMO_PLAN.course, days=DEMO_PLAN.days, scan=Scan(matrix=192, slice_spacing_mm=8.0)
)


@dataclass(frozen=True, slots=True, kw_only=True)
class SmallStudy:
    """One study on disk."""

    study_instance_uid: str
    folder: Path

    @property
    def paths(self) -> list[Path]:
        """Its files."""
        return sorted(path for path in self.folder.rglob("*") if path.is_file())


@dataclass(frozen=True, slots=True, kw_only=True)
class SmallPatient:
    """Two studies of one patient."""

    earlier: SmallStudy
    current: SmallStudy


def write_small_patient(folder: Path) -> SmallPatient:
    """Write both studies, each as a scanner sends it."""
    write_patient(SMALL_PLAN, folder, on_study=lambda _number, _folder: None)
    return _read_small_patient(folder)


def shared_small_patient(folder: Path) -> SmallPatient:
    """Both studies in a folder that several processes name; the first that comes writes them, the others wait for it."""
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            begun = Path(tempfile.mkdtemp(dir=folder.parent))
            write_small_patient(begun)
            begun.rename(folder)
    return _read_small_patient(folder)


def _read_small_patient(folder: Path) -> SmallPatient:
    earlier, current = find_studies([folder]).studies
    return SmallPatient(
        earlier=SmallStudy(study_instance_uid=earlier.files.study_instance_uid, folder=earlier.files.paths[0].parent),
        current=SmallStudy(study_instance_uid=current.files.study_instance_uid, folder=current.files.paths[0].parent),
    )
