"""What the findings say in plain sentences, for people who read a report as text."""

from collections.abc import Iterator
from typing import Final

from dicom_node.wording import lungs_in_words, missing_in_words, percent_in_words
from pipeline.findings import (
    Algorithm,
    Analysis,
    Change,
    DroppedPrior,
    Findings,
    GoneLesion,
    Lesion,
    LesionKind,
    Stage,
    UsedPrior,
)

INTENDED_USE: Final = "Not for diagnostic use. Made by an algorithm for research; no person has checked it."
SYNTHETIC_TRAINING: Final = (
    "The weights were trained on synthetic data only; they show that the node works, not that a patient is ill."
)
LESION_SCORES: Final = "Scores of lesions are not calibrated: 0.8 does not mean a probability of 80 percent."
NO_CALIBRATION: Final = "The patient score is not calibrated: 0.8 does not mean a probability of 80 percent."

MOST_DIGITS: Final = 17
"""Tell any two double numbers apart (IEEE 754)."""

KIND: Final = {LesionKind.GROUND_GLASS: "ground glass", LesionKind.CONSOLIDATION: "consolidation"}
STAGE: Final = {
    Stage.NO_LESION: "no lesion found",
    Stage.EARLY: "early",
    Stage.ADVANCED: "advanced (progressive)",
    Stage.SEVERE: "severe (peak)",
    Stage.ABSORPTION: "absorption",
    Stage.INDETERMINATE: "cannot be told",
}
CHANGE: Final = {
    Change.NEW: "New",
    Change.GROWN: "Grown",
    Change.STABLE: "Stable",
    Change.SHRUNK: "Shrunk",
    Change.GONE: "No longer seen",
    Change.NOT_COMPARED: "Not compared with a prior study",
}


def conclusion(findings: Findings) -> str:
    """What was found, in one or two sentences."""
    missing = missing_in_words(findings.missing_lungs)
    if not findings.lesions:
        return _nothing_found(findings, missing)
    shares = ", ".join(_shares(findings))
    parts = f"{shares}; {missing}" if missing else shares
    count = len(findings.lesions)
    volume_ml = sum(lesion.volume_ml for lesion in findings.lesions)
    found = (
        f"{count} lesions were found, {volume_ml:.1f} cm3 in all"
        if count > 1
        else f"1 lesion of {volume_ml:.1f} cm3 was found"
    )
    return (
        f"{found}; {percent_in_words(findings.involvement_percent)} of {lungs_in_words(findings.missing_lungs)} "
        f"involved ({parts}). Stage on CT (Pan 2020): {STAGE[findings.stage]}."
    )


def _nothing_found(findings: Findings, missing: str) -> str:
    shares = ", ".join(_shares(findings))
    unknown = f" {missing.capitalize()}: nothing is known of it." if missing else ""
    return f"No lesion was found in {searched_lungs(findings)} (involved: {shares}).{unknown}"


def searched_lungs(findings: Findings) -> str:
    """`the lungs`, or `the right lung` where the other was not found."""
    found = [lung.side.value for lung in findings.lungs if lung.involvement_percent is not None]
    return f"the {found[0]} lung" if len(found) == 1 else "the lungs"


def _shares(findings: Findings) -> Iterator[str]:
    """How much of each lung that was found is involved."""
    for lung in findings.lungs:
        if lung.involvement_percent is not None:
            yield f"{lung.side.value} lung {percent_in_words(lung.involvement_percent)}"


def searched(analysis: Analysis) -> str:
    """Where lesions were looked for."""
    lungs = [
        f"the {lung.side.value} lung ({lung.volume_ml:.0f} cm3)"
        for lung in analysis.findings.lungs
        if lung.volume_ml > 0
    ]
    count, spacing_mm = analysis.volume.grid.shape[0], analysis.volume.grid.slice_spacing_mm
    return (
        "Ground glass and consolidation were looked for in "
        f"{' and '.join(lungs)}, on {count} slices {spacing_mm:g} mm apart; nothing outside the lungs was."
    )


def limits(findings: Findings) -> tuple[str, ...]:
    """What the report must be read with: the weights, the smallest lesion, what was not covered or may be wrong."""
    notes = [SYNTHETIC_TRAINING] if findings.algorithm.synthetic_training_only else []
    smallest_ml = findings.algorithm.thresholds.get("smallest_lesion_ml")
    smallest = [] if smallest_ml is None else [f"Lesions of less than {smallest_ml:g} cm3 are not reported."]
    return (*notes, *findings.qualifications, *smallest)


def score_meaning(findings: Findings) -> str:
    """Whether the patient score is a probability, and among whom."""
    calibration = findings.algorithm.calibration
    if calibration is None:
        return NO_CALIBRATION
    return (
        f"The patient score of {findings.patient_score:.2f} is a probability among {calibration.population} only "
        f"({calibration.studies} studies: {calibration.calibrated_on}). It does not say how likely this patient is ill."
    )


def decision(findings: Findings) -> str | None:
    """What is decided at the default operating point, and why; None when none was measured."""
    point = findings.algorithm.default_point
    if point is None:
        return None
    reached = "at least" if findings.patient_score >= point.threshold else "below"
    score = (
        f"the patient score of {_told_apart(findings.patient_score, point.threshold)} is {reached} {point.threshold:g}"
    )
    return (
        f"{'Positive' if findings.is_positive else 'Negative'} at the default operating point: "
        f"{score if findings.lesions else 'no lesion is reported'}. There, "
        f"sensitivity was {100 * point.sensitivity:.0f} % on {point.diseased} and specificity "
        f"{100 * point.specificity:.0f} % on {point.healthy} validation studies."
    )


def _told_apart(score: float, threshold: float) -> str:
    """The score with two digits, or as many as it takes to lie on its side of the threshold as that is printed."""
    is_reached, printed = score >= threshold, float(f"{threshold:g}")
    texts = [f"{score:.{digits}f}" for digits in range(2, MOST_DIGITS + 1)]
    return next((text for text in texts if (float(text) >= printed) == is_reached), texts[-1])


def series_analysed(findings: Findings) -> str:
    """Which series was read, and why that one."""
    return f"{findings.series_description or 'without description'}: {findings.series_reason}"


def made_by(algorithm: Algorithm) -> str:
    """What reproduces the answer: algorithm, version, weights, thresholds."""
    thresholds = ", ".join(f"{name} {value:g}" for name, value in sorted(algorithm.thresholds.items()))
    return (
        f"Algorithm: {algorithm.name}, version {algorithm.version}, weights sha256 {algorithm.weights_sha256}; "
        f"thresholds: {thresholds or 'none'}."
    )


def name_of_prior(prior: UsedPrior) -> str:
    """An earlier study by its date as its own scanner has it."""
    named = f"CT of {prior.acquired_at:%Y-%m-%d}" if prior.acquired_at else "CT of unknown date"
    return named if prior.interval_days is None else f"{named}, {prior.interval_days:.1f} days earlier"


def compared_with(findings: Findings, lesion: Lesion) -> UsedPrior | None:
    """The study that the change of a lesion is against."""
    if lesion.change is Change.NOT_COMPARED or not findings.priors_used:
        return None
    return findings.priors_used[0]


def describe_lesion(lesion: Lesion, findings: Findings) -> str:
    """One lesion with its numbers."""
    return (
        f"{lesion.tracking_id}: {KIND[lesion.kind]}, {lesion.side.value} lung, {lesion.volume_ml:.2f} cm3 "
        f"({percent_in_words(lesion.share_of_lung_percent, 2)} of that lung), mean {lesion.mean_hu:.0f} HU, SD {lesion.sd_hu:.0f} HU, "
        f"score {lesion.score:.2f}. {_describe_change(lesion, compared_with(findings, lesion))}."
    )


def describe_gone(lesion: GoneLesion) -> str:
    """A lesion that is no longer seen."""
    return (
        f"{lesion.tracking_id}: {KIND[lesion.kind]}, {lesion.side.value} lung, no longer seen; "
        f"{lesion.prior_volume_ml:.2f} cm3 in the prior study."
    )


def describe_used(prior: UsedPrior) -> str:
    """An earlier study that took part."""
    return f"Compared with: {name_of_prior(prior)}, study {prior.study_instance_uid}."


def describe_dropped(prior: DroppedPrior) -> str:
    """An earlier study that did not."""
    return f"Not used: study {prior.study_instance_uid}. {prior.reason}"


def describe_lungs(findings: Findings) -> Iterator[str]:
    """Each lung with its numbers, or that it was not found."""
    for lung in findings.lungs:
        name = f"{lung.side.value.capitalize()} lung"
        if lung.involvement_percent is None:
            yield f"{name}: not found."
        else:
            yield (
                f"{name}: {lung.volume_ml:.0f} cm3, of which {lung.lesion_volume_ml:.2f} cm3 "
                f"({percent_in_words(lung.involvement_percent, 2)}) is involved."
            )


def _describe_change(lesion: Lesion, prior: UsedPrior | None) -> str:
    if prior is None:
        return CHANGE[lesion.change]
    before_ml = lesion.prior_volume_ml
    change_ml = lesion.volume_ml - (before_ml or 0.0)
    share = f", {100 * change_ml / before_ml:+.0f} %" if before_ml else ""
    numbers = "" if before_ml is None else f" by {change_ml:+.2f} cm3{share}"
    return f"{CHANGE[lesion.change]}{numbers} since the {name_of_prior(prior)}"
