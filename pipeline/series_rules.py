"""Rules of a site for the choice of the series."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from fnmatch import fnmatchcase


class RuleAction(StrEnum):
    """What becomes of the series that a rule fits."""

    ONLY = "only"
    """Of series that no such rule fits none is read."""
    EXCLUDE = "exclude"
    PREFER = "prefer"
    """They come before all others, in the order of the rules."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesRule:
    """One rule; a series fits when everything that is given fits. Words are compared without regard to case."""

    action: RuleAction
    descriptions: tuple[str, ...] = ()
    """Patterns with * and ? for Series Description, any of them."""
    kernels: tuple[str, ...] = ()
    """The same for Convolution Kernel."""
    thinnest_mm: float = 0.0
    thickest_mm: float = 1000.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceRules:
    """The rules for what one peer sent."""

    source: str
    """Name of the peer."""
    series_instance_uids: tuple[str, ...]
    """What it sent of this study."""
    rules: tuple[SeriesRule, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleVerdict:
    """What the rules of its source say about a series."""

    objection: str = ""
    """Why it is not read, reads on after "it"; empty where nothing forbids it."""
    preference: int | None = None
    """Number of the first `prefer` rule that fits, from 1."""


def apply_rules(rules: Sequence[SeriesRule], *, description: str, kernel: str, thickness_mm: float) -> RuleVerdict:
    """What rules say about a series.

    Args:
        rules: In the order of the configuration.
        description: Series Description.
        kernel: Convolution Kernel.
        thickness_mm: Of its slices; 0 where it is not known, which fits every range that begins at 0.
    """
    fits = [_fits(rule, description, kernel, thickness_mm) for rule in rules]
    for number, (rule, is_fit) in enumerate(zip(rules, fits, strict=True), start=1):
        if rule.action is RuleAction.EXCLUDE and is_fit:
            return RuleVerdict(objection=f"it is excluded by rule {number} for its sender")
    only = [is_fit for rule, is_fit in zip(rules, fits, strict=True) if rule.action is RuleAction.ONLY]
    if only and not any(only):
        return RuleVerdict(objection="it fits none of the rules for its sender that say what is read only")
    preferred = (
        number
        for number, (rule, is_fit) in enumerate(zip(rules, fits, strict=True), start=1)
        if rule.action is RuleAction.PREFER and is_fit
    )
    return RuleVerdict(preference=next(preferred, None))


def rules_for(sources: Iterable[SourceRules], series_instance_uid: str) -> tuple[SeriesRule, ...]:
    """The rules for a series; of a series that several peers sent, those of all of them."""
    return tuple(rule for one in sources if series_instance_uid in one.series_instance_uids for rule in one.rules)


def _fits(rule: SeriesRule, description: str, kernel: str, thickness_mm: float) -> bool:
    return (
        _matches(rule.descriptions, description)
        and _matches(rule.kernels, kernel)
        and rule.thinnest_mm <= thickness_mm <= rule.thickest_mm
    )


def _matches(patterns: Sequence[str], text: str) -> bool:
    return not patterns or any(fnmatchcase(text.upper(), pattern.upper()) for pattern in patterns)
