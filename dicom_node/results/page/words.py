"""Findings as the sentences and figures of the page."""

from collections import Counter
from datetime import datetime
from typing import Final

from dicom_node.results import sentences
from dicom_node.results.sentences import searched_lungs
from dicom_node.wording import lesions_in_words, missing_in_words
from pipeline.findings import Analysis, Change, Findings, Lesion, Side, Stage, UsedPrior

MINUS: Final = "\u2212"
DASH: Final = "\u2013"
DOT: Final = "\u00b7"

SMALLEST_PERCENT: Final = "0.01"

SCOPE: Final = "Nothing else is assessed: no nodules, vessels, pleura, mediastinum, bones."

CHANGE_ORDER: Final = (Change.NEW, Change.GROWN, Change.STABLE, Change.SHRUNK)
CHANGE_WORDS: Final = {
    Change.NEW: "new",
    Change.GROWN: "grown",
    Change.STABLE: "stable",
    Change.SHRUNK: "shrunk",
    Change.GONE: "gone",
    Change.NOT_COMPARED: "not compared",
}


def headline(findings: Findings) -> str:
    """The answer: how many, where, how much."""
    missing = missing_in_words(findings.missing_lungs)
    if not findings.lesions:
        return f"No lesion found in {searched_lungs(findings)}" + (f"; {missing}" if missing else "")
    place, share = _place(findings), percent(findings.involvement_percent)
    found = f"{lesions_in_words(len(findings.lesions))} {place}, {share} of lung volume"
    return f"{found}; {missing}" if missing else found


def second_line(findings: Findings) -> str:
    """What changed since the newest earlier study; without lesions what limits that answer too; may be empty."""
    sentences = [_since(findings)] if findings.priors_used else []
    if not findings.lesions:
        sentences += findings.qualifications
    return " ".join(sentences)


def subline(findings: Findings) -> str:
    """What goes with the answer: volume, trend, stage, score."""
    total_ml = sum(lung.lesion_volume_ml for lung in findings.lungs)
    parts = [f"Total lesion volume {volume(total_ml)} ml"] if findings.lesions else []
    before = next((prior.involvement_percent for prior in findings.priors_used[:1]), None)
    if before is not None:
        parts.append(f"involvement {percent(before)} before, {percent(findings.involvement_percent)} now")
    if findings.stage is not Stage.NO_LESION:
        parts.append(f"stage on CT (Pan 2020): {sentences.STAGE[findings.stage]}")
    # Among whom a calibrated score is a probability takes a sentence: it stands with the limits.
    calibrated = "" if findings.algorithm.calibration else ", not calibrated"
    parts.append(f"patient score {findings.patient_score:.2f}{calibrated}")
    text = "; ".join(parts)
    return f"{text[0].upper()}{text[1:]}."


def limits(findings: Findings) -> list[str]:
    """What the answer must be read with, in plain words."""
    decision = sentences.decision(findings)
    meant = [sentences.score_meaning(findings), *([decision] if decision else [])]
    return [_in_ml(sentence) for sentence in (*sentences.limits(findings), SCOPE, *meant)]


def basis(analysis: Analysis) -> list[str]:
    """Which series was read, and where lesions were looked for."""
    return [f"Series {sentences.series_analysed(analysis.findings)}", _in_ml(sentences.searched(analysis))]


def _in_ml(sentence: str) -> str:
    """The page says ml, which is the same."""
    return sentence.replace("cm3", "ml")


def day(moment: datetime | None) -> str:
    """The date in the own zone of the moment: the one that the scanner shows."""
    return f"{moment:%Y-%m-%d}" if moment else "an unknown date"


def interval(prior: UsedPrior) -> str:
    """How long ago a study was."""
    if prior.interval_days is None:
        return ""
    days = round(prior.interval_days)
    return "1 day" if days == 1 else f"{days} days"


def percent(value: float) -> str:
    """Two digits that count where there are any: `0.42 %`, `4.2 %`, `42 %`; what is less than they show is `< 0.01 %`."""
    text = _two_digits(value)
    return f"< {SMALLEST_PERCENT} %" if value and float(text) == 0 else f"{text} %"


def volume(volume_ml: float) -> str:
    """Two digits that count, and whole ml from ten on."""
    return _two_digits(volume_ml)


def hounsfield(value: float) -> str:
    """Whole units with a true minus sign."""
    return f"{value:.0f}".replace("-", MINUS)


def difference(lesion: Lesion) -> tuple[str, str]:
    """How much larger a lesion is than before, in ml and in percent; empty where it has no earlier volume."""
    before_ml = lesion.prior_volume_ml
    if not before_ml:
        return "", ""
    difference_ml = lesion.volume_ml - before_ml
    relative = 100.0 * difference_ml / before_ml
    return (
        f"{_signed(difference_ml, volume(abs(difference_ml)))} ml",
        f"{_signed(relative, f'{abs(relative):.0f}')} %",
    )


def _signed(value: float, text: str) -> str:
    """`text` of the absolute value with its sign."""
    return f"{MINUS if value < 0 else '+'}{text}"


def _two_digits(value: float) -> str:
    if value == 0:
        return "0"
    if abs(value) >= 9.95:
        return f"{value:.0f}"
    return f"{value:.1f}" if abs(value) >= 0.95 else f"{value:.2f}"


def _place(findings: Findings) -> str:
    sides = {lesion.side for lesion in findings.lesions}
    if len(sides) > 1:
        return "in both lungs"
    return "in the right lung" if Side.RIGHT in sides else "in the left lung"


def _since(findings: Findings) -> str:
    prior = findings.priors_used[0]
    counts = Counter(lesion.change for lesion in findings.lesions)
    parts = [f"{counts[kind]} {CHANGE_WORDS[kind]}" for kind in CHANGE_ORDER if counts[kind]]
    if findings.gone_lesions:
        parts.append(f"{len(findings.gone_lesions)} no longer seen")
    ago = f", {interval(prior)} ago" if prior.interval_days is not None else ""
    apart = counts[Change.NOT_COMPARED]
    if apart and not parts:
        return f"{apart} could not be compared with {day(prior.acquired_at)}{ago}"
    since = f"{', '.join(parts) or 'No change'} since {day(prior.acquired_at)}{ago}"
    return f"{since}; {apart} could not be compared" if apart else since
