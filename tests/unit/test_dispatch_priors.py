"""What an attempt is given of the earlier studies that it compares with."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event as Stop

import pytest

from builders.clock import FakeClock
from builders.index import NOON, build_index, claim, make_ready, received, result_files, to, view_of
from builders.two_patients import johns
from config.settings import Settings
from dicom_node.dispatch import Dispatcher
from dicom_node.job_records import JobOutcome, JobSpec, PriorSpec
from storage.files import ResultStore
from storage.index import Index
from storage.records import PatientKey, ReceivedInstance

EARLIER = "1.2.3"
MONTH_AGO = NOON - timedelta(days=30)


class Listening:
    """An engine that runs nothing and keeps what it was given."""

    def __init__(self) -> None:
        """Nothing yet."""
        self.specs: list[JobSpec] = []

    def follow(self, settings: Settings) -> None:
        """Nothing to follow."""

    def run(self, spec: JobSpec, folder: Path, *, keep_going: Callable[[], bool], stop: Stop) -> JobOutcome | None:
        """Give the attempt back."""
        self.specs.append(spec)
        return None

    def close(self) -> None:
        """Nothing to end."""


@pytest.fixture
def index(tmp_path: Path) -> Index:
    """An index with an earlier study of Jane's that has a result."""
    made = build_index(tmp_path, FakeClock())
    made.record_received([received(EARLIER, acquired_at=MONTH_AGO)])
    run(made)
    return made


def run(index: Index) -> None:
    """Let a worker finish the earlier study."""
    make_ready(index, EARLIER)
    files = result_files(f"2.25.{view_of(index, EARLIER).revision}")
    index.finish_succeeded(claim(index), files, destinations=to("PACS"), why="2 lesions")


def fail(index: Index) -> None:
    """Let the next run of the earlier study fail for good."""
    make_ready(index, EARLIER)
    index.finish_failed(claim(index), "not finished after 1800 s", retryable=False, maximum_attempts=3)


def prior_of(index: Index, folder: Path, *, of_john: bool) -> PriorSpec:
    """The earlier study, as the next study of one of the two is given it."""
    current = johns(1, study="9.9") if of_john else received("9.9")
    (prior,) = spec_of(index, folder, current).priors
    return prior


def spec_of(index: Index, folder: Path, current: ReceivedInstance, **settings: object) -> JobSpec:
    """What the attempt at a study that is received now is given.

    Args:
        index: Has nothing else that is ready.
        folder: Of the node.
        current: Its one image.
        settings: Tables of the configuration.
    """
    index.record_received([current])
    make_ready(index, current.study_instance_uid)
    engine = Listening()
    configured = Settings.model_validate({"node": {"data_dir": str(folder)}} | settings)
    Dispatcher(configured, index, results=ResultStore(folder), engine=engine).run_next(Stop())
    (spec,) = engine.specs
    return spec


def test_lesions_of_one_patient_are_never_known_lesions_of_another(index: Index, tmp_path: Path) -> None:
    """The study was released to John and his run failed; her lesions must not be called his."""
    index.record_received([johns(number, acquired_at=MONTH_AGO) for number in (2, 3, 4)])
    index.release_held(EARLIER, 2, by="admin")
    fail(index)
    prior = prior_of(index, tmp_path, of_john=True)
    assert (len(prior.study.inputs), prior.result_folder) == (3, None)


def test_lesions_of_both_patients_are_known_lesions_of_none(index: Index, tmp_path: Path) -> None:
    """All was said to be of one person, run, then taken back."""
    index.record_received([johns(2, acquired_at=MONTH_AGO)])
    index.release_held_whole(EARLIER, by="admin")
    run(index)
    index.record_received([johns(3, acquired_at=MONTH_AGO)])
    index.release_held(EARLIER, 1, by="admin")
    fail(index)
    assert prior_of(index, tmp_path, of_john=False).result_folder is None


@pytest.mark.parametrize("stray", [received(EARLIER, 2, acquired_at=MONTH_AGO), johns(2, acquired_at=MONTH_AGO)])
def test_known_lesions_of_the_same_patient_stay_known_while_the_study_runs_again(
    index: Index, tmp_path: Path, stray: ReceivedInstance
) -> None:
    """A late image of hers, or one of his that is put aside: her lesions keep their tracking UIDs in the next study."""
    index.record_received([stray])
    if view_of(index, EARLIER).has_identity_conflict:
        index.release_held(EARLIER, 1, by="admin")
    fail(index)
    assert prior_of(index, tmp_path, of_john=False).result_folder == result_files()[0].path.parent


def test_what_was_found_under_the_patient_who_was_chosen_serves(index: Index, tmp_path: Path) -> None:
    """The new run takes the place of the old one."""
    index.record_received([johns(2, acquired_at=MONTH_AGO)])
    index.release_held(EARLIER, 2, by="admin")
    run(index)
    assert prior_of(index, tmp_path, of_john=True).result_folder is not None


HOURS_AGO = NOON - timedelta(hours=9)


@pytest.mark.parametrize(
    ("acquired_at", "priors", "reason"),
    [
        (HOURS_AGO, {}, "within 12 hours"),
        (MONTH_AGO, {"maximum_count": 0}, "maximum_count is 0"),
        (MONTH_AGO, {"maximum_age_days": 7}, "older than 7 days, see [priors].maximum_age_days"),
    ],
)
def test_an_earlier_study_that_is_not_compared_is_told_with_the_reason(
    tmp_path: Path, acquired_at: datetime, priors: dict[str, int], reason: str
) -> None:
    """So that nobody takes the study for the first one."""
    index = build_index(tmp_path, FakeClock())
    index.record_received([received(EARLIER, acquired_at=acquired_at)])
    run(index)
    spec = spec_of(index, tmp_path, received("9.9"), priors=priors)
    assert spec.priors == ()
    (refused,) = spec.refused_priors
    assert refused.study_instance_uid == EARLIER
    assert reason in refused.reason


PACS = {"name": "pacs", "ae_title": "PACS", "host": "127.0.0.1", "port": 1, "query_retrieve": "move"}


@pytest.mark.parametrize(
    ("current", "settings", "expected"),
    [
        (received("9.9"), {}, True),
        (received("9.9", patient=PatientKey(patient_id="", issuer="")), {}, False),
        (received("9.9"), {"priors": {"maximum_count": 0}}, False),
        (received("9.9"), {"peers": [PACS]}, False),
    ],
    ids=["index alone", "no patient ID", "none wanted", "PACS that was not asked"],
)
def test_the_search_was_complete_where_all_that_is_to_be_asked_was(
    tmp_path: Path, current: ReceivedInstance, settings: dict[str, object], expected: bool
) -> None:
    """Nothing is known of a patient without an ID, nor of a PACS that gave no answer."""
    index = build_index(tmp_path, FakeClock())
    spec = spec_of(index, tmp_path, current, **settings)
    assert (spec.refused_priors, spec.priors_were_searched) == ((), expected)


def test_the_beginning_of_the_calendar_ends_no_attempt(tmp_path: Path) -> None:
    """A scanner without a clock: no date lies two years before."""
    index = build_index(tmp_path, FakeClock())
    assert spec_of(index, tmp_path, received("9.9", acquired_at=datetime(1, 1, 2, tzinfo=UTC))).priors == ()


def test_a_study_that_runs_again_is_given_what_was_reported_of_it(index: Index, tmp_path: Path) -> None:
    """So that its lesions keep their names."""
    late = received(EARLIER, 2, acquired_at=MONTH_AGO)
    assert spec_of(index, tmp_path, late).reported_folder == result_files()[0].path.parent


def test_a_first_run_has_no_names_to_keep(index: Index, tmp_path: Path) -> None:
    """An earlier study of the patient has, which is something else."""
    spec = spec_of(index, tmp_path, received("9.9"))
    assert (spec.reported_folder, spec.priors[0].result_folder) == (None, result_files()[0].path.parent)


def test_what_was_reported_under_another_patient_names_nothing(index: Index, tmp_path: Path) -> None:
    """The study was released to John: her lesions are not his."""
    index.record_received([johns(number, acquired_at=MONTH_AGO) for number in (2, 3, 4)])
    index.release_held(EARLIER, 2, by="admin")
    assert spec_of(index, tmp_path, johns(5, acquired_at=MONTH_AGO)).reported_folder is None
