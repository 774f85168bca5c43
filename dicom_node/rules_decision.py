"""What the rules of a site decide about a study: taken once, recorded, and held to until the study runs anew."""

import json
from collections.abc import Sequence

from config.rules import RuleSettings
from config.settings import Peer, Settings
from dicom_node.rules import image_reader, trials
from storage.index import Index
from storage.rule_records import RuledDestination, RuleDecision, RuledStudy

_ALL_THE_SAME = "`dicom-node study retry UID` runs it all the same"


def decision_for(settings: Settings, index: Index, study_instance_uid: str) -> RuleDecision:
    """What holds for a study; where nothing was decided yet, the rules decide now.

    Raises:
        IllegalTransitionError: The study stands where nothing is decided about it.
        UnknownStudyError: The index has no such study.
    """
    known = index.rules.decision_of(study_instance_uid)
    if known:
        return known
    decision = decision_by(settings, index.rules.facts_of(study_instance_uid))
    return index.rules.decide(study_instance_uid, decision)


def decision_by(settings: Settings, study: RuledStudy) -> RuleDecision:
    """What the rules of these settings decide; nothing is recorded."""
    tried = trials(settings.rule, study, read=image_reader(settings.data_dir))
    fitting = next((trial for trial in tried if trial.fits), None)
    if fitting is None:
        why = "no rule of the site fits: run, normal priority" if settings.rule else ""
        return RuleDecision(rule="", rule_text="", runs=True, priority="normal", destinations=None, why=why)
    rule = settings.rule[fitting.number - 1]
    runs = rule.run or study.is_asked_for
    return RuleDecision(
        rule=rule.name,
        rule_text=text_of(rule),
        runs=runs,
        priority=rule.priority,
        destinations=_destinations_of(rule),
        why=_words(rule, runs=runs),
    )


def text_of(rule: RuleSettings) -> str:
    """A rule as text that changes exactly when what it says does."""
    return json.dumps(rule.model_dump(mode="json", exclude_defaults=True), sort_keys=True)


def destinations_by(settings: Settings, decision: RuleDecision | None) -> tuple[Peer, ...]:
    """Who is sent results of a study: the peers that receive some, with what the decision gives them.

    A peer that the decision names and that is no longer configured is left out.
    """
    if decision is None or decision.destinations is None:
        return settings.destinations
    given = {one.name: one.results for one in decision.destinations}
    return tuple(
        peer.model_copy(update={"results": given[peer.name]}) for peer in settings.destinations if given.get(peer.name)
    )


def destinations_of_study(settings: Settings, index: Index, study_instance_uid: str) -> tuple[Peer, ...]:
    """Who is sent results of a study, by what was decided about it.

    Raises:
        UnknownStudyError: The index has no such study.
    """
    return destinations_by(settings, index.rules.decision_of(study_instance_uid))


def results_in_words(destinations: Sequence[RuledDestination]) -> str:
    """`pacs (sr, seg)`, or that nobody gets any."""
    named = [f"{one.name} ({', '.join(one.results)})" for one in destinations if one.results]
    return ", ".join(named) or "nobody"


def _destinations_of(rule: RuleSettings) -> tuple[RuledDestination, ...] | None:
    if not rule.results:
        return None
    return tuple(RuledDestination(name=name, results=results) for name, results in rule.results.items())


def _words(rule: RuleSettings, *, runs: bool) -> str:
    """For the history of the study."""
    reason = f": {rule.reason}" if rule.reason else ""
    if not rule.run and runs:
        return f"rule {rule.name} says not to run it{reason}; an operator asked for it, so it is run"
    if not rule.run:
        return f"not run by rule {rule.name}{reason}; {_ALL_THE_SAME}"
    destinations = _destinations_of(rule)
    sent = f"; results to {results_in_words(destinations)}" if destinations is not None else ""
    return f"rule {rule.name}{reason}: run, {rule.priority} priority{sent}"
