"""Rules and what they look at."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from config.rules import RuleSettings
from config.settings import Settings
from dicom_node.rules import ImageFacts, trials
from storage.rule_records import RuledSeries, RuledStudy

MONDAY_NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)


def rule(name: str = "r", *, match: dict[str, Any] | None = None, **values: Any) -> RuleSettings:
    """A rule as the configuration has it."""
    return RuleSettings.model_validate({"name": name, "match": match or {}, **values})


def ruled_series(**changes: Any) -> RuledSeries:
    """A thin chest series of CT1."""
    values: dict[str, Any] = {
        "series_instance_uid": "1.2.3.1",
        "calling_ae_titles": ("CT1",),
        "called_ae_titles": ("DICOMNODE",),
        "modality": "CT",
        "body_part": "CHEST",
        "description": "Lung 1.0 Br64",
        "image": Path("objects/1.dcm"),
    }
    return RuledSeries(**{**values, **changes})


def ruled_study(*series: RuledSeries, **changes: Any) -> RuledStudy:
    """A study that came on a Monday at noon, UTC."""
    values: dict[str, Any] = {
        "study_instance_uid": "1.2.3",
        "description": "Thorax nativ",
        "last_instance_at": MONDAY_NOON,
        "is_asked_for": False,
    }
    return RuledStudy(**{**values, **changes}, series=series or (ruled_series(),))


def fits(match: dict[str, Any], study: RuledStudy | None = None, image: ImageFacts | None = None) -> bool:
    """Whether a rule with this match fits, in UTC."""
    facts = image or ImageFacts(kernel="Br64d", slice_thickness_mm=1.0)
    (trial,) = trials([rule(match=match)], study or ruled_study(), read=lambda _: facts, zone=UTC)
    return trial.fits


def settings_with(folder: Path, *rules: RuleSettings, **values: Any) -> Settings:
    """Settings of a node in the folder with these rules."""
    document = {"node": {"data_dir": str(folder)}, **values}
    return Settings.model_validate(document).model_copy(update={"rule": rules})
