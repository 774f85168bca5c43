"""An earlier study is read by the series that its result was made of."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread

from builders.lesion_studies import LOW_LEFT, MID_RIGHT, analyse_files, build_files, known_lesions
from pipeline.findings import Change, Findings, KnownLesions, PriorStudy
from pipeline.study import StudyFiles

LESIONS = {LOW_LEFT: 9.0, MID_RIGHT: 9.0}
BETTER = "1.2.9.7"
HIGHER_MM = 38.0


def better_series(folder: Path, *, on_same_grid: bool) -> StudyFiles:
    """Of the same study, the patient lying higher: on the grid of the first one, or on one that moved with the patient."""
    shift = np.array([0.0, 0.0, HIGHER_MM if on_same_grid else 0.0])
    files = build_files(folder, "1.2.9", 10, LESIONS, shift=shift)
    for path in files.paths:
        image = dcmread(path)
        image.SeriesInstanceUID, image.SeriesNumber, image.SeriesDescription = BETTER, 7, "Chest native"
        image.SOPInstanceUID = image.file_meta.MediaStorageSOPInstanceUID = f"{image.SOPInstanceUID}.7"
        if not on_same_grid:
            x, y, z = image.ImagePositionPatient
            image.ImagePositionPatient = [x, y, z + HIGHER_MM]
        image.save_as(path)
    return files


@pytest.fixture
def now(tmp_path: Path) -> StudyFiles:
    """The current study, with the same lesions."""
    return build_files(tmp_path / "now", "1.2.3", 0, LESIONS)


@pytest.fixture
def before(tmp_path: Path) -> StudyFiles:
    """The earlier study, as far as it was there when its result was made."""
    return build_files(tmp_path / "before", "1.2.9", 10, LESIONS)


@pytest.fixture
def known(before: StudyFiles) -> KnownLesions:
    """That result."""
    return known_lesions(analyse_files(before))


def compared(now: StudyFiles, prior: PriorStudy) -> Findings:
    """Of the current study."""
    return analyse_files(now, prior).findings


@pytest.mark.parametrize("on_same_grid", [True, False])
def test_a_better_series_that_came_later_moves_no_lesion(
    tmp_path: Path, now: StudyFiles, before: StudyFiles, known: KnownLesions, *, on_same_grid: bool
) -> None:
    """Its patient lay elsewhere: on it the lesions of the result would be in other places."""
    more = better_series(tmp_path / "more", on_same_grid=on_same_grid)
    both = replace(before, paths=(*before.paths, *more.paths))
    assert analyse_files(both).findings.series_instance_uid == BETTER
    findings = compared(now, PriorStudy(files=both, known=known))
    assert findings.priors_used[0].series_instance_uid == known.series_instance_uid
    assert {lesion.change for lesion in findings.lesions} == {Change.STABLE}
    assert {lesion.tracking_uid for lesion in findings.lesions} == {lesion.tracking_uid for lesion in known.lesions}
    assert findings.gone_lesions == ()
    assert findings.qualifications == ()


def test_without_that_series_the_lesions_are_found_anew_and_the_findings_say_so(
    tmp_path: Path, now: StudyFiles, known: KnownLesions
) -> None:
    """Nothing is compared with places on images that are not here."""
    other = better_series(tmp_path / "other", on_same_grid=True)
    findings = compared(now, PriorStudy(files=other, known=known))
    assert findings.priors_used[0].series_instance_uid == BETTER
    assert not {lesion.tracking_uid for lesion in findings.lesions} & {lesion.tracking_uid for lesion in known.lesions}
    note, *limits = findings.qualifications
    assert note.startswith("The series that the result of the earlier study of 2024-05-10 was made of cannot be read")
    assert replace(findings, qualifications=tuple(limits)) == compared(now, PriorStudy(files=other))


@pytest.mark.parametrize("has_result", [False, True])
def test_what_limits_an_earlier_study_is_said_with_its_date(
    now: StudyFiles, before: StudyFiles, known: KnownLesions, *, has_result: bool
) -> None:
    """Thick slices, lungs that are not shown as a whole: what is compared with it is less sure too."""
    for path in before.paths:
        image = dcmread(path)
        image.SliceThickness = 9.0
        image.save_as(path)
    cut = replace(before, paths=before.paths[:26])
    prior = PriorStudy(files=before, known=known) if has_result else PriorStudy(files=cut)
    thick, *more = compared(now, prior).qualifications
    assert thick == (
        "Earlier study of 2024-05-10: Thick slices (9.0 mm): small lesions can be missed, volumes are less exact."
    )
    assert has_result or "Earlier study of 2024-05-10: The lungs end outside the images at the top" in " ".join(more)
