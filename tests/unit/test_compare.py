"""What became of the lesions of the earlier study."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders.grids import cube_grid
from pipeline.chest_volume import ChestVolume
from pipeline.compare import (
    Comparison,
    PriorLesion,
    PriorLesions,
    compare_lesions,
    tracking_id,
    volume_change,
    without_prior,
)
from pipeline.findings import Change, LesionKind, Side, Stage
from pipeline.lesions import FoundLesions, LesionMaps, find_lesions
from pipeline.orient import LpsVolume
from pipeline.stage import stage_of
from pipeline.study import RIGHT_LUNG, BoolArray, UInt8Array, UInt16Array

SHAPE = (30, 40, 60)
SPACING_MM = (2.0, 2.0, 2.0)
VOXEL_ML = 0.008
Place = tuple[slice, ...] | BoolArray
BALL, FAR_BALL = np.s_[8:16, 8:16, 8:16], np.s_[8:16, 8:16, 40:48]
BOTH = np.s_[8:16, 8:16, 8:48]


def build_lungs(until: int = SHAPE[2]) -> UInt8Array:
    """One lung that reaches so far to the left."""
    lungs = np.full(SHAPE, RIGHT_LUNG, np.uint8)
    lungs[:, :, until:] = 0
    return lungs


def build_current(*places: Place) -> FoundLesions:
    """Lesions of the current study."""
    lesion = np.zeros(SHAPE, np.bool_)
    for place in places:
        lesion[place] = True
    maps = LesionMaps(lesion=lesion, consolidation=np.zeros(SHAPE, np.bool_))
    return find_lesions(maps, np.zeros(SHAPE, np.int16), build_lungs(), VOXEL_ML, smallest_ml=0.1)


def build_prior(*places: Place, valid: Place = np.s_[:], lungs_until: int = SHAPE[2]) -> PriorLesions:
    """Lesions of the earlier study, with tracking UIDs 2.25.1, 2.25.2, ..."""
    labels, imaged = np.zeros(SHAPE, np.uint16), np.zeros(SHAPE, np.bool_)
    for number, place in enumerate(places, start=1):
        labels[place] = number
    imaged[valid] = True
    lungs = build_lungs(lungs_until)
    lesions = _prior_lesions(labels, len(places))
    return PriorLesions(labels=labels, valid=imaged, lung_mask=lungs, lesions=lesions, volume_factor=1.0)


def _prior_lesions(labels: UInt16Array, count: int) -> tuple[PriorLesion, ...]:
    return tuple(
        PriorLesion(
            number=number,
            tracking_uid=f"2.25.{number}",
            tracking_id=f"Lesion {number}",
            kind=LesionKind.GROUND_GLASS,
            side=Side.RIGHT,
            volume_ml=float(np.count_nonzero(labels == number)) * VOXEL_ML,
        )
        for number in range(1, count + 1)
    )


def compared(
    current: FoundLesions, prior: PriorLesions, *, shown: Place = np.s_[:], lungs_until: int = SHAPE[2]
) -> Comparison:
    """Of study 1.2, series 1.2.3, whose images show so much, and whose lungs reach so far."""
    imaged = np.zeros(SHAPE, np.bool_)
    imaged[shown] = True
    grid = cube_grid(SHAPE, step_mm=SPACING_MM[0])
    lps = LpsVolume(volume_hu=np.zeros(SHAPE, np.int16), grid=grid, source_grid=grid)
    chest = ChestVolume(lps=lps, lung_mask=build_lungs(lungs_until) * imaged, imaged=imaged)
    return compare_lesions(current, prior, chest, "1.2/1.2.3")


def test_a_lesion_in_its_old_place_keeps_its_tracking_uid() -> None:
    """A little to the side, by what alignment leaves, is the same place."""
    lesion = compared(build_current(np.s_[9:17, 8:16, 9:17]), build_prior(BALL)).lesions[0]
    assert (lesion.tracking_uid, lesion.tracking_id) == ("2.25.1", "Lesion 1")
    assert lesion.change is Change.STABLE
    assert lesion.prior_volume_ml == pytest.approx(8**3 * VOXEL_ML)


@pytest.mark.parametrize(
    ("place", "change"),
    [(np.s_[8:16, 8:16, 8:19], Change.GROWN), (np.s_[8:16, 8:16, 8:14], Change.SHRUNK), (BALL, Change.STABLE)],
)
def test_growth_and_shrinking_are_by_volume(place: Place, change: Change) -> None:
    """A quarter of the volume makes the difference."""
    assert compared(build_current(place), build_prior(BALL)).lesions[0].change is change


def test_a_lesion_without_a_predecessor_is_new() -> None:
    """Its tracking UID is its own and stays the same in a repeated run."""
    first, second = (compared(build_current(FAR_BALL), build_prior(BALL)).lesions[0] for _ in range(2))
    assert first.change is Change.NEW
    assert first.prior_volume_ml is None
    assert first.tracking_uid == second.tracking_uid != "2.25.1"


def test_a_lesion_without_a_successor_is_gone() -> None:
    """It is listed with the volume it had."""
    gone = compared(build_current(FAR_BALL), build_prior(BALL)).gone
    assert [(lesion.tracking_uid, lesion.prior_volume_ml) for lesion in gone] == [
        ("2.25.1", pytest.approx(8**3 * 0.008))
    ]


def test_where_the_earlier_study_shows_nothing_nothing_is_new() -> None:
    """Not imaged then is not the same as not there then."""
    lesion = compared(build_current(FAR_BALL), build_prior(BALL, valid=np.s_[:, :, :30])).lesions[0]
    assert lesion.change is Change.NOT_COMPARED


def test_what_the_current_study_does_not_show_is_not_gone() -> None:
    """A lesion beyond the edge of the current series has no labels on its grid."""
    prior = build_prior(BALL, FAR_BALL)
    prior.labels[prior.labels == 2] = 0
    assert compared(build_current(BALL), prior).gone == ()


@pytest.mark.parametrize(
    ("current", "earlier", "valid"),
    [
        (np.s_[0:4, 8:16, 8:16], np.s_[0:8, 8:16, 8:16], np.s_[:]),
        (np.s_[0:8, 8:16, 8:16], np.s_[0:4, 8:16, 8:16], np.s_[:]),
        (np.s_[2:6, 8:16, 8:16], np.s_[0:4, 8:16, 8:16], np.s_[:]),
        (np.s_[8:16, 8:16, 8:16], np.s_[12:16, 8:16, 8:16], np.s_[12:]),
    ],
    ids=["the current study ends in it", "grown", "an earlier one was cut there", "the earlier study begins in it"],
)
def test_a_lesion_that_is_cut_off_keeps_its_name_and_is_not_compared(
    current: Place, earlier: Place, valid: Place
) -> None:
    """What lies beyond the images has no volume, so nothing shrank or grew."""
    result = compared(build_current(current), build_prior(earlier, valid=valid))
    (lesion,) = result.lesions
    assert (lesion.tracking_uid, lesion.change, lesion.prior_volume_ml) == ("2.25.1", Change.NOT_COMPARED, None)
    assert result.gone == ()


RIGHT_OF_40 = np.s_[:, :, :40]


@pytest.mark.parametrize(
    ("place", "shown"),
    [(np.s_[0:4, 8:16, 8:16], np.s_[:]), (np.s_[8:20, 8:20, 20:40], RIGHT_OF_40)],
    ids=["the last slice", "the circle"],
)
def test_an_earlier_lesion_that_the_current_study_ends_within_is_not_gone(place: Place, shown: Place) -> None:
    """The part that is known here may be all that was found: nothing says what became of the rest."""
    result = compared(build_current(FAR_BALL), build_prior(place), shown=shown, lungs_until=40)
    assert result.gone == ()
    assert stage_of(result, 10.0) is not Stage.ABSORPTION


@pytest.mark.parametrize(
    ("current", "earlier", "shown", "valid"),
    [
        (np.s_[8:20, 8:20, 32:40], np.s_[8:20, 8:20, 32:40], RIGHT_OF_40, np.s_[:]),
        (np.s_[8:20, 8:20, 33:40], np.s_[8:20, 8:20, 32:40], np.s_[:], RIGHT_OF_40),
        (np.s_[8:20, 8:20, 33:38], np.s_[8:20, 8:20, 32:40], np.s_[:], RIGHT_OF_40),
        (np.s_[8:20, 8:20, 44:60], np.s_[8:20, 8:20, 44:60], np.s_[:], np.s_[:]),
    ],
    ids=["this study", "the earlier study", "the earlier study, it has shrunk", "the images of both"],
)
def test_a_lesion_that_a_circle_ends_in_is_not_compared(
    current: Place, earlier: Place, shown: Place, valid: Place
) -> None:
    """Beside the circle of a reconstruction nothing was imaged, as beyond the images; so nothing is in absorption."""
    prior = build_prior(earlier, valid=valid)
    prior = replace(prior, lesions=(replace(prior.lesions[0], volume_ml=18.4),))
    result = compared(build_current(current), prior, shown=shown)
    (lesion,) = result.lesions
    assert (lesion.tracking_uid, lesion.change, lesion.prior_volume_ml) == ("2.25.1", Change.NOT_COMPARED, None)
    assert stage_of(result, 10.0) is not Stage.ABSORPTION


def test_beside_a_cut_through_the_lungs_of_this_study_nothing_is_gone_and_nothing_shrinks() -> None:
    """Networks miss lesions there; what they find in a place that the earlier study shows well is new all the same."""
    near, far = np.s_[8:16, 8:16, 33:38], np.s_[8:16, 8:16, 8:16]
    result = compared(build_current(near), build_prior(near, far), shown=RIGHT_OF_40)
    assert [lesion.change for lesion in result.lesions] == [Change.NOT_COMPARED]
    assert [lesion.tracking_uid for lesion in result.gone] == ["2.25.2"]
    assert compared(build_current(), build_prior(near), shown=RIGHT_OF_40).gone == ()
    assert compared(build_current(near), build_prior(), shown=RIGHT_OF_40).lesions[0].change is Change.NEW


def test_beside_a_cut_through_the_lungs_of_the_earlier_study_nothing_is_new_and_nothing_grows() -> None:
    """It may have been missed then; what was found then and is not now is gone all the same."""
    near, far = np.s_[8:16, 8:16, 33:38], np.s_[8:16, 8:16, 8:16]
    for earlier in (build_prior(near, valid=RIGHT_OF_40), build_prior(valid=RIGHT_OF_40)):
        changes = {one.lesion.first_voxel[2]: one.change for one in compared(build_current(near, far), earlier).lesions}
        assert changes == {33: Change.NOT_COMPARED, 8: Change.NEW}
    gone = compared(build_current(), build_prior(near, valid=RIGHT_OF_40)).gone
    assert [lesion.tracking_uid for lesion in gone] == ["2.25.1"]


def test_a_circle_around_whole_lungs_keeps_nothing_from_being_compared() -> None:
    """However near to it they are, and a lesion in them: the chest wall lies between."""
    place = np.s_[8:16, 8:16, 29:36]
    prior = build_prior(place, lungs_until=38)
    (lesion,) = compared(build_current(place), prior, shown=RIGHT_OF_40, lungs_until=38).lesions
    assert lesion.change is Change.STABLE


def test_a_lesion_that_barely_touches_the_end_of_the_images_is_compared() -> None:
    """The section there is small against the rest, and so is what may lie beyond."""
    place, tip = np.s_[2:10, 8:16, 8:16], np.s_[0:2, 10:13, 10:13]
    current, prior = build_current(place, tip), build_prior(place)
    prior.labels[tip] = 1
    (lesion,) = compared(current, prior).lesions
    assert lesion.change is Change.STABLE


def test_merged_lesions_add_up() -> None:
    """One lesion where two were: compared with both, named after the one it shares more with."""
    current = build_current(BOTH)
    result = compared(current, build_prior(BALL, np.s_[8:16, 8:16, 36:48]))
    assert result.lesions[0].tracking_uid == "2.25.2"
    assert result.lesions[0].prior_volume_ml == pytest.approx((8**3 + 8 * 8 * 12) * VOXEL_ML)
    assert result.gone == ()


def test_a_lesion_that_split_hands_on_its_name_once() -> None:
    """Its volume is shared out, so that the sum before stays the sum before."""
    result = compared(build_current(BALL, FAR_BALL), build_prior(BOTH))
    assert [lesion.tracking_uid for lesion in result.lesions].count("2.25.1") == 1
    shares = [lesion.prior_volume_ml or 0.0 for lesion in result.lesions]
    assert sum(shares) == pytest.approx(8 * 8 * 40 * VOXEL_ML)
    assert {lesion.change for lesion in result.lesions} == {Change.SHRUNK}


def test_without_an_earlier_study_nothing_is_compared() -> None:
    """Tracking UIDs differ from lesion to lesion and from series to series."""
    found = build_current(BALL, FAR_BALL)
    first, other = without_prior(found, "1.2/1.2.3"), without_prior(found, "1.2/1.2.4")
    assert {lesion.change for lesion in first.lesions} == {Change.NOT_COMPARED}
    assert len({lesion.tracking_uid for lesion in (*first.lesions, *other.lesions)}) == 4


def test_small_changes_of_small_lesions_are_stable() -> None:
    """0.1 ml more is half as much again, and no growth."""
    assert volume_change(0.3, 0.2) is Change.STABLE
    assert volume_change(0.45, 0.2) is Change.GROWN


@given(st.floats(0.1, 1e4), st.floats(0.1, 1e4))
def test_growth_backwards_is_no_growth(first_ml: float, second_ml: float) -> None:
    """What grew one way does not grow the other way too."""
    changes = {volume_change(first_ml, second_ml), volume_change(second_ml, first_ml)}
    assert changes != {Change.GROWN}
    assert changes != {Change.SHRUNK}


def test_tracking_uids_are_valid_and_short_names_are_short() -> None:
    """2.25 and a number of a UUID, at most 64 characters (PS3.5 B.2)."""
    lesion = without_prior(build_current(BALL), "1.2/1.2.3").lesions[0]
    assert lesion.tracking_uid.startswith("2.25.")
    assert len(lesion.tracking_uid) <= 64
    assert lesion.tracking_id == tracking_id(lesion.tracking_uid)
    assert len(lesion.tracking_id) == len("Lesion 3F2A")
