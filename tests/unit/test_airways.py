"""Trachea and main bronchi are no part of the lungs."""

import numpy as np

from pipeline.airways import airway_mask
from pipeline.lung_mask import refined_lungs
from pipeline.study import LEFT_LUNG, RIGHT_LUNG, BoolArray, Float32Array, UInt8Array

SHAPE, SPACING_MM = (50, 90, 140), (4.0, 2.0, 2.0)
RIGHT, LEFT = np.s_[5:45, 15:75, 10:64], np.s_[5:45, 15:75, 76:130]
TRACHEA = np.s_[15:50, 40:48, 66:74]
BULLA = np.s_[20:26, 30:40, 52:62]


def build_chest() -> tuple[UInt8Array, Float32Array]:
    """Lungs as boxes with a trachea between them and a bulla in the right one; the network calls all air lung."""
    volume_hu = np.full(SHAPE, 40.0, np.float32)
    raw = np.zeros(SHAPE, np.uint8)
    for place, side in ((RIGHT, RIGHT_LUNG), (LEFT, LEFT_LUNG)):
        volume_hu[place], raw[place] = -860.0, side
    volume_hu[TRACHEA], raw[TRACHEA] = -990.0, RIGHT_LUNG
    volume_hu[BULLA] = -985.0
    return raw, volume_hu


def filled(place: tuple[slice, ...]) -> BoolArray:
    """A mask of one box."""
    mask = np.zeros(SHAPE, np.bool_)
    mask[place] = True
    return mask


def test_the_trachea_is_found_and_a_bulla_is_not() -> None:
    """Both are air; one has the mediastinum around it, the other the lung."""
    raw, volume_hu = build_chest()
    airways = airway_mask(volume_hu, raw > 0, SPACING_MM)
    assert np.mean(airways[TRACHEA]) > 0.9
    assert not airways[BULLA].any()


def test_the_trachea_is_no_lung_even_where_the_network_says_so() -> None:
    """The lungs beside it lose nothing, and keep their sides."""
    raw, volume_hu = build_chest()
    refined = refined_lungs(raw, volume_hu, SPACING_MM)
    assert not refined[TRACHEA].any()
    assert np.mean(refined[RIGHT] == RIGHT_LUNG) > 0.99
    assert np.mean(refined[LEFT] == LEFT_LUNG) > 0.99


def test_without_lungs_there_are_no_airways() -> None:
    """Nothing says where the middle is."""
    _, volume_hu = build_chest()
    assert not airway_mask(volume_hu, np.zeros(SHAPE, np.bool_), SPACING_MM).any()


def test_room_air_is_no_airway() -> None:
    """It is too large, wherever its middle lies."""
    raw, volume_hu = build_chest()
    volume_hu[:, :12] = -1000.0
    assert not (airway_mask(volume_hu, raw > 0, SPACING_MM) & filled(np.s_[:, :10])).any()
