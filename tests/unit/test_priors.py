"""Which earlier studies are linked."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from config.settings import PriorsSettings
from dicom_node.priors import candidates_in_words, chest_words, choose_priors, contradiction, select_priors
from storage.lifecycle import State
from storage.prior_records import PriorCandidate
from storage.records import Demographics

CHEST = chest_words(PriorsSettings())
DAY_10 = datetime(2026, 1, 10, tzinfo=UTC)


def person(name: str = "Doe^Jane", birth_date: str = "19500102", sex: str = "F") -> Demographics:
    """Someone."""
    return Demographics(patient_name=name, birth_date=birth_date, sex=sex)


def candidate(day: int, demographics: Demographics) -> PriorCandidate:
    """A study of January 2026."""
    return PriorCandidate(
        study_instance_uid=f"1.2.{day}",
        acquired_at=datetime(2026, 1, day, tzinfo=UTC),
        demographics=demographics,
        state=State.DELIVERED,
        instance_count=100,
    )


@pytest.mark.parametrize(
    ("other", "what"),
    [
        (person(birth_date="19500103"), "birth date"),
        (person(sex="M"), "sex"),
        (person(name="Roe^Jane"), "name"),
        (person(name="Roe^Jane", sex="M"), "sex and name"),
    ],
)
def test_a_contradiction_is_named(other: Demographics, what: str) -> None:
    """The reason says which attribute differs, not its value."""
    reason = contradiction(person(), other)
    assert f"the {what} differ" in reason
    assert "Roe" not in reason


@pytest.mark.parametrize(
    "other", [person(name="DOE^JANE"), person(name="Jane^Doé^^^"), person(sex=""), person(name="")]
)
def test_spelling_and_absent_values_do_not_contradict(other: Demographics) -> None:
    """Case, accents, order of components and missing values are no contradiction."""
    assert contradiction(person(), other) == ""


def test_a_contradicting_study_is_refused_and_others_are_linked() -> None:
    """Refused ones take no place among those linked."""
    candidates = [candidate(9, person(sex="M")), candidate(8, person()), candidate(7, person()), candidate(6, person())]
    selection = select_priors(person(), candidates, acquired_at=DAY_10, maximum_count=2, chest=CHEST)
    assert [prior.study_instance_uid for prior in selection.linked] == ["1.2.8", "1.2.6"]
    assert [prior.study_instance_uid for prior in selection.refused] == ["1.2.9"]


def test_what_an_administrator_confirmed_of_a_study_is_linked() -> None:
    """A married name is no other person where somebody said so."""
    married = replace(candidate(8, person(name="Roe^Jane")), is_confirmed=True)
    selection = select_priors(person(), [married], acquired_at=DAY_10, maximum_count=2, chest=CHEST)
    assert (selection.linked, selection.refused) == ((married,), ())


def test_a_name_alone_that_differs_says_how_a_new_name_is_told() -> None:
    """After a marriage nothing else is wrong."""
    assert "dicom-node patient assign" in contradiction(person(), person(name="Roe^Jane"))
    assert "dicom-node patient assign" not in contradiction(person(), person(name="Roe^Jane", sex="M"))


def test_what_is_not_linked_is_counted_with_the_reason_and_without_a_name() -> None:
    """For the history of the study; one reason is told once."""
    candidates = [candidate(9, person(sex="M")), candidate(8, person()), candidate(7, person(sex="M"))]
    words = candidates_in_words(person(), candidates, chest=CHEST)
    assert words.startswith(
        "3 earlier CT studies in the index, 2 of them not linked: same patient ID, but the sex differs"
    )
    assert words.count("sex") == 1
    assert candidates_in_words(person(), candidates[1:2], chest=CHEST) == "1 earlier CT studies in the index"


def chosen_days(*days_ago: float, maximum_count: int = 3) -> list[float]:
    """Days before day 10 of those chosen among studies of so many days before."""
    chosen = choose_priors(
        sorted(days_ago), DAY_10, at=lambda days: DAY_10 - timedelta(days=days), maximum_count=maximum_count
    )
    return list(chosen)


@pytest.mark.parametrize(
    ("days_ago", "chosen"),
    [
        ([3], [3]),
        ([3, 6, 9], [3, 6, 9]),
        ([3, 6, 9, 12, 20], [3, 6, 20]),
        ([3, 6, 9, 400], [3, 6, 9]),
        ([3, 200, 300, 320], [3, 200, 300]),
        ([200, 210, 400, 420], [200, 210, 400]),
    ],
)
def test_the_nearest_are_compared_and_the_oldest_of_the_episode(days_ago: list[float], chosen: list[float]) -> None:
    """A pause of three months ends an episode; where it holds no more, the next nearest takes the place."""
    assert chosen_days(*days_ago) == chosen


def test_one_study_stands_for_a_day() -> None:
    """A repeated scan says the same twice, also one of the day of the current study."""
    assert chosen_days(0.1, 3.0, 3.1, 7.0) == [3.0, 7.0]


@pytest.mark.parametrize(("count", "chosen"), [(0, []), (1, [3]), (2, [3, 12])])
def test_no_more_are_compared_than_asked_for(count: int, chosen: list[float]) -> None:
    """One is the nearest, two are the nearest and the oldest."""
    assert chosen_days(3, 6, 12, maximum_count=count) == chosen


def test_without_a_date_of_its_own_a_study_takes_the_nearest() -> None:
    """The gap to it is not known, those between the others are."""
    dates = [DAY_10, DAY_10 - timedelta(hours=2), DAY_10 - timedelta(days=2)]
    assert choose_priors(dates, None, at=lambda date: date, maximum_count=3) == (dates[0], dates[2])


def left_out(*days_ago: float, maximum_count: int = 3) -> dict[str, str]:
    """Reason by Study Instance UID of studies so many days before day 10 that are not linked."""
    candidates = [
        replace(candidate(1, person()), study_instance_uid=f"{days:g}", acquired_at=DAY_10 - timedelta(days=days))
        for days in days_ago
    ]
    selection = select_priors(person(), candidates, acquired_at=DAY_10, maximum_count=maximum_count, chest=CHEST)
    assert not selection.refused
    assert len(selection.linked) + len(selection.left_out) == len(candidates)
    return {prior.study_instance_uid: prior.reason for prior in selection.left_out}


def test_every_study_that_could_be_compared_and_is_not_has_its_reason() -> None:
    """Of the same day as the current one or as another, or one too many."""
    reasons = left_out(0.25, 3, 3.25, 6, 9, 12)
    assert list(reasons) == ["0.25", "3.25", "9"]
    assert reasons["0.25"] == reasons["3.25"] == "within 12 hours of a study that is compared: it says the same"
    assert "others are nearer in time" in reasons["9"]


def test_a_node_that_compares_with_nothing_says_so_of_each() -> None:
    """No other is nearer."""
    assert set(left_out(3, 6, maximum_count=0).values()) == {
        "[priors].maximum_count is 0: no study is compared with earlier ones"
    }
