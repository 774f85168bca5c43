"""Rules of a site: from the configuration to the choice of the series."""

from pathlib import Path

import pytest
from pydantic import TypeAdapter

from builders.ct_series import CtSeries, ct_images, write_images
from config import Peer, Settings, load_settings
from config.series import SeriesRuleSettings
from dicom_node.job_records import StudySpec
from dicom_node.series_choice import dry_run, report_in_words, rules_for_study
from pipeline.choose import choose_series
from pipeline.criteria import criteria
from pipeline.errors import NoSuitableSeriesError
from pipeline.series_rules import RuleAction, SeriesRule, SourceRules, apply_rules
from storage.records import StoredInstance

LUNG = CtSeries(uid="1.2.3.1", number=2, kernel="LUNG", description="Lung 1.0")
SOFT = CtSeries(uid="1.2.3.2", number=3, kernel="STANDARD", description="Soft 1.0")


def study(folder: Path) -> list[Path]:
    """Both series."""
    return [
        path
        for number, series in enumerate((LUNG, SOFT))
        for path in write_images(folder, ct_images(series), prefix=f"s{number}")
    ]


def rules(*rules: SeriesRule) -> tuple[SourceRules, ...]:
    """Rules for a peer that sent both."""
    return (SourceRules(source="ct1", series_instance_uids=(LUNG.uid, SOFT.uid), rules=rules),)


def stored(paths: list[Path], aets: dict[str, str]) -> list[StoredInstance]:
    """As the index knows them; who sent each series."""
    uids = [LUNG.uid] * LUNG.shape[0] + [SOFT.uid] * SOFT.shape[0]
    return [
        StoredInstance(
            path=path,
            sha256="0" * 64,
            sop_class_uid="1.2",
            series_instance_uid=uid,
            modality="CT",
            calling_aet=aets[uid],
        )
        for path, uid in zip(paths, uids, strict=True)
    ]


def settings(folder: Path, *rules: SeriesRuleSettings) -> Settings:
    """A node with one peer that has rules and one that has none."""
    peers = (
        Peer(name="ct1", ae_title="CT1", host="localhost", port=104, series=rules),
        Peer(name="ct2", ae_title="CT2", host="localhost", port=104),
    )
    return Settings(node={"data_dir": folder}, peers=peers)


def test_a_preferred_series_comes_before_a_better_kernel(tmp_path: Path) -> None:
    """The site decides, and the reason names the rule."""
    prefer = SeriesRule(action=RuleAction.PREFER, descriptions=("SOFT*",))
    choice = choose_series(study(tmp_path), rules=rules(prefer))
    assert choice.series_instance_uid == SOFT.uid
    assert choice.passed_over[0].reason == "A rule for its sender prefers the chosen series."
    assert "rule of the site: preferred by rule 1 for its sender" in choice.speaks_for


@pytest.mark.parametrize(
    "rule",
    [
        SeriesRule(action=RuleAction.EXCLUDE, kernels=("lung",)),
        SeriesRule(action=RuleAction.ONLY, descriptions=("nothing", "soft ?.0")),
    ],
)
def test_an_excluded_series_is_not_read(tmp_path: Path, rule: SeriesRule) -> None:
    """By exclusion, or because others only are read; patterns know no case."""
    choice = choose_series(study(tmp_path), rules=rules(rule))
    assert choice.series_instance_uid == SOFT.uid
    assert "for its sender" in choice.passed_over[0].reason


def test_rules_that_leave_nothing_refuse_the_study_in_words(tmp_path: Path) -> None:
    """The administrator reads that it was the rules."""
    with pytest.raises(NoSuitableSeriesError, match="it is excluded by rule 1 for its sender"):
        choose_series(study(tmp_path), rules=rules(SeriesRule(action=RuleAction.EXCLUDE, descriptions=("*",))))


@pytest.mark.parametrize(("thickness_mm", "is_read"), [(0.5, False), (1.0, True), (3.0, True), (5.0, False)])
def test_a_range_of_thickness_is_one(thickness_mm: float, is_read: bool) -> None:
    """Both ends belong to it."""
    rule = SeriesRule(action=RuleAction.ONLY, thinnest_mm=1.0, thickest_mm=3.0)
    verdict = apply_rules([rule], description="", kernel="", thickness_mm=thickness_mm)
    assert (verdict.objection == "") is is_read


def test_rules_hold_for_what_their_peer_sent_and_for_nothing_else(tmp_path: Path) -> None:
    """The series of another sender keep the default."""
    rule = SeriesRuleSettings(action="exclude", description=("*",))
    instances = stored(study(tmp_path), {LUNG.uid: "CT2", SOFT.uid: "CT1"})
    (found,) = rules_for_study(settings(tmp_path, rule), instances)
    assert (found.source, found.series_instance_uids) == ("ct1", (SOFT.uid,))
    report = dry_run(settings(tmp_path, rule), "1.2.3", instances)
    assert report.chosen == LUNG.uid


def test_without_rules_a_job_carries_none(tmp_path: Path) -> None:
    """The default needs no configuration."""
    instances = stored(study(tmp_path), {LUNG.uid: "CT2", SOFT.uid: "CT1"})
    assert rules_for_study(settings(tmp_path), instances) == ()


def test_rules_travel_with_the_job_as_plain_data(tmp_path: Path) -> None:
    """Out and back as JSON."""
    spec = StudySpec(
        study_instance_uid="1.2.3",
        acquired_at=None,
        inputs=(),
        rules=rules(SeriesRule(action=RuleAction.PREFER, kernels=("L",), thickest_mm=3.0)),
        corrects_tilt=True,
    )
    adapter = TypeAdapter(StudySpec)
    assert adapter.validate_json(adapter.dump_json(spec)) == spec


def test_the_dry_run_says_all_of_every_series(tmp_path: Path) -> None:
    """The chosen one first, what speaks for and against each, files that could not be read."""
    paths = study(tmp_path)
    instances = stored(paths, {LUNG.uid: "CT1", SOFT.uid: "CT1"})
    paths[-1].write_bytes(b"rubbish")
    lines = report_in_words(dry_run(settings(tmp_path), "1.2.3", instances))
    assert lines[0] == "series 2 (Lung 1.0), 40 images: chosen"
    assert "  + kernel: lung kernel LUNG" in lines
    assert "series 3 (Soft 1.0), 39 images: passed over" in lines
    assert lines[-1].startswith("unreadable: s1-0039.dcm")


def test_the_dry_run_of_a_refused_study_begins_with_the_reason(tmp_path: Path) -> None:
    """Also where nothing at all can be read."""
    lines = report_in_words(dry_run(settings(tmp_path), "1.2.3", []))
    assert lines == ["The study has no files."]


def test_the_document_explains_each_criterion_in_its_order() -> None:
    """What people read is the table of the code."""
    document = (Path(__file__).resolve().parents[2] / "docs" / "series-choice.md").read_text(encoding="utf-8")
    section = document.split("## What makes one series better than another")[1].split("\n## ")[0]
    rows = [line.split("|")[1].strip() for line in section.splitlines() if line.startswith("| ")]
    assert rows[1:] == [criterion.name for criterion in criteria(())]


def test_the_rules_in_the_document_are_valid(tmp_path: Path) -> None:
    """They can be copied."""
    document = (Path(__file__).resolve().parents[2] / "docs" / "series-choice.md").read_text(encoding="utf-8")
    (tmp_path / "node.toml").write_text(document.split("```toml\n")[1].split("```")[0], encoding="utf-8")
    prefer, exclude = load_settings(tmp_path / "node.toml").peers[0].series
    assert (prefer.action, exclude.kernel) == ("prefer", ("B20*",))
