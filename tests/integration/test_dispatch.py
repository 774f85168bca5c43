"""Attempts taken, run and kept, with a real index and real child processes."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from threading import Event

import pytest
from sqlalchemy import text

from builders.attempts import attempts_of, end_attempts
from builders.clock import FakeClock
from builders.dispatching import CRASH, PACS, SUCCEED, dispatcher, ready_study
from builders.index import SR, build_index, database_url, received, state_of
from config.rules import RuleSettings
from config.series import SeriesRuleSettings
from config.settings import NodeSettings, Peer, PipelineSettings, Settings
from dicom_node.dispatch import Dispatcher
from dicom_node.engine import EngineLimits, LocalEngine
from dicom_node.rules_decision import decision_for
from pipeline.series_rules import RuleAction, SeriesRule, SourceRules
from storage.database import open_engine, writing
from storage.files import ResultStore
from storage.index import Index
from storage.lifecycle import Event as LifeEvent
from storage.lifecycle import State
from storage.records import PatientKey


@pytest.fixture(autouse=True)
def _servers_end() -> Iterator[None]:
    yield
    end_attempts()


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


def test_a_stopping_worker_puts_the_study_back_into_the_queue(tmp_path: Path) -> None:
    """The next worker takes it, and the try does not count."""
    index = build_index(tmp_path, FakeClock())
    ready_study(index)
    stop = Event()
    stop.set()
    dispatcher(tmp_path, index, "import time; time.sleep(60)").run_next(stop)
    assert state_of(index) is State.READY


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
