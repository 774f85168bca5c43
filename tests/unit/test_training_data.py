"""Real chests for training: their pseudo-masks, and lesions set into them."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from pipeline.model_input import InputContract
from pipeline.phantom import LookAlike
from pipeline.phantom.paint import NOT_KNOWN
from pipeline.study import LEFT_LUNG, RIGHT_LUNG, Int16Array
from pipeline.training.cases import CaseStudy, load_cases
from pipeline.training.chest_shapes import draw_shape, resliced
from pipeline.training.crop_places import worth_seeing
from pipeline.training.marked_boxes import marked_region, read_marked_boxes
from pipeline.training.phantom_cases import draw_training_kinds
from pipeline.training.real_cases import paint_case, real_chest, save_real_cases
from pipeline.training.real_lungs import RealStudy, pseudo_lung_mask

SPACING_MM = (5.0, 3.0, 3.0)
CONTRACT = InputContract(pixel_mm=3.0)


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def chest(*, bowel_gas: bool = False) -> Int16Array:
    """A body with two lungs, a trachea between them, and perhaps gas below them."""
    z, y, x = np.ogrid[:24, :100, :120]
    volume_hu = np.full((24, 100, 120), -1000, np.int16)
    volume_hu[np.broadcast_to(((y - 50) / 45) ** 2 + ((x - 60) / 55) ** 2 < 1, volume_hu.shape)] = 40
    for centre in (33, 87):
        inside = ((z - 13) / 10) ** 2 + ((y - 50) / 30) ** 2 + ((x - centre) / 20) ** 2 < 1
        volume_hu[inside] = -850
    volume_hu[10:, 46:51, 58:63] = -1000
    if bowel_gas:
        volume_hu[:2, 30:40, 55:65] = -1000
    return volume_hu


def test_pseudo_masks_tell_right_from_left() -> None:
    """x runs from the patient's right to left."""
    mask = pseudo_lung_mask(chest(), SPACING_MM)
    assert mask[13, 50, 33] == RIGHT_LUNG
    assert mask[13, 50, 87] == LEFT_LUNG


def test_pseudo_masks_hold_neither_trachea_nor_bowel_gas_nor_the_air_outside() -> None:
    """Only lungs teach the lung network."""
    mask = pseudo_lung_mask(chest(bowel_gas=True), SPACING_MM)
    assert not mask[:, 46:51, 58:63].any()
    assert not mask[0].any()
    assert not mask[:, 0].any()


def test_pseudo_masks_cover_the_lungs() -> None:
    """Dice against the lungs that were drawn."""
    volume_hu = chest()
    truth = volume_hu == -850
    mask = pseudo_lung_mask(volume_hu, SPACING_MM) > 0
    assert 2.0 * (mask & truth).sum() / (mask.sum() + truth.sum()) > 0.95


def real_study(number: int = 0) -> RealStudy:
    """A series with a box of other disease in the right lung."""
    volume_hu = chest()
    marked = np.zeros(volume_hu.shape, bool)
    marked[10:14, 40:60, 28:38] = True
    return RealStudy(
        name=f"real-{number}",
        volume_hu=volume_hu,
        spacing_mm=SPACING_MM,
        lung_mask=pseudo_lung_mask(volume_hu, SPACING_MM),
        not_known=marked,
    )


def test_lesions_are_set_into_the_lungs_and_nowhere_else(tmp_path: Path) -> None:
    """Some paintings show lesions, at least a third shows none; numbers and kinds agree."""
    save_real_cases([real_study()], tmp_path, 6, contract=CONTRACT)
    cases = load_cases(tmp_path)
    assert len(cases) == 6
    assert 2 <= sum(not case.diseased for case in cases) <= 4
    kinds = [study.truth[2] * (study.truth[2] != NOT_KNOWN) for case in cases for study in case.studies]
    assert any(kind.any() for kind in kinds)
    for kind, study in zip(kinds, (study for case in cases for study in case.studies), strict=True):
        assert (study.truth[0][kind > 0] > 0).all()
        assert ((study.truth[1] > 0) == (kind > 0)).all()


def test_scans_of_two_days_are_two_chests(tmp_path: Path) -> None:
    """Two kernels of one scan are one; a grid of the same size on another day has its lungs elsewhere."""
    later = real_study(1)
    later = replace(later, volume_hu=np.roll(later.volume_hu, 12, 2), lung_mask=np.roll(later.lung_mask, 12, 2))
    for folder, studies in (("kernels", [real_study(0), real_study(1)]), ("days", [real_study(0), later])):
        save_real_cases(studies, tmp_path / folder, 2, contract=CONTRACT)
    names = {
        folder: {case.name.split("-painted")[0] for case in load_cases(tmp_path / folder)}
        for folder in ("kernels", "days")
    }
    assert names == {"kernels": {"real-0"}, "days": {"real-0", "real-1"}}


def test_marked_disease_of_a_real_chest_is_neither_lesion_nor_healthy(tmp_path: Path) -> None:
    """In each study of each painting it is marked as not known."""
    save_real_cases([real_study()], tmp_path, 2, contract=CONTRACT)
    for case in load_cases(tmp_path):
        for study in case.studies:
            assert (study.truth[2] == NOT_KNOWN).mean() > 0.002


def test_each_painting_is_another_chest_and_can_be_made_again() -> None:
    """Same number, same arrays; another number, another shape."""
    chest_seen = real_chest([real_study(0), real_study(1)], CONTRACT)
    first, again, other = (
        paint_case(chest_seen, number, rng=np.random.default_rng(number), contract=CONTRACT).studies[-1]
        for number in (1, 1, 2)
    )
    np.testing.assert_array_equal(first.volume_hu, again.volume_hu)
    np.testing.assert_array_equal(first.truth, again.truth)
    assert first.volume_hu.shape != other.volume_hu.shape


def test_earlier_studies_are_nearly_in_place() -> None:
    """Their lungs overlap the newest study's, but not exactly."""
    studies = paint_case(
        real_chest([real_study()], CONTRACT), 3, rng=np.random.default_rng(3), contract=CONTRACT
    ).studies
    newest = studies[-1].truth[0] > 0
    for study in studies[:-1]:
        lungs = study.truth[0] > 0
        overlap = 2.0 * (lungs & newest).sum() / (lungs.sum() + newest.sum())
        assert 0.85 < overlap < 1.0


def test_boxes_named_by_instance_mark_a_region_with_a_margin(tmp_path: Path) -> None:
    """PASCAL-VOC beside the DICOM; a broken file is passed over."""
    (tmp_path / "1.2.3.xml").write_text(
        "<annotation><object><bndbox><xmin>20</xmin><ymin>30</ymin><xmax>26</xmax><ymax>36</ymax></bndbox></object>"
        "</annotation>"
    )
    (tmp_path / "1.2.4.xml").write_text("<annotation><object><bndbox>")
    boxes = read_marked_boxes(tmp_path)
    region = marked_region(["1.2.1", "1.2.2", "1.2.3"], boxes, shape=(3, 100, 100), spacing_mm=SPACING_MM)
    assert set(boxes) == {"1.2.3"}
    assert region[2, 30:37, 20:27].all()
    assert region[1, 27, 17]
    assert not region[0, 50:].any()
    assert not region[:, :, 60:].any()


def test_reslicing_keeps_the_place_and_the_mean() -> None:
    """A ramp along z stays a ramp when slices get thicker."""
    ramp = np.broadcast_to(np.arange(40, dtype=np.float32)[:, None, None], (40, 2, 2)).copy()
    shape = draw_shape(np.random.default_rng(1), CONTRACT, native_mm=2.5, slices=40)
    shape = replace(shape, scale=(1.0, 1.0, 1.0), slice_spacing_mm=5.0, slice_thickness_mm=6.0, first_slice=0.0)
    slices = resliced(ramp, 2.5, shape)
    assert len(slices) == 20
    np.testing.assert_allclose(slices[1:-1, 0, 0], 2.0 * np.arange(1, 19) + 0.5, atol=1e-4)


def test_a_mirrored_chest_has_its_right_lung_on_the_right() -> None:
    """Truth says right where the image shows it."""
    seen = real_chest([real_study()], CONTRACT)
    for number in range(3):
        lungs = paint_case(seen, number, rng=np.random.default_rng(number), contract=CONTRACT).studies[-1].truth[0]
        right, left = (np.nonzero(lungs == side)[2].mean() for side in (RIGHT_LUNG, LEFT_LUNG))
        assert right < left


def test_crops_lie_about_lesions_and_about_what_may_be_taken_for_one() -> None:
    """Half of the draws see a lesion, a quarter something dense in the lung that is none."""
    truth = np.zeros((3, 1, 16, 16), np.uint8)
    truth[0] = 1
    truth[1, :, :4, :4] = 1
    volume_hu = np.full((1, 16, 16), -850, np.int16)
    volume_hu[:, :4, :4], volume_hu[:, 8:12, 8:12] = -500, -400
    study = CaseStudy(day=0.0, volume_hu=volume_hu, truth=truth)
    assert worth_seeing(study, 0.3).tolist() == [[0, 0, 0]]
    assert worth_seeing(study, 0.6).tolist() == [[0, 2, 2]]
    assert len(worth_seeing(study, 0.9)) == 16


def test_mimics_are_shown_more_often_than_they_occur() -> None:
    """Else the time layers have nothing to learn."""
    rng = np.random.default_rng(3)
    shown = [LookAlike.OLD_GROUND_GLASS in draw_training_kinds(rng) for _ in range(400)]
    assert 0.28 < np.mean(shown) < 0.46
