"""Which earlier studies and series of a PACS are fetched."""

import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.config import IGNORE
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian

from builders.instances import ct_instance, encoded
from config.chest_words import CHEST_WORDS
from dicom_node.listen.header import read_header
from dicom_node.retrieve.answers import SeriesAnswer, StudyAnswer, study_answer_from
from dicom_node.retrieve.choose import MAXIMUM_SERIES, choose_series, refusal_of
from dicom_node.retrieve.judge import missing_series, verdict_on
from dicom_node.retrieve.survey import Limits, Surveyor, Wanted
from dicom_node.retrieve.transfer import SubOperations
from storage.fetch_records import FoundState
from storage.fetch_tasks import FetchTask, HeldStudy
from storage.lifecycle import State
from storage.prior_records import PriorCandidate
from storage.records import Demographics, PatientKey

CHEST = re.compile("|".join(CHEST_WORDS), re.IGNORECASE)
JANE = PatientKey(patient_id="4711", issuer="CITY")
PERSON = Demographics(patient_name="Doe^Jane", birth_date="19500102", sex="F")
NOW = datetime(2026, 1, 10, 12, tzinfo=UTC)
TASK = FetchTask(
    fetch_id=1,
    study_instance_uid="1.2.0",
    patient=JANE,
    demographics=PERSON,
    acquired_at=NOW,
    planned_at=NOW,
    tries=1,
)


def study(days_before: float = 30, **changes: object) -> StudyAnswer:
    """An answer for a study of Jane's."""
    at = NOW - timedelta(days=days_before)
    answer = StudyAnswer(
        study_instance_uid=f"1.2.{int(days_before)}",
        patient=JANE,
        demographics=PERSON,
        study_date=f"{at:%Y%m%d}",
        acquired_at=at,
        description="CT Thorax",
        modalities=("CT",),
        accession_number="",
    )
    return replace(answer, **changes)


def series(uid: str = "1.9", **changes: object) -> SeriesAnswer:
    """An answer for an axial series of the chest."""
    answer = SeriesAnswer(
        series_instance_uid=uid,
        modality="CT",
        description="1.0 B70f",
        protocol="",
        body_part="CHEST",
        instance_count=300,
    )
    return replace(answer, **changes)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, ""),
        ({"patient": PatientKey(patient_id="4711", issuer="")}, ""),
        ({"patient": PatientKey(patient_id="4711", issuer="TOWN")}, "another issuer"),
        ({"patient": PatientKey(patient_id="4712", issuer="CITY")}, "another patient ID"),
        ({"demographics": replace(PERSON, birth_date="19500103")}, "birth date"),
        ({"acquired_at": None}, "no study date"),
        ({"acquired_at": NOW + timedelta(days=1)}, "later date"),
        ({"acquired_at": NOW - timedelta(hours=1)}, "same day"),
    ],
)
def test_a_study_of_somebody_else_or_of_another_time_is_refused_with_the_reason(
    changes: dict[str, object], words: str
) -> None:
    """An issuer that the PACS does not say decides nothing yet: the images will."""
    refusal = refusal_of(study(**changes), TASK)
    assert bool(refusal) == bool(words)
    assert words in refusal


@pytest.mark.parametrize(
    "word",
    ["CHEST", "Thorax", "CT Tórax alta resolución", "HRCT", "Poumons", "肺部平扫", "Органы грудной клетки", "Lungs"],
)
def test_a_chest_is_known_in_many_languages(word: str) -> None:
    """By the description of the study alone, where no series says anything."""
    silent = series(body_part="", description="1.0")
    assert choose_series(study(description=word), [silent], chest=CHEST) == [silent]


@pytest.mark.parametrize(
    "unwanted",
    [
        series(modality="SR"),
        series(modality="SEG"),
        series(description="Topogram 0.6"),
        series(description="Scout"),
        series(description="Coronal MPR"),
        series(description="Dose Report"),
        series(instance_count=3),
        series(series_instance_uid=""),
    ],
)
def test_what_is_no_axial_ct_is_not_fetched(unwanted: SeriesAnswer) -> None:
    """Scouts, reformats, reports, our own results."""
    assert choose_series(study(), [unwanted], chest=CHEST) == []


def test_another_body_part_is_not_fetched_and_silence_is() -> None:
    """The analysis finds out by itself whether there are lungs where nobody says what it is."""
    knee = series(body_part="KNEE", description="bone")
    silent = series(body_part="", description="")
    assert choose_series(study(description="Knie"), [knee], chest=CHEST) == []
    assert choose_series(study(description=""), [silent], chest=CHEST) == [silent]
    assert choose_series(study(description=""), [knee], chest=CHEST) == []


def test_lung_kernels_come_first_and_no_more_series_than_the_limit() -> None:
    """Of many, the ones that the analysis prefers."""
    soft = [series(f"1.{number}", description="soft", instance_count=number * 100) for number in range(1, 7)]
    lung = series("1.99", description="Lung 1.0", instance_count=50)
    chosen = choose_series(study(), [*soft, lung], chest=CHEST)
    assert [one.series_instance_uid for one in chosen] == ["1.99", "1.6", "1.5", "1.4"][:MAXIMUM_SERIES]


def surveyor(
    *, held: dict[str, HeldStudy] | None = None, here: Sequence[PriorCandidate] = (), no_chest: Sequence[str] = ()
) -> Surveyor:
    """One that compares with two studies; the PACS has a chest series in each but those of `no_chest`."""
    return Surveyor(
        TASK,
        Limits(maximum_count=2, maximum_age_days=730, chest=CHEST),
        held=lambda uid: (held or {}).get(uid),
        candidates=here,
        ask_series=lambda uid: [] if uid in no_chest else [series(f"{uid}.1")],
    )


def test_no_more_studies_are_fetched_than_are_compared_with() -> None:
    """The nearest and the oldest of the episode; the others are told."""
    survey = surveyor().decide([study(days) for days in (10, 20, 30)])
    assert [one.study.study_instance_uid for one in survey.wanted] == ["1.2.10", "1.2.30"]
    assert [(one.study_instance_uid, one.state) for one in survey.others] == [("1.2.20", FoundState.NOT_NEEDED)]


def test_a_study_of_the_day_of_another_is_told_as_such() -> None:
    """No other is nearer, and there is room."""
    survey = surveyor().decide([study(10), study(10.2, study_instance_uid="1.2.99")])
    (other,) = survey.others
    assert (other.state, other.study_instance_uid) == (FoundState.NOT_NEEDED, "1.2.99")
    assert other.words == "within 12 hours of a study that is compared: it says the same"


def test_a_study_without_chest_gives_its_place_to_the_next() -> None:
    """It is told as unsuitable."""
    survey = surveyor(no_chest=["1.2.10"]).decide([study(days) for days in (10, 20, 30)])
    assert [one.study.study_instance_uid for one in survey.wanted] == ["1.2.20", "1.2.30"]
    assert [one.state for one in survey.others] == [FoundState.UNSUITABLE]


def test_what_is_here_is_not_fetched_and_takes_its_place() -> None:
    """Two nearer ones in the index leave no room; one that was sent here is never filled up."""
    here = [
        PriorCandidate(
            study_instance_uid=f"1.5.{days}",
            acquired_at=NOW - timedelta(days=days),
            demographics=PERSON,
            state=State.DELIVERED,
            instance_count=10,
        )
        for days in (5, 40)
    ]
    held = {"1.2.10": HeldStudy(patient=JANE, was_fetched=False, is_whole=True, images_by_series={"1.2.10.1": 1})}
    survey = surveyor(here=here, held=held).decide([study(10), study(20)])
    assert survey.wanted == ()
    assert {one.study_instance_uid: one.state for one in survey.others} == {
        "1.2.10": FoundState.HELD,
        "1.2.20": FoundState.NOT_NEEDED,
    }


def test_the_current_study_is_not_an_earlier_one() -> None:
    """The PACS has it too."""
    survey = surveyor().decide([study(0, study_instance_uid=TASK.study_instance_uid)])
    assert (survey.wanted, survey.others) == ((), ())


@given(st.lists(st.floats(0.6, 700), max_size=30), st.integers(0, 8))
def test_every_study_that_the_pacs_names_ends_in_one_place(days: list[float], without: int) -> None:
    """Wanted or told, never both, never lost; and no more than the limit are wanted."""
    answers = [study(day, study_instance_uid=f"1.3.{number}") for number, day in enumerate(days)]
    survey = surveyor(no_chest=[f"1.3.{number}" for number in range(without)]).decide(answers)
    wanted = [one.study.study_instance_uid for one in survey.wanted]
    others = [one.study_instance_uid for one in survey.others]
    assert sorted([*wanted, *others]) == sorted(answer.study_instance_uid for answer in answers)
    assert len(wanted) <= 2


def test_a_partly_held_study_is_asked_for_what_is_missing() -> None:
    """By the count of the PACS; what it does not count is asked for again."""
    held = HeldStudy(patient=JANE, was_fetched=True, is_whole=False, images_by_series={"1": 300, "2": 10, "3": 300})
    asked = [series("1"), series("2"), series("3", instance_count=None), series("4")]
    assert missing_series(asked, held) == ["2", "3", "4"]


@pytest.mark.parametrize(
    ("told", "here", "state"),
    [
        (SubOperations(completed=300, failed=0), 300, FoundState.FETCHED),
        (SubOperations(completed=300, failed=0), 299, FoundState.FAILED),
        (SubOperations(completed=299, failed=1), 300, FoundState.FAILED),
        (SubOperations(completed=0, failed=0), 0, FoundState.FAILED),
        (SubOperations(completed=301, failed=0), 300, FoundState.FAILED),
    ],
)
def test_what_came_is_counted(told: SubOperations, here: int, state: FoundState) -> None:
    """The index decides, not the PACS."""
    held = HeldStudy(patient=JANE, was_fetched=True, is_whole=False, images_by_series={"1.9": here})
    wanted = Wanted(study=study(), series=(series(),))
    assert verdict_on(wanted, told, held, patients=[JANE]).state is state


@pytest.mark.parametrize(
    ("sex", "birth_date", "read"),
    [
        ("F", "19500102", ("F", "19500102")),
        ("f ", "1950.01.02", ("F", "19500102")),
        ("U", "00000000", ("", "")),
        ("FEMALE", "19500100", ("", "")),
    ],
)
def test_sex_and_birth_date_are_read_as_those_of_images(sex: str, birth_date: str, read: tuple[str, str]) -> None:
    """A PACS that answers as its images say contradicts nobody."""
    image = ct_instance(PatientID="4711", IssuerOfPatientID="CITY", PatientName="Doe^Jane", StudyDate="20250101")
    image.add(DataElement(0x00100030, "DA", birth_date, validation_mode=IGNORE))
    image.add(DataElement(0x00100040, "CS", sex, validation_mode=IGNORE))
    header, answer = read_header(encoded(image), ExplicitVRLittleEndian), study_answer_from(image)
    assert (header.sex, header.birth_date) == read
    assert (answer.demographics.sex, answer.demographics.birth_date) == read
    assert refusal_of(answer, TASK) == ""


@pytest.mark.parametrize("uid", ["../../etc/passwd", "1" * 65, "1.2.x", "", "1.2\n3"])
def test_what_is_no_uid_is_none(uid: str) -> None:
    """It is never asked for, stored or printed."""
    answer = Dataset()
    answer.add(DataElement(0x0020000D, "UI", uid, validation_mode=IGNORE))
    assert study_answer_from(answer).study_instance_uid == ""
