"""Earlier CTs of another region take no place of an earlier chest CT."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from builders.clock import FakeClock
from builders.index import NOON, build_index, claim, make_ready, received, result_files
from config.settings import PriorsSettings
from dicom_node.priors import PriorSelection, candidates_in_words, chest_words, select_priors
from dicom_node.retrieve.answers import SeriesAnswer, StudyAnswer
from dicom_node.retrieve.survey import Limits, Surveyor
from storage.fetch_records import FetchState, FoundPriorView, FoundState
from storage.index import Index
from storage.lifecycle import Event
from storage.records import Demographics
from storage.rule_records import RuleDecision

pytestmark = pytest.mark.usefixtures("each_engine")

CURRENT = "1.2.3"
CHEST = chest_words(PriorsSettings())
NO_LUNGS = "No lungs were found (0 ml of lung in the volume). Route only chest CT to this node."
NOT_RUN = RuleDecision(
    rule="heads", rule_text="{}", runs=False, priority="normal", destinations=None, why="not run by rule heads"
)


@pytest.fixture
def index(tmp_path: Path) -> Index:
    """An empty one."""
    return build_index(tmp_path, FakeClock())


def add(index: Index, uid: str, *, days_ago: float, region: str = "CHEST", **changes: object) -> None:
    """A study that names a region in everything that it says."""
    words = {"body_part": region, "study_description": region, "series_description": region}
    index.record_received([received(uid, acquired_at=NOON - timedelta(days=days_ago), **(words | changes))])


def analysed(index: Index, uid: str) -> None:
    """It has a result."""
    make_ready(index, uid)
    index.finish_succeeded(claim(index), result_files(f"2.25.{uid}"), destinations=(), why="no lesions")


def refused(index: Index, uid: str, why: str = NO_LUNGS) -> None:
    """The pipeline finds no chest in it."""
    make_ready(index, uid)
    index.finish_refused(claim(index), why)


def selected(index: Index) -> PriorSelection:
    """What the study of today is compared with."""
    if index.study(CURRENT) is None:
        add(index, CURRENT, days_ago=0)
    return select_priors(
        index.demographics_of(CURRENT),
        index.prior_candidates(CURRENT, maximum_age_days=730),
        acquired_at=NOON,
        maximum_count=3,
        chest=CHEST,
    )


def linked(index: Index) -> list[str]:
    """The same by UID."""
    return [one.study_instance_uid for one in selected(index).linked]


def reasons(index: Index) -> dict[str, str]:
    """Why the others are not."""
    return {one.study_instance_uid: one.reason for one in selected(index).refused}


def test_a_head_of_the_same_day_takes_not_the_place_of_the_chest(index: Index) -> None:
    """It is later by ten minutes, was analysed, and ended as no chest CT."""
    add(index, "1.1", days_ago=30.01)
    analysed(index, "1.1")
    add(index, "1.4", days_ago=30, region="")
    refused(index, "1.4")
    assert linked(index) == ["1.1"]
    assert reasons(index) == {
        "1.4": "its own analysis refused it (No lungs were found (0 ml of lung in the volume)): not linked; "
        "`dicom-node study retry UID` analyses it again"
    }


def test_heads_that_are_nearer_use_up_no_place(index: Index) -> None:
    """Whether they were analysed or only say what they show."""
    add(index, "1.1", days_ago=40)
    analysed(index, "1.1")
    for uid, days_ago in (("1.4", 5), ("1.5", 10)):
        add(index, uid, days_ago=days_ago, region="HEAD")
        refused(index, uid)
    for uid, days_ago in (("1.6", 15), ("1.7", 60)):
        add(index, uid, days_ago=days_ago, region="HEAD")
    assert linked(index) == ["1.1"]
    assert set(reasons(index)) == {"1.4", "1.5", "1.6", "1.7"}
    assert "another part of the body" in reasons(index)["1.6"]


def test_a_rule_that_excludes_a_study_says_nothing_of_its_images(index: Index) -> None:
    """Before a worker takes it, or when one does; one that names another region is still of another region."""
    for uid, days_ago, region in (("1.4", 5, "CHEST"), ("1.5", 10, ""), ("1.6", 20, "HEAD")):
        add(index, uid, days_ago=days_ago, region=region)
        make_ready(index, uid)
        taken = claim(index)
        index.rules.decide(uid, NOT_RUN)
        index.finish_refused(taken, NOT_RUN.why)
    add(index, "1.7", days_ago=30)
    index.apply("1.7", Event.COMPLETED, why="quiet")
    index.rules.decide("1.7", NOT_RUN)
    assert linked(index) == ["1.4", "1.5", "1.7"]
    assert "another part of the body" in reasons(index)["1.6"]


def test_a_study_that_was_discarded_or_waits_is_linked(index: Index) -> None:
    """Nobody said that it cannot be read."""
    add(index, "1.4", days_ago=5)
    index.apply("1.4", Event.DISCARDED, why="by somebody")
    add(index, "1.5", days_ago=10)
    assert linked(index) == ["1.4", "1.5"]


def test_what_is_run_again_is_judged_anew(index: Index) -> None:
    """By its next analysis, over the images that came since or by settings that changed."""
    add(index, "1.4", days_ago=5)
    refused(index, "1.4")
    assert linked(index) == []
    index.apply("1.4", Event.RETRIED, why="by somebody")
    assert linked(index) == ["1.4"]
    index.apply("1.4", Event.PRIORS_SETTLED, why="none")
    index.finish_succeeded(claim(index), result_files(), destinations=(), why="no lesions")
    assert linked(index) == ["1.4"]


@pytest.mark.parametrize(
    "changes",
    [
        {"body_part": ""},
        {"study_description": "CT Thorax/Abdomen"},
        {"series_description": "Lung 1.0"},
    ],
)
def test_a_study_that_may_show_the_chest_is_linked(index: Index, changes: dict[str, str]) -> None:
    """By the words of one series or its own, or because one series does not say what it shows."""
    add(index, "1.4", days_ago=5, region="ABDOMEN")
    add(index, "1.5", days_ago=10, region="ABDOMEN", **changes)
    add(index, "1.5", days_ago=10, region="ABDOMEN", number=2, series_instance_uid="1.5.2")
    assert linked(index) == ["1.5"]


def test_a_result_says_more_than_a_body_part(index: Index) -> None:
    """Lungs were found in it, whatever it is called; also while it is run again."""
    add(index, "1.4", days_ago=5, region="ABDOMEN")
    analysed(index, "1.4")
    assert linked(index) == ["1.4"]
    index.apply("1.4", Event.RETRIED, why="by somebody")
    assert linked(index) == ["1.4"]


def test_what_was_fetched_as_a_chest_is_linked(index: Index) -> None:
    """The PACS named a protocol, which the index does not have."""
    add(index, CURRENT, days_ago=0)
    index.apply(CURRENT, Event.COMPLETED, why="quiet")
    index.fetches.plan(CURRENT, peers=["pacs"])
    task = index.fetches.take_due("pacs")
    assert task is not None
    found = FoundPriorView(
        study_instance_uid="1.4", study_date="20251201", state=FoundState.FETCHING, words="", instance_count=1
    )
    index.fetches.note_found(task.fetch_id, [found])
    add(index, "1.4", days_ago=30, region="ABDOMEN")
    index.fetches.end_retrieval(task.fetch_id, replace(found, state=FoundState.FETCHED), rerun_when_late=False)
    index.fetches.settle(task.fetch_id, FetchState.DONE, "1 earlier study found")
    assert linked(index) == ["1.4"]


def test_a_head_that_is_here_is_not_counted_when_a_pacs_is_asked(index: Index) -> None:
    """The chest CTs that only the PACS has are fetched in its place."""
    add(index, CURRENT, days_ago=0)
    add(index, "1.4", days_ago=5, region="")
    refused(index, "1.4")
    add(index, "1.5", days_ago=10, region="HEAD")
    index.apply(CURRENT, Event.COMPLETED, why="quiet")
    index.fetches.plan(CURRENT, peers=["pacs"])
    task = index.fetches.take_due("pacs")
    assert task is not None
    surveyor = Surveyor(
        task,
        Limits(maximum_count=1, maximum_age_days=730, chest=CHEST),
        held=index.fetches.held,
        candidates=index.prior_candidates(CURRENT, maximum_age_days=730),
        ask_series=lambda of: [chest_series(f"{of}.1")],
    )
    survey = surveyor.decide([at_pacs("1.4", 5), at_pacs("1.5", 10), at_pacs("7.1", 10.01)])
    assert [one.study.study_instance_uid for one in survey.wanted] == ["7.1"]
    assert {one.study_instance_uid: one.state for one in survey.others} == dict.fromkeys(
        ("1.4", "1.5"), FoundState.HELD
    )


def chest_series(uid: str) -> SeriesAnswer:
    """A series of the PACS."""
    words = {"modality": "CT", "description": "", "protocol": "", "body_part": "CHEST"}
    return SeriesAnswer(series_instance_uid=uid, instance_count=100, **words)


def at_pacs(uid: str, days_ago: float) -> StudyAnswer:
    """The study as the PACS answers, which does not say what it shows."""
    one = received(uid)
    at = NOON - timedelta(days=days_ago)
    return StudyAnswer(
        study_instance_uid=uid,
        patient=one.patient,
        demographics=Demographics(patient_name=one.patient_name, birth_date=one.birth_date, sex=one.sex),
        study_date=f"{at:%Y%m%d}",
        acquired_at=at,
        description="",
        modalities=("CT",),
        accession_number="",
    )


def test_the_history_counts_them_and_says_why(index: Index) -> None:
    """One reason is told once; their series are not named."""
    add(index, CURRENT, days_ago=0)
    add(index, "1.1", days_ago=40)
    for uid, days_ago in (("1.4", 5), ("1.5", 10)):
        add(index, uid, days_ago=days_ago, region="HEAD")
        refused(index, uid, why="No series is a CT series of original slices. Series 2 (Brain): it is a scout.")
    candidates = index.prior_candidates(CURRENT, maximum_age_days=730)
    words = candidates_in_words(index.demographics_of(CURRENT), candidates, chest=CHEST)
    assert words == (
        "3 earlier CT studies in the index, 2 of them not linked: its own analysis refused it (No series is a CT series of "
        "original slices): not linked; `dicom-node study retry UID` analyses it again"
    )
