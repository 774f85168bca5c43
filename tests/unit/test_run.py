"""The stages together, with shapes for lungs and lesions."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from threading import get_ident

import numpy as np
import pytest
import torch
from pydicom import dcmread

from builders.ct_series import AIR_HU, BODY_HU, LESION_HU, LUNG_HU, CtSeries, ct_images, write_images
from builders.fake_engine import ShapeSegmenter, shape_engine
from builders.lesion_studies import (
    HIGH_RIGHT,
    LOW_LEFT,
    MID_RIGHT,
    NOW,
    analyse_files,
    build_files,
    changes,
    known_lesions,
)
from pipeline.align import Alignment
from pipeline.errors import NotAChestError
from pipeline.findings import Change, PriorStudy, Stage
from pipeline.run import analyse_with
from pipeline.study import Float64Array, Int16Array, StudyFiles, UInt8Array

SHIFT_MM = np.array([10.0, -5.0, 15.0])


@pytest.fixture
def earlier(tmp_path: Path) -> StudyFiles:
    """Ten days ago, on another place of the table: low left 15 mm, mid right 14 mm."""
    return build_files(tmp_path, "1.2.9", 10, {LOW_LEFT: 15.0, MID_RIGHT: 14.0}, shift=SHIFT_MM)


def test_each_lesion_says_how_it_changed(tmp_path: Path, earlier: StudyFiles) -> None:
    """Grown, new and gone, though the patient lay elsewhere and no earlier run is known."""
    now = build_files(tmp_path, "1.2.3", 0, {LOW_LEFT: 20.0, HIGH_RIGHT: 12.0})
    analysis = analyse_files(now, PriorStudy(files=earlier))
    findings = analysis.findings
    assert changes(analysis) == {"left low": Change.GROWN, "right high": Change.NEW}
    assert [gone.side for gone in findings.gone_lesions] == ["right"]
    assert findings.priors_used[0].interval_days == 10.0
    assert findings.priors_used[0].lung_overlap_dice > 0.95


def test_bending_the_earlier_study_tells_the_same_changes(tmp_path: Path, earlier: StudyFiles) -> None:
    """Growth is neither erased nor made by fitting the earlier study more closely."""
    now = build_files(tmp_path, "1.2.3", 0, {LOW_LEFT: 20.0, HIGH_RIGHT: 12.0})
    priors = [PriorStudy(files=earlier)]
    bent = analyse_with(shape_engine(), now, priors, alignment=Alignment.DEFORMABLE, on_progress=lambda *_: None)
    assert changes(bent) == {"left low": Change.GROWN, "right high": Change.NEW}
    assert len(bent.findings.gone_lesions) == 1


def test_an_unchanged_patient_is_stable(tmp_path: Path, earlier: StudyFiles) -> None:
    """Another place on the table and a warped earlier study make no growth."""
    now = build_files(tmp_path, "1.2.3", 0, {LOW_LEFT: 15.0, MID_RIGHT: 14.0})
    assert set(changes(analyse_files(now, PriorStudy(files=earlier))).values()) == {Change.STABLE}


def test_tracking_uids_come_from_the_report_that_is_out(tmp_path: Path, earlier: StudyFiles) -> None:
    """What an earlier run called a lesion, it is called again."""
    reported = analyse_files(earlier)
    known = known_lesions(reported)
    now = build_files(tmp_path, "1.2.3", 0, {LOW_LEFT: 20.0, HIGH_RIGHT: 12.0})
    findings = analyse_files(now, PriorStudy(files=earlier, known=known)).findings
    by_uid = {lesion.tracking_uid: lesion for lesion in reported.findings.lesions}
    inherited = next(lesion for lesion in findings.lesions if lesion.change is Change.GROWN)
    assert inherited.prior_volume_ml == pytest.approx(by_uid[inherited.tracking_uid].volume_ml)
    assert inherited.tracking_id == by_uid[inherited.tracking_uid].tracking_id
    assert findings.gone_lesions[0].tracking_uid in by_uid


def test_a_shrinking_disease_is_in_absorption(tmp_path: Path, earlier: StudyFiles) -> None:
    """Less than before, and nothing new."""
    now = build_files(tmp_path, "1.2.3", 0, {LOW_LEFT: 9.0})
    assert analyse_files(now, PriorStudy(files=earlier)).findings.stage is Stage.ABSORPTION


def test_earlier_studies_that_do_not_fit_are_dropped_with_a_reason(tmp_path: Path, earlier: StudyFiles) -> None:
    """The current study itself, a later one, one without a date, one that cannot be read."""
    now = build_files(tmp_path, "1.2.3", 0, {LOW_LEFT: 15.0})
    unfit = [
        now,
        replace(earlier, study_instance_uid="1.2.5", acquired_at=NOW + timedelta(days=1)),
        replace(earlier, study_instance_uid="1.2.6", acquired_at=None),
        replace(earlier, study_instance_uid="1.2.7", paths=earlier.paths[:4]),
    ]
    findings = analyse_files(now, *(PriorStudy(files=files) for files in unfit)).findings
    reasons = {dropped.study_instance_uid: dropped.reason for dropped in findings.priors_dropped}
    assert "current study itself" in reasons["1.2.3"]
    assert "not acquired before" in reasons["1.2.5"]
    assert "date" in reasons["1.2.6"]
    assert "only 4 images" in reasons["1.2.7"]
    assert findings.priors_used == ()


def test_the_order_of_earlier_studies_changes_nothing(tmp_path: Path, earlier: StudyFiles) -> None:
    """Newest first in the findings, however they were offered."""
    now = build_files(tmp_path, "1.2.3", 0, {LOW_LEFT: 18.0})
    oldest = build_files(tmp_path, "1.2.8", 30, {LOW_LEFT: 8.0})
    priors = [PriorStudy(files=earlier), PriorStudy(files=oldest)]
    first, second = analyse_files(now, *priors).findings, analyse_files(now, *reversed(priors)).findings
    assert first == second
    assert [used.study_instance_uid for used in first.priors_used] == ["1.2.9", "1.2.8"]


def test_one_thread_prepares_one_earlier_study_after_the_other(
    tmp_path: Path, earlier: StudyFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the configuration allows an attempt one, it takes no second one for them."""
    threads: list[int] = []

    class Watched(ShapeSegmenter):
        def segment(self, volume_hu: Int16Array, spacing_mm: tuple[float, float, float]) -> UInt8Array:
            threads.append(get_ident())
            return super().segment(volume_hu, spacing_mm)

    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)
    now, oldest = build_files(tmp_path, "1.2.3", 0, {}), build_files(tmp_path, "1.2.8", 30, {})
    engine = replace(shape_engine(), segmenter=Watched())
    priors = [PriorStudy(files=files) for files in (earlier, oldest)]
    analyse_with(engine, now, priors, on_progress=lambda *_: None)
    assert threads[0] == get_ident()
    assert threads[1] == threads[2]


def test_earlier_studies_say_how_much_was_diseased(tmp_path: Path, earlier: StudyFiles) -> None:
    """As their own runs reported it, and else as this run finds it: nearly the same, in every earlier study."""
    now = build_files(tmp_path, "1.2.3", 0, {LOW_LEFT: 18.0})
    oldest = build_files(tmp_path, "1.2.8", 30, {LOW_LEFT: 12.0})
    reported = {files.study_instance_uid: analyse_files(files) for files in (earlier, oldest)}
    known = [PriorStudy(files=f, known=known_lesions(reported[f.study_instance_uid])) for f in (earlier, oldest)]
    for prior in analyse_files(now, *known).findings.priors_used:
        said = reported[prior.study_instance_uid].findings
        assert prior.lesion_count == len(said.lesions)
        assert prior.lesion_volume_ml == pytest.approx(sum(lung.lesion_volume_ml for lung in said.lungs))
        assert prior.involvement_percent == pytest.approx(said.involvement_percent)
    for prior in analyse_files(now, PriorStudy(files=earlier), PriorStudy(files=oldest)).findings.priors_used:
        said = reported[prior.study_instance_uid].findings
        assert prior.lesion_count == len(said.lesions)
        assert prior.involvement_percent == pytest.approx(said.involvement_percent, rel=0.1)


def test_a_study_that_ends_in_the_lungs_does_not_tell_how_diseased_an_earlier_one_was(
    tmp_path: Path, earlier: StudyFiles
) -> None:
    """Lesions are found on its images only, so of a study without a result of its own nothing is said."""
    now = build_files(tmp_path, "1.2.3", 0, {HIGH_RIGHT: 14.0})
    upper = replace(now, paths=tuple(sorted(now.paths)[18:]))
    (prior,) = analyse_files(upper, PriorStudy(files=earlier)).findings.priors_used
    assert (prior.lesion_count, prior.lesion_volume_ml, prior.involvement_percent) == (None, None, None)
    reported = analyse_files(earlier)
    (prior,) = analyse_files(upper, PriorStudy(files=earlier, known=known_lesions(reported))).findings.priors_used
    assert prior.involvement_percent == pytest.approx(reported.findings.involvement_percent)


@pytest.mark.parametrize("is_reported", [True, False])
def test_a_lesion_that_one_study_cuts_off_neither_grew_nor_shrank(tmp_path: Path, *, is_reported: bool) -> None:
    """Whichever of the two studies ends in it, and whether the earlier one has a result of its own or not."""
    now, before = (build_files(tmp_path, uid, ago, {LOW_LEFT: 20.0}) for uid, ago in (("1.2.3", 0), ("1.2.9", 10)))
    for cut_now, cut_before in ((18, 0), (0, 18)):
        current = replace(now, paths=tuple(sorted(now.paths)[cut_now:]))
        prior = replace(before, paths=tuple(sorted(before.paths)[cut_before:]))
        known = known_lesions(analyse_files(prior)) if is_reported else None
        analysis = analyse_files(current, PriorStudy(files=prior, known=known))
        assert changes(analysis) == {"left low": Change.NOT_COMPARED}
        assert analysis.findings.gone_lesions == ()
        assert analysis.findings.stage is not Stage.ABSORPTION


@pytest.mark.parametrize("is_reported", [True, False])
@pytest.mark.parametrize("cut_now", [18, 20])
def test_an_earlier_lesion_that_this_study_ends_within_is_not_gone(
    tmp_path: Path, *, cut_now: int, is_reported: bool
) -> None:
    """Whether half or less of it would be seen here, and whether the earlier study has a result of its own or not."""
    now = build_files(tmp_path, "1.2.3", 0, {HIGH_RIGHT: 12.0})
    before = build_files(tmp_path, "1.2.9", 10, {LOW_LEFT: 20.0, HIGH_RIGHT: 12.0})
    known = known_lesions(analyse_files(before)) if is_reported else None
    current = replace(now, paths=tuple(sorted(now.paths)[cut_now:]))
    findings = analyse_files(current, PriorStudy(files=before, known=known)).findings
    assert findings.gone_lesions == ()
    assert findings.stage is not Stage.ABSORPTION


def with_circle(files: StudyFiles, radius_mm: float) -> StudyFiles:
    """The same study, reconstructed in a circle; what lies around it is padding."""
    rows, columns = np.indices((72, 72)) - 35.5
    outside = np.hypot(rows, columns) * 5.0 > radius_mm
    for path in files.paths:
        image = dcmread(path)
        pixels = image.pixel_array.copy()
        pixels[outside] = 63536
        image.PixelData = pixels.tobytes()
        image.save_as(path)
    return files


OUTER_LEFT, AT_CIRCLE = (112.0, 5.0, 7.0), (100.0, 5.0, 7.0)


def test_a_lesion_beyond_the_circle_of_the_earlier_study_is_not_compared(tmp_path: Path) -> None:
    """It is not new: what lies there was not imaged."""
    now = build_files(tmp_path, "1.2.3", 0, {OUTER_LEFT: 9.0})
    before = with_circle(build_files(tmp_path, "1.2.9", 14, {}), 103.0)
    findings = analyse_files(now, PriorStudy(files=before)).findings
    assert [lesion.change for lesion in findings.lesions] == [Change.NOT_COMPARED]


@pytest.mark.parametrize("is_reported", [True, False])
@pytest.mark.parametrize("is_current", [True, False], ids=["of this study", "of the earlier study"])
def test_a_lesion_that_the_circle_of_one_study_cuts_off_neither_grew_nor_shrank(
    tmp_path: Path, *, is_current: bool, is_reported: bool
) -> None:
    """What lies beside the circle was not imaged; a shrunk half of a lesion would be a disease in absorption."""
    now, before = (build_files(tmp_path, uid, ago, {AT_CIRCLE: 15.0}) for uid, ago in (("1.2.3", 0), ("1.2.9", 14)))
    with_circle(now if is_current else before, 103.0)
    known = known_lesions(analyse_files(before)) if is_reported else None
    findings = analyse_files(now, PriorStudy(files=before, known=known)).findings
    assert [lesion.change for lesion in findings.lesions] == [Change.NOT_COMPARED]
    assert findings.gone_lesions == ()
    assert findings.stage is not Stage.ABSORPTION


@pytest.mark.parametrize("is_known", [True, False])
def test_an_earlier_lesion_beyond_the_circle_of_this_study_is_not_gone(tmp_path: Path, is_known: bool) -> None:
    """It was not looked for, and the findings say at which sides the lungs are cut."""
    now = with_circle(build_files(tmp_path, "1.2.3", 0, {}), 103.0)
    before = build_files(tmp_path, "1.2.9", 14, {OUTER_LEFT: 9.0})
    known = known_lesions(analyse_files(before)) if is_known else None
    findings = analyse_files(now, PriorStudy(files=before, known=known)).findings
    assert findings.gone_lesions == ()
    (note,) = (note for note in findings.qualifications if "end outside the images at" in note)
    assert "left side may be missed, and the volumes of those found there are too low" in note


def test_padding_that_a_segmenter_takes_for_lung_is_not_measured(tmp_path: Path) -> None:
    """Networks go on beyond the circle; lungs are of what was imaged."""

    class Generous(ShapeSegmenter):
        def segment(self, volume_hu: Int16Array, spacing_mm: tuple[float, float, float]) -> UInt8Array:
            lungs = super().segment(volume_hu, spacing_mm)
            lungs[(lungs == 0) & (volume_hu <= -1020)] = 1
            return lungs

    files = with_circle(build_files(tmp_path, "1.2.3", 0, {}), 103.0)
    expected = analyse_files(files).findings.lungs
    engine = replace(shape_engine(), segmenter=Generous())
    assert analyse_with(engine, files, [], on_progress=lambda *_: None).findings.lungs == expected


def test_a_volume_without_lungs_is_not_a_chest(tmp_path: Path) -> None:
    """A body without air in it is refused, not reported as healthy."""

    def belly(points: Float64Array) -> Int16Array:
        return np.where(np.linalg.norm(points[..., :2], axis=-1) < 120, BODY_HU, AIR_HU).astype(np.int16)

    paths = write_images(tmp_path, ct_images(CtSeries(), belly))
    files = StudyFiles(study_instance_uid="1.2.3", acquired_at=NOW, paths=tuple(paths))
    with pytest.raises(NotAChestError, match="No lungs"):
        analyse_files(files)


def test_lungs_that_are_cut_off_are_said_to_be(tmp_path: Path) -> None:
    """A series that begins in the middle of the lungs is read with a qualification."""
    files = build_files(tmp_path, "1.2.3", 0, {LOW_LEFT: 15.0})
    upper = replace(files, paths=tuple(sorted(files.paths)[20:]))
    notes = analyse_files(upper).findings.qualifications
    assert any("end outside the images at the bottom" in note for note in notes)


@pytest.mark.parametrize(("thickest_mm", "is_said"), [(5.0, False), (3.0, True)])
def test_slices_further_apart_than_the_model_pack_is_for_are_said(
    tmp_path: Path, thickest_mm: float, is_said: bool
) -> None:
    """The study is analysed; the findings say what that is worth."""
    engine = replace(shape_engine(), thickest_slice_spacing_mm=thickest_mm)
    files = build_files(tmp_path, "1.2.3", 0, {})
    notes = analyse_with(engine, files, [], on_progress=lambda *_: None).findings.qualifications
    assert any("5.0 mm apart, and the model pack is for up to 3 mm" in note for note in notes) == is_said


def test_a_large_lesion_as_dense_as_fluid_is_qualified(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By its name, in the findings; a small one and one of another density are not. Lesions here are all of one density."""
    files = build_files(tmp_path, "1.2.3", 0, {LOW_LEFT: 30.0, HIGH_RIGHT: 10.0})
    assert not any("effusion" in note for note in analyse_files(files).findings.qualifications)
    monkeypatch.setattr("pipeline.fluid.LOWEST_HU", LESION_HU - 10)
    monkeypatch.setattr("pipeline.fluid.HIGHEST_HU", LESION_HU + 10)
    monkeypatch.setattr("pipeline.fluid.AIR_BELOW_HU", LUNG_HU)
    findings = analyse_files(files).findings
    (note,) = (note for note in findings.qualifications if "effusion" in note)
    assert note.startswith(findings.lesions[0].tracking_id)


def test_a_healthy_study_has_no_lesion_and_a_low_score(tmp_path: Path) -> None:
    """Zero lesions is an answer, with lungs measured."""
    findings = analyse_files(build_files(tmp_path, "1.2.3", 0, {})).findings
    assert findings.lesions == ()
    assert findings.stage is Stage.NO_LESION
    assert findings.patient_score < 0.1
    assert all(lung.volume_ml > 500 for lung in findings.lungs)
