"""What an analysis holds in memory beside the studies themselves."""

import tracemalloc
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from threading import Barrier, BrokenBarrierError
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from builders.ct_series import chest_hu
from builders.fake_engine import ShapeSegmenter
from builders.freed_heap import resident_before_and_after
from pipeline import align
from pipeline.affine_fit import chest_of
from pipeline.chest_volume import ChestVolume, chest_volume
from pipeline.compare import PriorLesion, PriorLesions, compare_lesions
from pipeline.lesions import LesionMaps, find_lesions
from pipeline.orient import LpsVolume
from pipeline.study import Grid

SHAPE = (60, 90, 110)


def most_bytes_per_voxel(work: Callable[[], object]) -> float:
    """Of arrays of numpy, beside those that are there before."""
    tracemalloc.start()
    try:
        work()
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    return most / float(np.prod(SHAPE))


def chest() -> ChestVolume:
    """Shapes for lungs, 4 mm apart."""
    affine = np.eye(4)
    affine[:3, :3] = 4.0 * np.eye(3)[:, ::-1]
    affine[:3, 3] = [-2.0 * (size - 1) for size in SHAPE[::-1]]
    index = np.moveaxis(np.indices(SHAPE), 0, -1)
    volume_hu = chest_hu(index @ affine[:3, :3].T + affine[:3, 3])
    grid = Grid(shape=SHAPE, affine_lps_from_kji=affine)
    lps = LpsVolume(volume_hu=volume_hu, grid=grid, source_grid=grid)
    return chest_volume(lps, ShapeSegmenter().segment(volume_hu, lps.spacing_mm))


def test_what_was_freed_goes_back_to_the_system() -> None:
    """Though something that stays lies at the end of each heap."""
    before_mib, after_mib = resident_before_and_after("pipeline.heap", "trim_heap")
    assert before_mib - after_mib > 150.0


def test_lesions_are_compared_in_little_memory() -> None:
    """Masks of what is shown, a byte per voxel each, and no copy of the labels."""
    study = chest()
    lesion = np.zeros(SHAPE, np.bool_)
    lesion[20:30, 40:50, 20:40] = True
    maps = LesionMaps(lesion=lesion, consolidation=np.zeros(SHAPE, np.bool_))
    found = find_lesions(maps, study.lps.volume_hu, study.lung_mask, 0.064, smallest_ml=0.1)
    lesions = tuple(
        PriorLesion(
            number=lesion.number,
            tracking_uid="2.25.1",
            tracking_id="Lesion 1",
            kind=lesion.kind,
            side=lesion.side,
            volume_ml=lesion.volume_ml,
        )
        for lesion in found.lesions
    )
    before = PriorLesions(
        labels=found.labels, valid=study.imaged, lung_mask=study.lung_mask, lesions=lesions, volume_factor=1.0
    )
    assert most_bytes_per_voxel(lambda: compare_lesions(found, before, study, "1.2.3/1.2.3.1")) < 4.5


def test_studies_that_are_aligned_at_the_same_time_are_copied_one_after_the_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Both may be fitted at once; copies of both volumes at once would be gigabytes."""
    both = Barrier(2)
    warp_volume = align.warp_volume

    def watched(*arguments: Any) -> tuple[NDArray[np.int16], NDArray[np.bool_]]:
        with suppress(BrokenBarrierError):
            both.wait(1.0)
        return warp_volume(*arguments)

    monkeypatch.setattr(align, "warp_volume", watched)
    current, priors = chest(), [chest(), chest()]
    fixed = chest_of(current)
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda prior: align.align_prior(prior, current, fixed), priors))
    assert both.broken, "nobody met"
