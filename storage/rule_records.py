"""What the rules of a site are asked about a study, and what they decided."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class RuledSeries:
    """What rules look at in one series, as far as the index knows."""

    series_instance_uid: str
    calling_ae_titles: tuple[str, ...]
    """Of everybody who sent a part of it."""
    called_ae_titles: tuple[str, ...]
    modality: str
    body_part: str
    description: str
    image: Path
    """Below the data folder: the first that came, for what only the images say."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RuledStudy:
    """What rules look at in a study."""

    study_instance_uid: str
    description: str
    last_instance_at: datetime
    """Aware UTC."""
    is_asked_for: bool
    """An operator asked for the analysis of a study that was skipped; no rule stands against that."""
    series: tuple[RuledSeries, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RuledDestination:
    """What a rule sends to a peer."""

    name: str
    """Of the peer in the configuration."""
    results: tuple[str, ...]
    """As `results` of a peer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleDecision:
    """What the rules decided about a study; it holds until the study runs anew."""

    rule: str
    """Name of the rule; empty where none fitted."""
    rule_text: str
    """The rule as it was, as JSON; empty where none fitted."""
    runs: bool
    priority: str
    """urgent, normal, low."""
    destinations: tuple[RuledDestination, ...] | None
    """None: as the peers say."""
    why: str
    """In words, without patient data; empty where the site has no rules, which is then no line of the history."""
