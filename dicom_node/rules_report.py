"""What rules would do to a received study, for people who ask; nothing is changed."""

from collections.abc import Iterator
from dataclasses import dataclass

from config.rules import RuleSettings
from config.settings import Settings
from dicom_node.rules import Misfit, RuleTrial, image_reader, trials
from dicom_node.rules_decision import decision_by, destinations_by, results_in_words
from storage.index import Index
from storage.rule_records import RuledDestination, RuleDecision, RuledStudy


@dataclass(frozen=True, slots=True, kw_only=True)
class RulesTest:
    """What `rules test --json` prints."""

    study_instance_uid: str
    rule: str
    """Name of the rule that decides; empty where none fits."""
    runs: bool
    """Whether the study would be analysed."""
    priority: str
    destinations: tuple[RuledDestination, ...]
    """Who would be sent which results; empty: nobody."""
    why: str
    """As the history of the study would say it."""
    trials: tuple[RuleTrial, ...]
    """Of every rule, also of those that are not reached."""
    decided: RuleDecision | None
    """What was decided about the study and holds until it runs anew; None before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RulesList:
    """What `rules list --json` prints."""

    rules: tuple[RuleSettings, ...]
    """In the order in which they are tried."""


def tested(settings: Settings, index: Index, study_instance_uid: str) -> RulesTest:
    """What the rules of these settings would decide about a study, and why each of them fits or not.

    Raises:
        UnknownStudyError: The index has no such study.
    """
    study = index.rules.facts_of(study_instance_uid)
    decision = decision_by(settings, study)
    return RulesTest(
        study_instance_uid=study_instance_uid,
        rule=decision.rule,
        runs=decision.runs,
        priority=decision.priority,
        destinations=_destinations(settings, decision),
        why=decision.why,
        trials=_all_trials(settings, study),
        decided=index.rules.decision_of(study_instance_uid),
    )


def report_in_words(test: RulesTest) -> Iterator[str]:
    """The report as lines for people."""
    yield test.why or "the site has no rules: run, normal priority"
    if test.runs:
        yield f"results to {results_in_words(test.destinations)}"
    for trial in test.trials:
        yield from _trial_lines(trial, decides=trial.name == test.rule)
    if test.decided and test.decided.why:
        yield f"decided already, and holds until it runs again: {test.decided.why}"


def rule_in_words(rule: RuleSettings) -> str:
    """What a rule does and which studies it is for, on one line."""
    does = f"run, {rule.priority} priority" if rule.run else "do not run"
    named = [RuledDestination(name=name, results=results) for name, results in rule.results.items()]
    sent = f"; results to {results_in_words(named)}" if named else ""
    lines = rule.match.model_dump(mode="json", exclude_defaults=True)
    match = "; ".join(f"{key} {_value(value)}" for key, value in lines.items()) or "every study"
    return f"{does}{sent} - {match}"


def misfit_in_words(misfit: Misfit, *, with_text: bool = True) -> str:
    """Why a line of a rule does not fit; without what the data set says for readers who must not see it."""
    found = f", and it is {misfit.found or 'empty'}" if with_text else ""
    return f"{misfit.key} asks for {misfit.wanted}{found}"


def _value(value: object) -> str:
    return ", ".join(str(one) for one in value) if isinstance(value, list) else str(value)


def _all_trials(settings: Settings, study: RuledStudy) -> tuple[RuleTrial, ...]:
    return tuple(trials(settings.rule, study, read=image_reader(settings.data_dir)))


def _destinations(settings: Settings, decision: RuleDecision) -> tuple[RuledDestination, ...]:
    if not decision.runs:
        return ()
    peers = destinations_by(settings, decision)
    return tuple(RuledDestination(name=peer.name, results=tuple(peer.results)) for peer in peers)


def _trial_lines(trial: RuleTrial, *, decides: bool) -> Iterator[str]:
    outcome = "fits, but a rule before it decided" if trial.fits else "does not fit"
    yield f"rule {trial.number} {trial.name}: {'decides' if decides else outcome}"
    yield from (f"  study: {misfit_in_words(misfit)}" for misfit in trial.misfits)
    yield from _series_lines(trial)


def _series_lines(trial: RuleTrial) -> Iterator[str]:
    for one in trial.series:
        words = "fits" if one.fits else "; ".join(misfit_in_words(misfit) for misfit in one.misfits)
        yield f"  series {one.series_instance_uid} ({one.modality}, {one.description or 'no description'}): {words}"
