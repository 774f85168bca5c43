"""Two studies of a phantom patient through the bundled networks, from files to findings."""

from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from builders.phantoms import LABEL
from pipeline.findings import Analysis, Change, KnownLesions, PriorStudy
from pipeline.model_pack import load_model_pack
from pipeline.phantom import Course, Scan, StudyLabel, WrittenStudy, build_patient, write_whole_study
from pipeline.run import analyse
from pipeline.study import StudyFiles
from pipeline.warp import dice

SCAN = Scan(matrix=144, fov_mm=400.0, slice_spacing_mm=6.0)
EARLIER_AT = LABEL.study_date_time
CURRENT_AT = EARLIER_AT + timedelta(days=5)


def write_study(folder: Path, day: float, acquired_at: datetime) -> tuple[WrittenStudy, StudyFiles]:
    """A whole study of the patient: scout, two kernels, coronal reformat."""
    label = StudyLabel(identity=LABEL.identity, study_date_time=acquired_at, uid_seed=f"phantom run {day}")
    written = write_whole_study(build_patient(11, course=Course.ADVANCED), day, folder, label=label, scan=SCAN)
    files = StudyFiles(study_instance_uid=written.study_instance_uid, acquired_at=acquired_at, paths=written.paths)
    return written, files


@pytest.fixture(scope="module")
def earlier(tmp_path_factory: pytest.TempPathFactory) -> tuple[WrittenStudy, StudyFiles]:
    """Day 3."""
    return write_study(tmp_path_factory.mktemp("earlier"), 3.0, EARLIER_AT)


@pytest.fixture(scope="module")
def current(tmp_path_factory: pytest.TempPathFactory) -> tuple[WrittenStudy, StudyFiles]:
    """Day 8."""
    return write_study(tmp_path_factory.mktemp("current"), 8.0, CURRENT_AT)


def analyse_files(files: StudyFiles, *priors: PriorStudy) -> Analysis:
    """With the bundled networks on the CPU."""
    return analyse(files, priors, pack=load_model_pack(None), device="cpu", on_progress=lambda *_: None)


@pytest.fixture(scope="module")
def first_result(earlier: tuple[WrittenStudy, StudyFiles]) -> Analysis:
    """Of the earlier study, alone."""
    return analyse_files(earlier[1])


@pytest.fixture(scope="module")
def second_result(
    current: tuple[WrittenStudy, StudyFiles], earlier: tuple[WrittenStudy, StudyFiles], first_result: Analysis
) -> Analysis:
    """Of the current study, with the earlier one as it was reported."""
    known = KnownLesions(
        series_instance_uid=first_result.findings.series_instance_uid,
        grid=first_result.volume.grid,
        lung_mask=first_result.lung_mask,
        lesion_labels=first_result.lesion_labels,
        lesions=first_result.findings.lesions,
    )
    return analyse_files(current[1], PriorStudy(files=earlier[1], known=known))


def test_the_lung_kernel_is_read_and_the_rest_passed_over(
    current: tuple[WrittenStudy, StudyFiles], second_result: Analysis
) -> None:
    """Scout, soft kernel and coronal reformat each have their reason."""
    assert second_result.findings.series_instance_uid == current[0].lung_series_uid
    reasons = " ".join(series.reason for series in second_result.findings.passed_over)
    assert all(word in reasons for word in ("scout", "STANDARD", "reformat"))


def test_the_lungs_of_the_phantom_are_found(current: tuple[WrittenStudy, StudyFiles], second_result: Analysis) -> None:
    """Against the truth, which lies head down in the array of the files."""
    truth = current[0].truth.lung_mask
    assert dice(second_result.lung_mask > 0, truth > 0) > 0.93


def test_the_second_study_names_the_first_and_says_what_changed(
    second_result: Analysis, earlier: tuple[WrittenStudy, StudyFiles]
) -> None:
    """Five days before, lungs on lungs, every lesion compared."""
    findings = second_result.findings
    assert [prior.study_instance_uid for prior in findings.priors_used] == [earlier[0].study_instance_uid]
    assert findings.priors_used[0].interval_days == pytest.approx(5.0)
    assert findings.priors_used[0].lung_overlap_dice > 0.9
    assert findings.lesions
    assert Change.NOT_COMPARED not in {lesion.change for lesion in findings.lesions}


def test_tracking_uids_go_on_from_the_first_report(first_result: Analysis, second_result: Analysis) -> None:
    """What was seen before and is seen again, or is gone, has the name it had."""
    before = {lesion.tracking_uid for lesion in first_result.findings.lesions}
    compared = [lesion for lesion in second_result.findings.lesions if lesion.prior_volume_ml is not None]
    gone = {lesion.tracking_uid for lesion in second_result.findings.gone_lesions}
    assert gone <= before
    assert {lesion.tracking_uid for lesion in compared} & before


def test_the_same_files_in_another_order_give_the_identical_result(
    earlier: tuple[WrittenStudy, StudyFiles], first_result: Analysis
) -> None:
    """Findings and masks, to the last bit."""
    files = earlier[1]
    shuffled = StudyFiles(
        study_instance_uid=files.study_instance_uid,
        acquired_at=files.acquired_at,
        paths=(*files.paths[1::2], *files.paths[::2]),
    )
    again = analyse_files(shuffled)
    assert again.findings == first_result.findings
    assert np.array_equal(again.lesion_labels, first_result.lesion_labels)
    assert np.array_equal(again.lung_mask, first_result.lung_mask)
