"""Studies with lesions where they are wanted, read by the whole pipeline with shapes in the place of networks."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np

from builders.ct_series import LESION_HU, LUNG_HU, CtSeries, chest_hu, ct_images, write_images
from builders.fake_engine import shape_engine
from pipeline.findings import Analysis, Change, KnownLesions, PriorStudy
from pipeline.run import analyse_with
from pipeline.study import Float64Array, Int16Array, StudyFiles

NOW = datetime(2024, 5, 20, tzinfo=UTC)


def build_files(
    folder: Path, uid: str, days_ago: float, lesions: dict[tuple[float, ...], float], **where: object
) -> StudyFiles:
    """A study with lesions: place in LPS to radius, both in mm."""
    shift = np.asarray(where.get("shift", np.zeros(3)))

    def hu(points: Float64Array) -> Int16Array:
        moved = points - shift
        values = chest_hu(moved)
        values[values == LESION_HU] = LUNG_HU
        for centre, radius in lesions.items():
            values[np.linalg.norm(moved - np.array(centre), axis=-1) <= radius] = LESION_HU
        return values

    series = CtSeries(study_uid=uid, uid=f"{uid}.1", shape=(48, 72, 72))
    paths = write_images(folder / uid, ct_images(series, hu))
    return StudyFiles(study_instance_uid=uid, acquired_at=NOW - timedelta(days=days_ago), paths=tuple(paths))


LOW_LEFT, HIGH_RIGHT, MID_RIGHT = (80.0, 25.0, -30.0), (-70.0, 10.0, 45.0), (-75.0, -20.0, -20.0)


def analyse_files(current: StudyFiles, *priors: PriorStudy) -> Analysis:
    """The whole run."""
    return analyse_with(shape_engine(), current, priors, on_progress=lambda *_: None)


def known_lesions(reported: Analysis) -> KnownLesions:
    """What the comparison takes of an earlier run."""
    return KnownLesions(
        series_instance_uid=reported.findings.series_instance_uid,
        grid=reported.volume.grid,
        lung_mask=reported.lung_mask,
        lesion_labels=reported.lesion_labels,
        lesions=reported.findings.lesions,
    )


def changes(analysis: Analysis) -> dict[str, Change]:
    """By side of the patient and height, for instance `left low`."""
    return {
        f"{lesion.side} {'high' if lesion.box_lps_mm[2] > 0 else 'low'}": lesion.change
        for lesion in analysis.findings.lesions
    }
