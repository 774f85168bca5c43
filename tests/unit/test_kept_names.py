"""A lesion keeps its name and tracking UID when its study is analysed again."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from builders.ct_series import LESION_HU, LUNG_HU, CtSeries, chest_hu, ct_images, write_images
from builders.fake_engine import shape_engine
from builders.grids import cube_grid
from pipeline.compare import Comparison, PriorLesion, without_prior
from pipeline.findings import Analysis, KnownLesions, Lesion, LesionKind, Side
from pipeline.kept_names import keep_names
from pipeline.lesions import FoundLesions, LesionMaps, find_lesions
from pipeline.run import analyse_with
from pipeline.study import Float64Array, Int16Array, StudyFiles

ORIGIN = "1.2.3/1.2.3.1"
SHAPE = (30, 40, 40)
GRID = cube_grid(SHAPE, step_mm=2.0)
"""Of the whole series."""
CUT_OFF = 5
"""Lowest slices that come late."""
CENTRES = ((80.0, 25.0, -30.0), (-70.0, 10.0, 45.0))
"""Of two balls, LPS in mm."""


def boxes(*places: tuple[slice, ...]) -> FoundLesions:
    """Lesions in these places of a volume that is all lung."""
    mask = np.zeros(SHAPE, np.bool_)
    for place in places:
        mask[place] = True
    maps = LesionMaps(lesion=mask, consolidation=np.zeros(SHAPE, np.bool_))
    return find_lesions(maps, np.zeros(SHAPE, np.int16), np.ones(SHAPE, np.uint8), 0.008, smallest_ml=0.1)


def reported_of(found: FoundLesions, comparison: Comparison) -> KnownLesions:
    """What a result on the same grid says."""
    lesions = tuple(
        Lesion(
            number=one.lesion.number,
            tracking_uid=one.tracking_uid,
            tracking_id=one.tracking_id,
            kind=LesionKind.GROUND_GLASS,
            side=Side.RIGHT,
            score=0.5,
            volume_ml=one.lesion.volume_ml,
            mean_hu=-500.0,
            sd_hu=10.0,
            share_of_lung_percent=1.0,
            box_lps_mm=(0.0,) * 6,
            key_slice=0,
            change=one.change,
            prior_volume_ml=None,
        )
        for one in comparison.lesions
    )
    return KnownLesions(
        series_instance_uid="1.2.3.1",
        grid=GRID,
        lung_mask=np.ones(SHAPE, np.uint8),
        lesion_labels=found.labels,
        lesions=lesions,
    )


FIRST, SECOND, THIRD = np.s_[12:18, 10:16, 10:16], np.s_[22:25, 25:30, 25:30], np.s_[4:8, 30:36, 4:9]


def uids(comparison: Comparison) -> list[str]:
    """Of the lesions, the largest first."""
    return [lesion.tracking_uid for lesion in comparison.lesions]


def again(before: FoundLesions, now: FoundLesions) -> tuple[Comparison, Comparison]:
    """The comparison of a first run, and that of a second."""
    first = without_prior(before, ORIGIN)
    return first, keep_names(without_prior(now, ORIGIN), now, reported_of(before, first), grid=GRID)


def test_a_lesion_keeps_its_name_though_it_begins_elsewhere() -> None:
    """Late slices, or other weights: where its first voxel lies changes."""
    grown = np.s_[11:18, 10:16, 10:16]
    first, second = again(boxes(FIRST, SECOND), boxes(grown, SECOND))
    assert uids(second) == uids(first)
    assert [one.tracking_id for one in second.lesions] == [one.tracking_id for one in first.lesions]
    assert uids(without_prior(boxes(grown, SECOND), ORIGIN)) != uids(first)


def test_a_new_lesion_has_a_name_of_its_own() -> None:
    """And one that is there no more leaves its name to nobody."""
    first, second = again(boxes(FIRST, SECOND), boxes(FIRST, THIRD))
    kept, other = uids(second)[0], uids(second)[1]
    assert kept == uids(first)[0]
    assert other not in uids(first)


def test_a_lesion_that_split_hands_on_its_name_once() -> None:
    """Though the smaller part begins where the whole began, which is what its UID is made of."""
    parts = np.s_[12:13, 10:16, 10:16], np.s_[14:18, 10:16, 10:16]
    first, second = again(boxes(FIRST), boxes(*parts))
    assert uids(second)[0] == uids(first)[0]
    assert len(set(uids(second))) == 2


def test_the_name_that_an_earlier_study_gives_stands() -> None:
    """The course of a lesion over studies is worth more than that over runs."""
    found = boxes(FIRST, SECOND)
    reported = reported_of(found, without_prior(found, ORIGIN))
    prior = PriorLesion(
        number=1,
        tracking_uid="2.25.1",
        tracking_id="Lesion 1",
        kind=LesionKind.GROUND_GLASS,
        side=Side.RIGHT,
        volume_ml=1.0,
    )
    named, alone = without_prior(found, "elsewhere").lesions
    given = Comparison(lesions=(replace(named, tracking_uid="2.25.1", tracking_id="Lesion 1"), alone), gone=())
    kept = keep_names(given, found, reported, grid=GRID, prior=[prior])
    assert uids(kept) == ["2.25.1", reported.lesions[1].tracking_uid]


def analysed(paths: tuple[Path, ...], reported: KnownLesions | None = None) -> Analysis:
    """A study of these images."""
    files = StudyFiles(study_instance_uid="1.2.3", acquired_at=None, paths=paths)
    return analyse_with(shape_engine(), files, (), reported=reported, on_progress=lambda *_: None)


def test_slices_that_come_late_change_no_name(tmp_path: Path) -> None:
    """The whole run, on a series whose lowest slices were not there at first; twice, it says the same."""

    def hu(points: Float64Array) -> Int16Array:
        values = chest_hu(points)
        values[values == LESION_HU] = LUNG_HU
        for centre in CENTRES:
            values[np.linalg.norm(points - np.array(centre), axis=-1) <= 14.0] = LESION_HU
        return values

    images = ct_images(CtSeries(study_uid="1.2.3", uid="1.2.3.1", shape=(48, 72, 72)), hu)
    paths = tuple(write_images(tmp_path, images))
    first = analysed(paths[CUT_OFF:])
    reported = KnownLesions(
        series_instance_uid=first.findings.series_instance_uid,
        grid=first.volume.grid,
        lung_mask=first.lung_mask,
        lesion_labels=first.lesion_labels,
        lesions=first.findings.lesions,
    )
    names = {lesion.tracking_uid for lesion in first.findings.lesions}
    assert len(names) == len(CENTRES)
    assert {lesion.tracking_uid for lesion in analysed(paths).findings.lesions} != names
    second, third = (analysed(paths, reported).findings for _ in range(2))
    assert {lesion.tracking_uid for lesion in second.lesions} == names
    assert second == third
