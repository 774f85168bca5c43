"""Attempts taken, run and kept, with a real index and real child processes."""

import errno
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from threading import Event

import pytest
from sqlalchemy import text

from builders.attempts import attempts_of, end_attempts
from builders.clock import FakeClock
from builders.index import SR, build_index, database_url, make_ready, received, state_of
from config.rules import RuleSettings
from config.series import SeriesRuleSettings
from config.settings import NodeSettings, Peer, PipelineSettings, Settings
from dicom_node.dispatch import Dispatcher
from dicom_node.engine import EngineLimits, LocalEngine
from dicom_node.job_records import JobOutcome
from dicom_node.rules_decision import decision_for
from pipeline.series_rules import RuleAction, SeriesRule, SourceRules
from storage.database import open_engine, writing
from storage.errors import DiskFullError
from storage.files import ResultStore
from storage.index import Index
from storage.lifecycle import Event as LifeEvent
from storage.lifecycle import State
from storage.records import PatientKey, ResultFile

SUCCEED = """
import pathlib, sys
from dicom_node.job_records import JobOutcome, JobSpec, OutcomeKind
from storage.records import ResultFile
folder = pathlib.Path(sys.argv[1])
spec = JobSpec.read(folder)
(folder / "out").mkdir()
(folder / "out" / "sr.dcm").write_text(spec.study.study_instance_uid + " " + str(len(spec.priors)))
sr = ResultFile(kind="sr", path=folder / "out" / "sr.dcm", sha256="0" * 64, sop_class_uid="1.2.3", sop_instance_uid="2.25.9")
JobOutcome(kind=OutcomeKind.SUCCEEDED, reason="1 lesion", files=(sr,)).write(folder)
"""
CRASH = "import os; os.kill(os.getpid(), 11)"
PACS = Peer(name="pacs", ae_title="PACS", host="127.0.0.1", port=104, receives_results=True, results=("sr",))


def settings(folder: Path) -> Settings:
    """Of a node with one destination."""
    return Settings(node=NodeSettings(data_dir=folder), pipeline=PipelineSettings(attempts=2), peers=(PACS,))


def ready_study(index: Index, study: str = "1.2.3", **changes: object) -> None:
    """One study in the queue."""
    index.record_received([received(study, **changes)])
    make_ready(index, study)


@pytest.fixture(autouse=True)
def _servers_end() -> Iterator[None]:
    yield
    end_attempts()


def dispatcher(folder: Path, index: Index, code: str) -> Dispatcher:
    """One whose attempts run the given code."""
    engine = LocalEngine(EngineLimits(time_limit_s=30, memory_limit_bytes=0), server=attempts_of(code))
    return Dispatcher(settings(folder), index, results=ResultStore(folder), engine=engine)


def test_a_successful_attempt_leaves_its_result_in_place_with_a_delivery(tmp_path: Path) -> None:
    """The result set is kept below the data folder and waits for its destination."""
    index = build_index(tmp_path, FakeClock())
    ready_study(index)
    assert dispatcher(tmp_path, index, SUCCEED).run_next(Event())
    view = index.study("1.2.3")
    assert view is not None
    assert view.result is not None
    assert view.result.files[0].path.read_text() == "1.2.3 0"
    assert [delivery.destination for delivery in view.deliveries] == ["pacs"]


SAY_RULES = SUCCEED.replace(
    'spec.study.study_instance_uid + " " + str(len(spec.priors))', "str((spec.study.rules, spec.study.corrects_tilt))"
)


def test_an_attempt_gets_the_rules_of_the_peer_that_sent_the_study(tmp_path: Path) -> None:
    """As plain data with the job; and whether a gantry tilt is straightened."""
    index = build_index(tmp_path, FakeClock())
    ready_study(index, calling_aet="CT1")
    rule = SeriesRuleSettings(action="prefer", description=("*lung*",), thickest_mm=2.0)
    site = Settings(
        node=NodeSettings(data_dir=tmp_path),
        pipeline=PipelineSettings(correct_gantry_tilt=True),
        peers=(Peer(name="ct one", ae_title="CT1", host="127.0.0.1", port=104, series=(rule,)), PACS),
    )
    engine = LocalEngine(EngineLimits(time_limit_s=30, memory_limit_bytes=0), server=attempts_of(SAY_RULES))
    assert Dispatcher(site, index, results=ResultStore(tmp_path), engine=engine).run_next(Event())
    result = index.latest_result("1.2.3")
    assert result is not None
    expected = SourceRules(
        source="ct one",
        series_instance_uids=("1.2.3.1",),
        rules=(SeriesRule(action=RuleAction.PREFER, descriptions=("*lung*",), thickest_mm=2.0),),
    )
    assert result.files[0].path.read_text() == str(((expected,), True))


SAY_PREDECESSOR = """
import hashlib, pathlib, sys
from pydicom import Dataset
from pydicom.uid import ExplicitVRLittleEndian
from dicom_node.job_records import JobOutcome, JobSpec, OutcomeKind
from storage.records import ResultFile
folder = pathlib.Path(sys.argv[1])
spec = JobSpec.read(folder)
report = Dataset()
report.SOPClassUID = report.SeriesInstanceUID = report.StudyInstanceUID = "1.2.3"
report.SOPInstanceUID = uid = "2.25.%d" % spec.revision
path = folder / "out" / "sr.dcm"
path.parent.mkdir()
report.ensure_file_meta()
report.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
report.save_as(path, enforce_file_format=True)
sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
sr = ResultFile(kind="sr", path=path, sha256=sha256, sop_class_uid="1.2.3", sop_instance_uid=uid)
reason = spec.predecessor.sop_instance_uid if spec.predecessor else "none"
JobOutcome(kind=OutcomeKind.SUCCEEDED, reason=reason, files=(sr,)).write(folder)
"""


def test_a_result_supersedes_the_newest_that_a_destination_has(tmp_path: Path) -> None:
    """Of three revisions only the first was sent: nobody knows the second, which the third would name."""
    index = build_index(tmp_path, FakeClock())
    said = []
    for number in (1, 2, 3):
        ready_study(index, number=number)
        assert dispatcher(tmp_path, index, SAY_PREDECESSOR).run_next(Event())
        view = index.study("1.2.3")
        assert view
        said.append(view.reason)
        if number == 1:
            (due,) = index.due_deliveries(destination="pacs", limit=9)
            index.delivery_succeeded(due.delivery_id, "0x0000")
    assert said == ["none", "2.25.1", "2.25.1"]


def test_nothing_ready_is_nothing_run(tmp_path: Path) -> None:
    """An empty queue is no error."""
    assert not dispatcher(tmp_path, build_index(tmp_path, FakeClock()), SUCCEED).run_next(Event())


def test_a_crashing_study_is_tried_again_then_given_up_with_its_log(tmp_path: Path) -> None:
    """The node goes on after the last attempt that the configuration allows."""
    index = build_index(tmp_path, FakeClock())
    ready_study(index)
    crashing = dispatcher(tmp_path, index, CRASH)
    crashing.run_next(Event())
    assert state_of(index) is State.READY
    crashing.run_next(Event())
    assert state_of(index) is State.PIPELINE_FAILED
    assert len(list((tmp_path / "failed-attempts").iterdir())) == 2
    assert not crashing.run_next(Event())


def test_the_folders_of_attempts_are_closed_to_others_whatever_the_umask(tmp_path: Path) -> None:
    """So are the logs that are kept of them."""
    index = build_index(tmp_path, FakeClock())
    ready_study(index)
    before = os.umask(0)
    try:
        dispatcher(tmp_path, index, CRASH).run_next(Event())
    finally:
        os.umask(before)
    (log,) = (tmp_path / "failed-attempts").iterdir()
    modes = [path.stat().st_mode & 0o777 for path in (tmp_path / "jobs", log.parent, log)]
    assert modes == [0o750, 0o750, 0o640]


def test_a_stopping_worker_puts_the_study_back_into_the_queue(tmp_path: Path) -> None:
    """The next worker takes it, and the try does not count."""
    index = build_index(tmp_path, FakeClock())
    ready_study(index)
    stop = Event()
    stop.set()
    dispatcher(tmp_path, index, "import time; time.sleep(60)").run_next(stop)
    assert state_of(index) is State.READY


class FullResultStore(ResultStore):
    """One whose disk is full."""

    def keep(self, source: Path, files: Sequence[ResultFile], **of: object) -> tuple[ResultFile, ...]:
        """Refuse, as a full disk does."""
        raise DiskFullError


def test_a_full_disk_costs_the_study_no_try(tmp_path: Path) -> None:
    """The study waits in the queue until there is space, however often it is tried."""
    index = build_index(tmp_path, FakeClock())
    ready_study(index)
    engine = LocalEngine(EngineLimits(time_limit_s=30, memory_limit_bytes=0), server=attempts_of(SUCCEED))
    full = Dispatcher(settings(tmp_path), index, results=FullResultStore(tmp_path), engine=engine)
    for _ in range(3):
        with pytest.raises(DiskFullError):
            full.run_next(Event())
    assert state_of(index) is State.READY
    assert dispatcher(tmp_path, index, SUCCEED).run_next(Event())
    assert state_of(index) is State.PROCESSED


class BrokenEngine:
    """One that cannot even start an attempt."""

    def __init__(self, error: Exception) -> None:
        """Which way it fails."""
        self._error = error

    def follow(self, settings: Settings) -> None:
        """Nothing follows."""

    def run(self, *_: object, **__: object) -> JobOutcome | None:
        """Fail."""
        raise self._error

    def close(self) -> None:
        """Nothing is kept."""


def test_a_disk_that_fills_while_an_attempt_begins_costs_the_study_no_try(tmp_path: Path) -> None:
    """What the attempt needs could not be written: the worker waits, and the study with it."""
    index = build_index(tmp_path, FakeClock())
    ready_study(index)
    engine = BrokenEngine(OSError(errno.ENOSPC, "No space left on device"))
    full = Dispatcher(settings(tmp_path), index, results=ResultStore(tmp_path), engine=engine)
    for _ in range(3):
        with pytest.raises(DiskFullError):
            full.run_next(Event())
    assert state_of(index) is State.READY
    assert list((tmp_path / "jobs").iterdir()) == []


@pytest.mark.parametrize("error", [KeyError("unforeseen"), OSError(errno.ENAMETOOLONG, "File name too long")])
def test_a_study_whose_attempts_cannot_begin_fails_and_the_worker_goes_on(tmp_path: Path, error: Exception) -> None:
    """It may be the study that is at fault: it must not be tried for ever, before all others."""
    index = build_index(tmp_path, FakeClock())
    ready_study(index)
    broken = Dispatcher(settings(tmp_path), index, results=ResultStore(tmp_path), engine=BrokenEngine(error))
    assert [broken.run_next(Event()) for _ in range(3)] == [True, True, False]
    assert state_of(index) is State.PIPELINE_FAILED
    view = index.study("1.2.3")
    assert view is not None
    assert "the node could not run the attempt" in view.reason


def test_a_damaged_record_of_model_packs_fails_the_attempt_and_not_the_worker(tmp_path: Path) -> None:
    """Nothing ran, so there is no log to keep."""
    index = build_index(tmp_path, FakeClock())
    ready_study(index)
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "current.json").write_text("{")
    assert dispatcher(tmp_path, index, SUCCEED).run_next(Event())
    assert state_of(index) is State.READY
    assert not (tmp_path / "failed-attempts").exists()


def test_a_log_that_cannot_be_kept_changes_nothing_else(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The attempt ends as it ended."""
    index = build_index(tmp_path, FakeClock())
    ready_study(index)
    (tmp_path / "failed-attempts").write_text("no folder")
    assert dispatcher(tmp_path, index, CRASH).run_next(Event())
    assert state_of(index) is State.READY
    assert "the log of attempt 1 cannot be kept" in caplog.text


def test_two_patients_under_one_study_uid_are_never_run(tmp_path: Path) -> None:
    """The study is held: there is nothing for a worker to take."""
    index = build_index(tmp_path, FakeClock())
    index.record_received([received(), received(number=2, patient=PatientKey(patient_id="9", issuer="CITY"))])
    assert not dispatcher(tmp_path, index, SUCCEED).run_next(Event())
    assert state_of(index) is State.HELD


def test_a_study_of_two_patients_that_an_older_node_left_in_the_queue_is_not_run(tmp_path: Path) -> None:
    """The last look before the attempt tells the way out."""
    index = build_index(tmp_path, FakeClock())
    ready_study(index)
    with writing(open_engine(database_url(tmp_path))) as connection:
        connection.execute(text("UPDATE study SET has_identity_conflict = TRUE"))
    dispatcher(tmp_path, index, SUCCEED).run_next(Event())
    view = index.study("1.2.3")
    assert view is not None
    assert view.state is State.SKIPPED
    assert "dicom-node study release" in view.reason


def test_a_study_without_ct_images_ends_as_skipped_without_an_attempt(tmp_path: Path) -> None:
    """No process is started for reports and captures."""
    index = build_index(tmp_path, FakeClock())
    ready_study(index, sop_class_uid=SR, modality="SR")
    dispatcher(tmp_path, index, CRASH).run_next(Event())
    view = index.study("1.2.3")
    assert view is not None
    assert (view.state, "no CT images" in view.reason) == (State.SKIPPED, True)


def test_an_earlier_study_of_the_same_patient_goes_into_the_attempt(tmp_path: Path) -> None:
    """The index links it by patient ID and issuer."""
    clock = FakeClock()
    index = build_index(tmp_path, clock)
    ready_study(index, "1.2.4", acquired_at=clock.now().replace(year=2025))
    ready_study(index)
    worker = dispatcher(tmp_path, index, SUCCEED)
    worker.run_next(Event())
    worker.run_next(Event())
    result = index.latest_result("1.2.3")
    assert result is not None
    assert result.files[0].path.read_text() == "1.2.3 1"


def ruled(folder: Path, index: Index, rules: Sequence[RuleSettings]) -> Dispatcher:
    """A dispatcher of a node with these rules and two destinations."""
    teaching = Peer(name="teaching", ae_title="TEACH", host="127.0.0.1", port=104, receives_results=True)
    site = Settings(node=NodeSettings(data_dir=folder), peers=(PACS, teaching)).model_copy(
        update={"rule": tuple(rules)}
    )
    engine = LocalEngine(EngineLimits(time_limit_s=30, memory_limit_bytes=0), server=attempts_of(SUCCEED))
    return Dispatcher(site, index, results=ResultStore(folder), engine=engine)


def test_a_rule_decides_at_the_latest_when_a_worker_takes_the_study(tmp_path: Path) -> None:
    """An operator may have let it pass by the sweep."""
    index = build_index(tmp_path, FakeClock())
    ready_study(index)
    assert ruled(tmp_path, index, [RuleSettings(name="never", run=False, reason="not here")]).run_next(Event())
    view = index.study("1.2.3")
    assert view is not None
    assert view.state is State.SKIPPED
    assert view.reason.startswith("not run by rule never: not here")


def test_an_edit_of_the_rules_changes_no_study_half_way(tmp_path: Path) -> None:
    """What was decided when it was complete holds for its results, whatever the rules say by then."""
    index = build_index(tmp_path, FakeClock())
    index.record_received([received()])
    index.apply("1.2.3", LifeEvent.COMPLETED, why="quiet")
    to_pacs = RuleSettings(name="first", results={"pacs": ("sr",)})
    site = Settings(node=NodeSettings(data_dir=tmp_path)).model_copy(update={"rule": (to_pacs,)})
    decision_for(site, index, "1.2.3")
    index.apply("1.2.3", LifeEvent.PRIORS_SETTLED, why="none")
    ruled(tmp_path, index, [RuleSettings(name="second", run=False)]).run_next(Event())
    view = index.study("1.2.3")
    assert view is not None
    assert [delivery.destination for delivery in view.deliveries] == ["pacs"]
    index.apply("1.2.3", LifeEvent.RETRIED, why="operator")
    index.apply("1.2.3", LifeEvent.PRIORS_SETTLED, why="none")
    ruled(tmp_path, index, [RuleSettings(name="second", run=False)]).run_next(Event())
    assert state_of(index) is State.SKIPPED
