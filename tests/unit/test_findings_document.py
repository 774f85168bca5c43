"""`findings.json` and `masks.npz` say what the pipeline said, and give it back."""

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from builders.analysis import StudyPlan, build_analysis, build_context, used_prior
from builders.results import ResultShelf
from dicom_node.results.errors import InconsistentAnalysisError, UnreadableResultError
from dicom_node.results.findings_document import findings_bytes
from dicom_node.results.write import read_known_lesions, write_result_set


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> ResultShelf:
    """Written result sets."""
    return ResultShelf(tmp_path_factory.mktemp("results"))


def copied(source: Path, target: Path) -> Path:
    """What a later study reads of a result, as a copy that may be damaged."""
    target.mkdir()
    for name in ("findings.json", "masks.npz"):
        (target / name).write_bytes((source / "out" / name).read_bytes())
    return target


def test_known_lesions_come_back_as_they_were(shelf: ResultShelf, tmp_path: Path) -> None:
    """Lesions, masks and grid of an earlier result are exact."""
    analysis = build_analysis(tmp_path / "ct")
    known = read_known_lesions(shelf.folder() / "out")
    assert known.lesions == analysis.findings.lesions
    assert known.series_instance_uid == analysis.findings.series_instance_uid
    assert np.array_equal(known.lung_mask, analysis.lung_mask)
    assert np.array_equal(known.lesion_labels, analysis.lesion_labels)
    assert known.grid.shape == analysis.volume.grid.shape
    assert np.array_equal(known.grid.affine_lps_from_kji, analysis.volume.grid.affine_lps_from_kji)


def test_no_lesion_comes_back_as_no_lesion(shelf: ResultShelf) -> None:
    """A healthy prior is known too."""
    known = read_known_lesions(shelf.folder(StudyPlan(with_lesions=False)) / "out")
    assert known.lesions == ()
    assert not known.lesion_labels.any()


def test_document_names_patient_figures_series_and_priors(shelf: ResultShelf) -> None:
    """What scripts look for stands under the documented keys."""
    plan = StudyPlan(priors_used=(used_prior(),))
    document = json.loads((shelf.folder(plan) / "out" / "findings.json").read_bytes())
    assert (document["format"], document["format_version"]) == ("dicom-node findings", 1)
    assert (document["patient_score"], document["patient_score_positive"]) == (0.8123, True)
    assert (document["patient_score_calibrated"], document["patient_score_population"]) == (True, "synthetic phantoms")
    assert document["stage"] == "advanced"
    assert document["series"]["passed_over"][0]["reason"] == "It is a scout."
    assert len(document["series"]["sop_instance_uids"]) == 20
    assert document["priors_used"][0]["study_instance_uid"] == "2.25.501"
    assert document["algorithm"]["weights_sha256"] == "ab" * 32
    assert document["intended_use"].startswith("Not for diagnostic use")


def test_document_does_not_call_an_uncalibrated_score_calibrated(shelf: ResultShelf) -> None:
    """Nor does it decide where no operating point was measured."""
    folder = shelf.folder(StudyPlan(calibration=None, operating_points=()))
    document = json.loads((folder / "out" / "findings.json").read_bytes())
    keys = ("patient_score_calibrated", "patient_score_population", "patient_score_positive")
    assert [document[key] for key in keys] == [False, None, None]
    assert (document["algorithm"]["calibration"], document["algorithm"]["operating_points"]) == (None, [])


def test_document_has_one_entry_per_lesion(shelf: ResultShelf) -> None:
    """Each with kind, box, volume, score and change."""
    lesions = json.loads((shelf.folder() / "out" / "findings.json").read_bytes())["lesions"]
    assert [lesion["kind"] for lesion in lesions] == ["ground_glass", "consolidation", "ground_glass"]
    first = lesions[0]
    assert (first["tracking_uid"], first["change"], first["prior_volume_ml"]) == ("2.25.701", "not_compared", None)
    assert len(first["box_lps_mm"]) == 6
    assert first["volume_ml"] > lesions[1]["volume_ml"] > lesions[2]["volume_ml"] > 0


def test_document_names_no_patient(shelf: ResultShelf) -> None:
    """Neither name nor ID is in it."""
    text = (shelf.folder() / "out" / "findings.json").read_text()
    assert "Muster" not in text
    assert "T-1" not in text


def test_infinite_number_is_refused(tmp_path: Path) -> None:
    """JSON has no infinity, and a finding has none either."""
    analysis = build_analysis(tmp_path / "ct")
    with pytest.raises(InconsistentAnalysisError, match="infinite"):
        findings_bytes(replace(analysis.findings, patient_score=math.nan), build_context())


@pytest.mark.parametrize("damage", [b"", b"{}", b'{"format": "dicom-node findings", "format_version": 2}', b"[1]"])
def test_damaged_or_newer_document_is_refused(shelf: ResultShelf, tmp_path: Path, damage: bytes) -> None:
    """Nothing is guessed from a document that is not whole or not ours."""
    folder = copied(shelf.folder(), tmp_path / "out")
    (folder / "findings.json").write_bytes(damage)
    with pytest.raises(UnreadableResultError, match="run that study again"):
        read_known_lesions(folder)


def test_damaged_masks_are_refused(shelf: ResultShelf, tmp_path: Path) -> None:
    """A truncated file is no mask."""
    folder = copied(shelf.folder(), tmp_path / "out")
    (folder / "masks.npz").write_bytes((folder / "masks.npz").read_bytes()[:200])
    with pytest.raises(UnreadableResultError, match="run that study again"):
        read_known_lesions(folder)


def test_masks_of_another_result_are_refused(shelf: ResultShelf, tmp_path: Path) -> None:
    """Findings and masks must be of one result."""
    folder = copied(shelf.folder(), tmp_path / "out")
    other = shelf.folder(StudyPlan(with_lesions=False)) / "out" / "masks.npz"
    (folder / "masks.npz").write_bytes(other.read_bytes())
    with pytest.raises(UnreadableResultError, match="contradict"):
        read_known_lesions(folder)


def test_missing_result_is_refused(tmp_path: Path) -> None:
    """A folder without a result says what to do."""
    with pytest.raises(UnreadableResultError, match="run that study again"):
        read_known_lesions(tmp_path)


def test_mask_that_holds_other_lesions_is_refused(tmp_path: Path) -> None:
    """Nothing is written that contradicts itself."""
    analysis = build_analysis(tmp_path / "ct")
    analysis.lesion_labels[analysis.lesion_labels == 2] = 0
    with pytest.raises(InconsistentAnalysisError, match="other lesions"):
        write_result_set(analysis, build_context(), folder=tmp_path / "out")
    assert not (tmp_path / "out").exists()
