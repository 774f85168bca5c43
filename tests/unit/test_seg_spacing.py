"""Spacing Between Slices of segmentations is that of the positions, whatever the source says."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset

from builders.analysis import SLICE_SPACING_MM, build_analysis, build_context
from builders.analysis import StudyPlan as Plan
from dicom_node.results.write import write_result_set
from pipeline.findings import Analysis


def says(spacing_mm: str) -> Callable[[Dataset], None]:
    """Images that name this spacing."""

    def change(image: Dataset) -> None:
        image.SpacingBetweenSlices = spacing_mm

    return change


def spacing_mm(segmentation: Dataset) -> float:
    """As it is written."""
    return float(segmentation.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0].SpacingBetweenSlices)


def with_first_lesion(analysis: Analysis) -> Analysis:
    """The same study, of which only the first lesion was found."""
    labels = np.where(analysis.lesion_labels == 1, 1, 0).astype(np.uint16)
    findings = replace(analysis.findings, lesions=analysis.findings.lesions[:1])
    return replace(analysis, findings=findings, lesion_labels=labels)


@pytest.mark.parametrize("said", ["5.0", "-9.0", "0"])
def test_the_spacing_is_that_of_the_positions(tmp_path: Path, said: str) -> None:
    """It may be the thickness, or negative where slices run down."""
    analysis = build_analysis(tmp_path / "ct", Plan(change_header=says(said)))
    write_result_set(analysis, build_context(), folder=tmp_path / "out")
    for name in ("seg-lungs.dcm", "seg-lesions.dcm"):
        assert spacing_mm(pydicom.dcmread(tmp_path / "out" / name)) == SLICE_SPACING_MM


def test_frames_in_a_row_say_how_far_they_lie_apart(tmp_path: Path) -> None:
    """One lesion, so that its frames are 3D."""
    analysis = with_first_lesion(build_analysis(tmp_path / "ct", Plan(change_header=says("5.0"))))
    write_result_set(analysis, build_context(), folder=tmp_path / "out")
    segmentation = pydicom.dcmread(tmp_path / "out" / "seg-lesions.dcm")
    places = [
        frame.PlanePositionSequence[0].ImagePositionPatient for frame in segmentation.PerFrameFunctionalGroupsSequence
    ]
    apart_mm = np.linalg.norm(np.diff(np.asarray(places, float), axis=0), axis=1)
    assert segmentation.DimensionOrganizationType == "3D"
    assert len(apart_mm) > 0
    assert np.allclose(apart_mm, spacing_mm(segmentation))
