"""The stage of the disease."""

import pytest

from pipeline.compare import ComparedLesion, Comparison, volume_change
from pipeline.findings import Change, GoneLesion, LesionKind, Side, Stage
from pipeline.lesions import MeasuredLesion
from pipeline.stage import stage_of

GLASS, DENSE = LesionKind.GROUND_GLASS, LesionKind.CONSOLIDATION


def build_lesion(kind: LesionKind, volume_ml: float = 10.0, prior_ml: float | None = None) -> ComparedLesion:
    """One lesion, compared where a prior volume is given."""
    measured = MeasuredLesion(
        number=1,
        kind=kind,
        side=Side.LEFT,
        volume_ml=volume_ml,
        mean_hu=-500.0,
        sd_hu=100.0,
        first_voxel=(0, 0, 0),
    )
    change = Change.NOT_COMPARED if prior_ml is None else volume_change(volume_ml, prior_ml)
    return ComparedLesion(
        lesion=measured, tracking_uid="2.25.1", tracking_id="Lesion 1", change=change, prior_volume_ml=prior_ml
    )


@pytest.mark.parametrize(
    ("kind", "percent", "stage"),
    [
        (GLASS, 2.0, Stage.EARLY),
        (DENSE, 2.0, Stage.INDETERMINATE),
        (GLASS, 20.0, Stage.INDETERMINATE),
        (DENSE, 20.0, Stage.ADVANCED),
        (GLASS, 60.0, Stage.SEVERE),
    ],
)
def test_a_single_study_says_only_what_it_can(kind: LesionKind, percent: float, stage: Stage) -> None:
    """Much ground-glass may come or go: without an earlier study that stays open."""
    assert stage_of(Comparison(lesions=(build_lesion(kind),), gone=()), percent) is stage


@pytest.mark.parametrize(
    ("prior_ml", "percent", "stage"),
    [
        (20.0, 20.0, Stage.ABSORPTION),
        (5.0, 20.0, Stage.ADVANCED),
        (5.0, 2.0, Stage.EARLY),
        (10.0, 20.0, Stage.INDETERMINATE),
        (90.0, 60.0, Stage.SEVERE),
    ],
)
def test_an_earlier_study_shows_the_direction(prior_ml: float, percent: float, stage: Stage) -> None:
    """Ground-glass that shrinks is absorbed, that grows is not."""
    assert stage_of(Comparison(lesions=(build_lesion(GLASS, prior_ml=prior_ml),), gone=()), percent) is stage


def test_lesions_that_are_gone_count_for_the_direction() -> None:
    """A stable rest of a disease that mostly vanished is absorption."""
    gone = GoneLesion(tracking_uid="2.25.2", tracking_id="Lesion 2", kind=GLASS, side=Side.LEFT, prior_volume_ml=40.0)
    comparison = Comparison(lesions=(build_lesion(GLASS, prior_ml=10.0),), gone=(gone,))
    assert stage_of(comparison, 2.0) is Stage.ABSORPTION


def test_no_lesion_is_no_stage() -> None:
    """Even where lesions are gone."""
    assert stage_of(Comparison(lesions=(), gone=()), 0.0) is Stage.NO_LESION
