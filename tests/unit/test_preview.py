"""Pictures show the right slices with the right outlines, and nothing about the patient."""

from dataclasses import replace
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from builders.analysis import ALL_LAYOUTS, FEET_FIRST, HEAD_FIRST, PRONE, Layout, StudyPlan, build_analysis
from dicom_node.results import preview
from dicom_node.results.colours import LESION_RGB
from dicom_node.results.preview import direction_letter, draw_lesion, draw_overview, montage_slices
from pipeline.findings import Analysis, LesionKind


@pytest.fixture(scope="module")
def analysis(tmp_path_factory: pytest.TempPathFactory) -> Analysis:
    """One built study."""
    return build_analysis(tmp_path_factory.mktemp("ct"))


def pixels(png: bytes) -> np.ndarray:
    """A picture as (rows, columns, 3)."""
    return np.asarray(Image.open(BytesIO(png)).convert("RGB")).astype(int)


def near(picture: np.ndarray, colour: tuple[int, int, int]) -> np.ndarray:
    """Where a picture below its header has about that colour."""
    found = np.abs(picture - np.asarray(colour)).max(axis=-1) < 40
    found[: preview.HEADER_HEIGHT] = False
    return found


def test_lesion_is_outlined_in_the_colour_of_its_kind(analysis: Analysis) -> None:
    """Yellow for ground glass, red for consolidation."""
    ground_glass = pixels(draw_lesion(analysis, analysis.findings.lesions[0]))
    assert near(ground_glass, LESION_RGB[LesionKind.GROUND_GLASS]).any()
    consolidation = pixels(draw_lesion(analysis, analysis.findings.lesions[1]))
    assert near(consolidation, LESION_RGB[LesionKind.CONSOLIDATION]).any()


def test_outline_lies_around_the_lesion(analysis: Analysis) -> None:
    """In the whole slice, at the place that the mask says."""
    lesion = analysis.findings.lesions[1]
    picture = near(pixels(draw_lesion(analysis, lesion)), LESION_RGB[LesionKind.CONSOLIDATION])
    width = (picture.shape[1] - 2 * preview.MARGIN - preview.GAP) // 2
    whole = picture[:, preview.MARGIN : preview.MARGIN + width]
    rows, columns = np.nonzero(whole)
    lesion_rows, lesion_columns = np.nonzero(analysis.lesion_labels[lesion.key_slice] == lesion.number)
    _, height, slice_width = analysis.volume.grid.shape
    assert columns.mean() / width == pytest.approx((lesion_columns.mean() + 0.5) / slice_width, abs=0.01)
    drawn_height = picture.shape[0] - preview.HEADER_HEIGHT - preview.MARGIN
    assert (rows.mean() - preview.HEADER_HEIGHT) / drawn_height == pytest.approx(
        (lesion_rows.mean() + 0.5) / height, abs=0.01
    )


def test_overview_runs_from_head_to_feet_and_shows_the_largest_lesions(analysis: Analysis) -> None:
    """As radiologists read a chest."""
    chosen = montage_slices(analysis)
    heights = [analysis.volume.slice_headers[k].image_position_mm[2] for k in chosen]
    assert heights == sorted(heights, reverse=True)
    assert {lesion.key_slice for lesion in analysis.findings.lesions} <= set(chosen)


def test_overview_runs_from_head_to_feet_feet_first_too(tmp_path: Path) -> None:
    """Although the slices are stored the other way."""
    turned = build_analysis(tmp_path, StudyPlan(layout=FEET_FIRST))
    heights = [turned.volume.slice_headers[k].image_position_mm[2] for k in montage_slices(turned)]
    assert heights == sorted(heights, reverse=True)


@pytest.mark.parametrize(
    ("layout", "letters"), [(HEAD_FIRST, "LP"), (PRONE, "RA"), (FEET_FIRST, "RP")], ids=["supine", "prone", "feet"]
)
def test_letters_name_the_sides_of_the_patient(layout: Layout, letters: str) -> None:
    """At the right and the lower edge of a slice as it is stored."""
    assert direction_letter(np.asarray(layout.row)) + direction_letter(np.asarray(layout.column)) == letters


@pytest.mark.parametrize("layout", ALL_LAYOUTS.values(), ids=ALL_LAYOUTS.keys())
def test_every_layout_gives_pictures(tmp_path: Path, layout: Layout) -> None:
    """No orientation is left without a picture."""
    built = build_analysis(tmp_path, StudyPlan(layout=layout))
    assert pixels(draw_lesion(built, built.findings.lesions[2])).shape[2] == 3


def test_study_without_lesions_has_an_overview(tmp_path: Path) -> None:
    """The lungs are shown also where nothing was found."""
    built = build_analysis(tmp_path, StudyPlan(with_lesions=False))
    assert pixels(draw_overview(built)).any()


def test_few_slices_are_shown_once_each(analysis: Analysis) -> None:
    """A short scan has a short montage."""
    mask = analysis.lung_mask.copy()
    mask[:8] = mask[11:] = 0
    findings = replace(analysis.findings, lesions=())
    assert sorted(montage_slices(replace(analysis, lung_mask=mask, findings=findings))) == [8, 9, 10]


def test_pictures_are_the_same_each_time(analysis: Analysis) -> None:
    """No clock and no chance in a picture."""
    assert draw_overview(analysis) == draw_overview(analysis)
