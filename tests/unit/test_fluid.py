"""Lesions that may be fluid are said to be."""

import numpy as np
import pytest
from scipy import ndimage

from pipeline.findings import Change, Lesion, LesionKind, Side
from pipeline.fluid import fluid_notes
from pipeline.study import Int16Array, UInt16Array

SPACING_MM = (5.0, 1.0, 1.0)
SHAPE = (20, 80, 80)


def block() -> UInt16Array:
    """One lesion of 135 ml."""
    labels = np.zeros(SHAPE, np.uint16)
    labels[4:16, 10:60, 15:60] = 1
    return labels


def filled(density_hu: float, *, air_share: float = 0.0, noise_hu: float = 20.0) -> Int16Array:
    """Lung with the block of one density, some of it bronchi."""
    rng = np.random.default_rng(1)
    volume = np.where(block() > 0, density_hu, -850.0) + noise_hu * rng.standard_normal(SHAPE)
    volume[(block() > 0) & (rng.random(SHAPE) < air_share)] = -700.0
    return volume.astype(np.int16)


def lesion_of(volume_ml: float) -> Lesion:
    """Number 1; only its volume and name count here."""
    return Lesion(
        number=1,
        tracking_uid="1.2.3",
        tracking_id="Lesion 3F2A",
        kind=LesionKind.CONSOLIDATION,
        side=Side.RIGHT,
        score=0.9,
        volume_ml=volume_ml,
        mean_hu=0.0,
        sd_hu=0.0,
        share_of_lung_percent=10.0,
        box_lps_mm=(0.0, 0.0, 0.0, 1.0, 1.0, 1.0),
        key_slice=0,
        change=Change.NOT_COMPARED,
        prior_volume_ml=None,
    )


def notes(volume_hu: Int16Array, labels: UInt16Array | None = None) -> tuple[str, ...]:
    """Of the lesion, as measured."""
    labels = block() if labels is None else labels
    volume_ml = np.count_nonzero(labels) * float(np.prod(SPACING_MM)) / 1000.0
    boxes = ndimage.find_objects(labels)
    return fluid_notes([lesion_of(volume_ml)], boxes, labels, volume_hu, SPACING_MM)


@pytest.mark.parametrize("density_hu", [0.0, 12.0, 20.0])
def test_a_large_lesion_as_dense_as_fluid_is_named(density_hu: float) -> None:
    """With its volume and density, however noisy the images are."""
    (note,) = notes(filled(density_hu, noise_hu=45.0))
    assert note.startswith("Lesion 3F2A (135 ml) is as dense as fluid")
    assert "may be pleural effusion" in note


@pytest.mark.parametrize(
    ("density_hu", "air_share"), [(40.0, 0.0), (90.0, 0.0), (-500.0, 0.0), (-60.0, 0.0), (15.0, 0.06)]
)
def test_soft_tissue_ground_glass_and_what_holds_air_are_not(density_hu: float, air_share: float) -> None:
    """Consolidation with and without contrast, ground glass, fat, and bronchi with air in something dense."""
    assert notes(filled(density_hu, air_share=air_share)) == ()


def test_a_small_lesion_is_not_measured() -> None:
    """Its border is all of it."""
    labels = np.zeros(SHAPE, np.uint16)
    labels[8:11, 20:40, 20:40] = 1
    assert notes(filled(10.0), labels) == ()
