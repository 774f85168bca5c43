"""The stage of the disease, by a rule that admits when it cannot tell."""

from pipeline.compare import Comparison, volume_change
from pipeline.findings import Change, LesionKind, Stage

EARLY_BELOW_PERCENT = 5.0
SEVERE_FROM_PERCENT = 50.0
"""Of both lungs. Classes of the CT score of Pan et al., "Time Course of Lung Changes at Chest CT during Recovery from
Coronavirus Disease 2019" (Radiology 2020; 295:715-721), which counts involvement as under 5, 5-25, 26-49, 50-75 and
over 75 percent."""

DENSE_SHARE = 0.25
"""Of the lesion volume. Pan et al.: ground-glass prevails early, consolidation at the peak, ground-glass again in
absorption; where consolidation begins to count is our choice."""

# (little disease, dense) of a study that cannot be compared: much ground-glass may come or go, so may a little
# consolidation.
_ALONE = {
    (True, False): Stage.EARLY,
    (True, True): Stage.INDETERMINATE,
    (False, False): Stage.INDETERMINATE,
    (False, True): Stage.ADVANCED,
}


def stage_of(comparison: Comparison, involvement_percent: float) -> Stage:
    """The stage that involvement, consolidation and change against the earlier study agree on.

    Args:
        comparison: Lesions with their change.
        involvement_percent: Lesion volume by volume of both lungs.
    """
    if not comparison.lesions:
        return Stage.NO_LESION
    if involvement_percent >= SEVERE_FROM_PERCENT:
        return Stage.SEVERE
    is_little = involvement_percent < EARLY_BELOW_PERCENT
    trend = _trend(comparison)
    if trend is Change.SHRUNK:
        return Stage.ABSORPTION
    if trend is Change.GROWN:
        return Stage.EARLY if is_little else Stage.ADVANCED
    return _ALONE[is_little, _dense_share(comparison) >= DENSE_SHARE]


def _trend(comparison: Comparison) -> Change:
    """How all lesions together changed; `NOT_COMPARED` without an earlier study."""
    compared = [lesion for lesion in comparison.lesions if lesion.change is not Change.NOT_COMPARED]
    if not compared and not comparison.gone:
        return Change.NOT_COMPARED
    now_ml = sum(lesion.lesion.volume_ml for lesion in compared)
    before_ml = sum(lesion.prior_volume_ml or 0.0 for lesion in compared)
    before_ml += sum(lesion.prior_volume_ml for lesion in comparison.gone)
    return volume_change(now_ml, before_ml)


def _dense_share(comparison: Comparison) -> float:
    total_ml = sum(lesion.lesion.volume_ml for lesion in comparison.lesions)
    dense_ml = sum(
        lesion.lesion.volume_ml for lesion in comparison.lesions if lesion.lesion.kind is LesionKind.CONSOLIDATION
    )
    return dense_ml / total_ml
