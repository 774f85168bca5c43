"""The lungs of a real chest that no network was trained on, against a mask made by hand."""

import SimpleITK

from builders.shared_data import shared_data
from pipeline.align import dice
from pipeline.choose import choose_series
from pipeline.device import choose_device
from pipeline.engine import build_engine
from pipeline.lung_checks import check_is_chest, coverage_notes
from pipeline.model_pack import load_model_pack
from pipeline.orient import lps_from_source
from pipeline.study import LEFT_LUNG, RIGHT_LUNG
from pipeline.volume import read_volume


def test_the_lung_mask_agrees_with_the_reference_by_097() -> None:
    """On the grid of the reference (Chest Imaging Platform, `wholeLung-64.nrrd`)."""
    folder = shared_data("acil-cip")
    reference = SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(folder / "wholeLung-64.nrrd"))) > 0
    chest = lps_from_source(read_volume(choose_series((folder / "ct-64Dicom").iterdir())))
    engine = build_engine(load_model_pack(None), choose_device("cpu"))
    lungs = engine.segmenter.segment(chest.volume_hu, chest.spacing_mm)
    check_is_chest(chest.volume_hu, lungs, chest.spacing_mm)
    assert coverage_notes(lungs, chest.spacing_mm) == ()
    assert (lungs == RIGHT_LUNG)[..., :20].any()
    assert (lungs == LEFT_LUNG)[..., 44:].any()
    assert dice(lungs > 0, reference) >= 0.97
