"""The lungs of real chests as the bundled network finds them."""

from pathlib import Path

import numpy as np
import pytest
import SimpleITK

from builders.shared_data import shared_data
from pipeline.choose import choose_series
from pipeline.device import choose_device
from pipeline.engine import build_engine
from pipeline.lung_checks import check_is_chest, coverage_notes
from pipeline.model_pack import load_model_pack
from pipeline.orient import LpsVolume, lps_from_source
from pipeline.padding import imaged_part
from pipeline.study import LEFT_LUNG, RIGHT_LUNG, UInt8Array
from pipeline.volume import read_volume
from pipeline.warp import dice


def read_chest(folder: Path) -> tuple[LpsVolume, UInt8Array]:
    """The chosen series in patient order, with its lungs, which passed for a chest."""
    chest = lps_from_source(read_volume(choose_series(path for path in folder.rglob("*") if path.is_file())))
    engine = build_engine(load_model_pack(None), choose_device("cpu"))
    lungs = engine.segmenter.segment(chest.volume_hu, chest.spacing_mm)
    check_is_chest(chest.volume_hu, lungs, chest.spacing_mm)
    return chest, lungs


def test_the_lung_mask_agrees_with_the_reference_by_097() -> None:
    """On the grid of a mask that no network was trained on (Chest Imaging Platform, `wholeLung-64.nrrd`)."""
    folder = shared_data("acil-cip")
    reference = SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(folder / "wholeLung-64.nrrd"))) > 0
    chest, lungs = read_chest(folder / "ct-64Dicom")
    assert coverage_notes(lungs, chest, imaged_part(chest)) == ()
    assert dice(lungs > 0, reference) >= 0.97


@pytest.mark.parametrize("patient", ["Lung_Dx-A0001", "Lung_Dx-A0002"])
def test_right_and_left_lung_of_a_whole_chest_are_told_apart(patient: str) -> None:
    """Each of a plausible size, the right one on the right, mostly air."""
    chest, lungs = read_chest(shared_data("lung-pet-ct-dx") / patient)
    voxel_l = float(np.prod(chest.spacing_mm)) / 1e6
    centres = [float(np.nonzero(lungs == side)[2].mean()) for side in (RIGHT_LUNG, LEFT_LUNG)]
    assert centres[0] < centres[1]
    assert all(0.9 < np.count_nonzero(lungs == side) * voxel_l < 4.5 for side in (RIGHT_LUNG, LEFT_LUNG))
    assert -900 < chest.volume_hu[lungs > 0].mean() < -700


@pytest.mark.parametrize("patient", ["LIDC-IDRI-0001", "LIDC-IDRI-0002", "LIDC-IDRI-0003"])
def test_a_block_of_a_chest_is_read_and_said_to_be_cut_off(patient: str) -> None:
    """A few centimetres of lung are no reason to refuse, and no whole lungs."""
    chest, lungs = read_chest(shared_data("lidc-small") / "small" / patient)
    notes = coverage_notes(lungs, chest, imaged_part(chest))
    assert any("end outside the images at the bottom and the top:" in note for note in notes)
