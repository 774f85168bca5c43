"""Which series of a received study is read, and why not the others: for the pipeline, and for people who ask."""

import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from config.settings import Peer, Settings
from dicom_node.wording import counted
from pipeline.choose import refusal_of
from pipeline.series_rules import RuleAction, SeriesRule, SourceRules
from pipeline.survey import SeriesVerdict, survey_series
from storage.records import ResultSet, StoredInstance

MOST_SHOWN = 8
"""Lines about series that `study show` prints."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesChoiceReport:
    """What `study choose --json` prints."""

    study_instance_uid: str
    chosen: str | None
    """Series Instance UID; None when no series can be read."""
    refused_because: str
    """A plain sentence; empty when a series was chosen."""
    series: tuple[SeriesVerdict, ...]
    """By series number."""
    unreadable: tuple[str, ...]
    """Files that could not be read, with the reason."""
    rules: tuple[SourceRules, ...]
    """Of the site, with the series that they were applied to."""
    criteria: tuple[str, ...]
    """What decides between series that can be read, the first difference first."""


def rules_for_study(settings: Settings, instances: Iterable[StoredInstance]) -> tuple[SourceRules, ...]:
    """The rules of each peer that sent a part of the study, as plain data; peers without rules are not named.

    An object belongs to the peer with the AE title that it was sent by.
    """
    sent: dict[str, set[str]] = defaultdict(set)
    for instance in instances:
        sent[instance.calling_aet].add(instance.series_instance_uid)
    return tuple(
        SourceRules(
            source=peer.name, series_instance_uids=tuple(sorted(sent[peer.ae_title])), rules=tuple(_rules_of(peer))
        )
        for peer in settings.peers
        if peer.series and peer.ae_title in sent
    )


def _rules_of(peer: Peer) -> Iterable[SeriesRule]:
    for rule in peer.series:
        yield SeriesRule(
            action=RuleAction(rule.action),
            descriptions=rule.description,
            kernels=rule.kernel,
            thinnest_mm=rule.thinnest_mm,
            thickest_mm=rule.thickest_mm,
        )


def dry_run(settings: Settings, study_instance_uid: str, instances: Sequence[StoredInstance]) -> SeriesChoiceReport:
    """What the pipeline would choose now, with the rules as they are now; nothing is changed.

    Args:
        settings: For the data folder, the rules and the gantry tilt.
        study_instance_uid: The study.
        instances: What is stored of it.
    """
    rules = rules_for_study(settings, instances)
    paths = [settings.data_dir / instance.path for instance in instances]
    survey = survey_series(paths, rules=rules, corrects_tilt=settings.pipeline.correct_gantry_tilt)
    return SeriesChoiceReport(
        study_instance_uid=study_instance_uid,
        chosen=survey.chosen.series_instance_uid if survey.chosen else None,
        refused_because="" if survey.chosen else refusal_of(survey).reason,
        series=tuple(survey.verdict(series) for series in survey.judged),
        unreadable=tuple(f"{file.path.name}: {file.reason}" for file in survey.headers.unreadable),
        rules=rules,
        criteria=tuple(criterion.name for criterion in survey.table),
    )


def report_in_words(report: SeriesChoiceReport) -> list[str]:
    """The report as lines for people, the chosen series first."""
    lines = [report.refused_because] if report.refused_because else []
    for verdict in sorted(report.series, key=lambda verdict: verdict.series_instance_uid != report.chosen):
        lines += _verdict_lines(verdict)
    lines += [f"unreadable: {file}" for file in report.unreadable]
    return lines


def _verdict_lines(verdict: SeriesVerdict) -> list[str]:
    title = (
        f"{_name(verdict.number)} ({verdict.description or 'no description'}), {counted(verdict.image_count, 'image')}"
    )
    return [
        f"{title}: {verdict.outcome.replace('_', ' ')}",
        f"  {verdict.reason}",
        *(f"  + {words}" for words in verdict.speaks_for),
        *(f"  - {words}" for words in verdict.speaks_against),
        *(f"  ! {words}" for words in verdict.notes),
    ]


def result_choice_in_words(result: ResultSet) -> list[str]:
    """Which series a result was made of and why not the others, one line each, from its findings.

    Empty where the findings cannot be read: the result itself says so elsewhere.
    """
    path = next((file.path for file in result.files if file.path.name == "findings.json"), None)
    series = _series_of(path) if path else {}
    if not series:
        return []
    others = [f"not {_name(other.get('number'))}: {other['reason']}" for other in series["passed_over"]]
    more = len(others) - MOST_SHOWN
    tail = [f"and {more} more: `dicom-node study choose UID` shows all"] if more > 0 else []
    return [f"{_name(series.get('number'))}: {series['reason']}", *others[:MOST_SHOWN], *tail]


def _series_of(path: Path) -> dict[str, Any]:
    """The part of the findings on the series; empty where there is none."""
    try:
        series = json.loads(path.read_bytes())["series"]
    except (OSError, ValueError, KeyError, TypeError):
        return {}
    return series if isinstance(series, dict) else {}


def _name(number: int | None) -> str:
    return "series without a number" if number is None else f"series {number}"
