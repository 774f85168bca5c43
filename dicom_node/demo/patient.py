"""The phantom patient whose studies the demo sends."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from pipeline.phantom import (
    Course,
    Identity,
    Scan,
    StudyLabel,
    build_patient,
    write_dicom,
    write_multi_frame_dicom,
    write_whole_study,
)

DAY_0 = datetime(2024, 3, 4, 9, 30, tzinfo=UTC)
"""First day of symptoms of every phantom patient."""

_BREATHS = (1.0, 0.97, 1.02, 0.95)
_SHIFTS_MM = ((0.0, 0.0, 0.0), (6.0, -4.0, 9.0), (-5.0, 3.0, -7.0), (3.0, 5.0, 12.0))
"""No patient breathes or lies twice in the same way."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PatientPlan:
    """A phantom patient and when it is scanned."""

    seed: int
    course: Course
    days: tuple[float, ...]
    """Of the studies, counted from the first day of symptoms."""
    scan: Scan
    """Noise, breath and place on the table differ from study to study all the same."""
    multi_frame: bool = False
    """Each series but the scout is one Enhanced CT image."""


DEMO_PLAN = PatientPlan(seed=7, course=Course.ADVANCED, days=(10.0, 20.0), scan=Scan(slice_spacing_mm=3.0))
"""Between these two days lesions of this patient appear, grow, stay and shrink; about 100 slices each."""


def write_patient(plan: PatientPlan, out: Path, *, on_study: Callable[[int, Path], None]) -> tuple[Path, ...]:
    """Write each study as a scanner sends it, a folder per study: scout, two kernels, a coronal reformat.

    Args:
        plan: The patient; the same plan gives the same files.
        out: Gets the folders.
        on_study: Called with the number of the study, from 1, and its folder, before it is made.

    Returns:
        The folders, in the order of the days.
    """
    patient = build_patient(plan.seed, course=plan.course)
    folders = [out / f"day-{day:g}" for day in plan.days]
    for number, (day, folder) in enumerate(zip(plan.days, folders, strict=True), start=1):
        on_study(number, folder)
        _remove_images(folder)
        write_whole_study(
            patient,
            day,
            folder,
            label=_label(plan, day),
            scan=_scan(plan, number),
            write_series=write_multi_frame_dicom if plan.multi_frame else write_dicom,
        )
    return tuple(folders)


def _remove_images(folder: Path) -> None:
    """Remove images that an earlier call left: another plan may have more of them."""
    for path in folder.glob("series-*-image-*.dcm"):
        path.unlink()


def _label(plan: PatientPlan, day: float) -> StudyLabel:
    """Who and when; the UIDs follow from the plan."""
    return StudyLabel(
        identity=Identity(patient_id=f"PHANTOM-{plan.seed}", patient_name=f"Phantom^Seed {plan.seed}"),
        study_date_time=DAY_0 + timedelta(days=day),
        uid_seed=f"{plan.course} {plan.seed} {day:g} {plan.scan}{' multi-frame' if plan.multi_frame else ''}",
    )


def _scan(plan: PatientPlan, number: int) -> Scan:
    """The scan of the n-th study."""
    place = (number - 1) % len(_BREATHS)
    return replace(plan.scan, seed=plan.scan.seed + number, breath=_BREATHS[place], shift_mm=_SHIFTS_MM[place])
