"""Full-size phantom studies of one patient on disk, for the benchmarks of the pipeline."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from pipeline.findings import PriorStudy
from pipeline.phantom import Course, Identity, Scan, StudyLabel, build_patient, render_study, write_dicom
from pipeline.study import StudyFiles

SEED = 4
DAYS = (2.0, 7.0, 12.0, 16.0)
"""The last one that is written is the current study; what lies between is an ordinary course."""

BREATHS = (1.0, 0.95, 1.03, 0.98)
SHIFTS_MM = ((0.0, 0.0, 0.0), (6.0, -4.0, 12.0), (-5.0, 3.0, -8.0), (3.0, 5.0, -4.0))
FIRST_DAY = datetime(2020, 3, 1, 9, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class StudySize:
    """How large each study is."""

    slices: int
    matrix: int
    slice_spacing_mm: float


def write_studies(cache: Path, size: StudySize, *, count: int = 3) -> list[Path]:
    """One folder per study, oldest first; what an earlier run has written whole is used again."""
    return [write_study(cache, size, number) for number in range(count)]


def write_study(cache: Path, size: StudySize, number: int) -> Path:
    """The folder of one of the studies, which is written unless it is there."""
    folder = cache / f"{size.slices}x{size.matrix}-{size.slice_spacing_mm:g}mm-{number}"
    if (folder / "study.json").exists():
        return folder
    scan = Scan(
        seed=number,
        matrix=size.matrix,
        slices=size.slices,
        slice_spacing_mm=size.slice_spacing_mm,
        breath=BREATHS[number],
        shift_mm=SHIFTS_MM[number],
    )
    at = FIRST_DAY + timedelta(days=DAYS[number])
    label = StudyLabel(identity=Identity(), study_date_time=at, uid_seed=f"pipeline speed {number}")
    patient = build_patient(SEED, course=Course.ADVANCED)
    write_dicom(render_study(patient, DAYS[number], scan=scan), folder, label=label)
    (folder / "study.json").write_text(json.dumps({"uid": label.study_uid, "at": at.isoformat()}))
    return folder


def study_files(folder: Path) -> StudyFiles:
    """A folder that `write_studies` wrote, as the pipeline takes it."""
    about = json.loads((folder / "study.json").read_text())
    return StudyFiles(
        study_instance_uid=about["uid"],
        acquired_at=datetime.fromisoformat(about["at"]),
        paths=tuple(sorted(folder.glob("*.dcm"))),
    )


def prior_studies(folders: list[Path]) -> list[PriorStudy]:
    """Earlier studies of which no earlier run said anything."""
    return [PriorStudy(files=study_files(folder)) for folder in folders]
