"""The report that a new result takes the place of, when its kept copy is whole and when it is not."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event as Stop

import pytest

from builders.analysis import build_analysis, build_context
from builders.clock import FakeClock
from builders.index import build_index, claimed_study, to
from config.settings import Settings
from dicom_node.dispatch import Dispatcher
from dicom_node.job_records import JobOutcome, JobSpec
from dicom_node.outbox import damage_of
from dicom_node.results.context import Predecessor, predecessor_from_folder
from dicom_node.results.write import write_result_set
from dicom_node.superseding import superseded
from storage.files import ResultStore
from storage.index import Index
from storage.lifecycle import Event
from storage.records import ResultFile, ResultSet


@dataclass(slots=True)
class NotingEngine:
    """One that runs nothing and keeps what it was given."""

    specs: list[JobSpec] = field(default_factory=list)

    def follow(self, settings: Settings) -> None:
        """Nothing follows."""

    def run(self, spec: JobSpec, folder: Path, *, keep_going: Callable[[], bool], stop: Stop) -> JobOutcome | None:
        """Keep the job."""
        self.specs.append(spec)
        return None

    def close(self) -> None:
        """Nothing is kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A node that made a result, of which a destination has everything but the report."""

    folder: Path
    index: Index
    report: ResultFile
    predecessor: Predecessor

    def sent(self) -> ResultSet:
        """The result."""
        view = self.index.study("1.2.3")
        assert view
        assert view.sent_result
        return view.sent_result

    def run_again(self) -> JobSpec:
        """The job of an operator's `study retry`."""
        self.index.apply("1.2.3", Event.RETRIED, why="an operator")
        self.index.apply("1.2.3", Event.PRIORS_SETTLED, why="none")
        settings = Settings.model_validate({"node": {"data_dir": str(self.folder)}})
        engine = NotingEngine()
        Dispatcher(settings, self.index, results=ResultStore(self.folder), engine=engine).run_next(Stop())
        (spec,) = engine.specs
        return spec


@pytest.fixture
def node(tmp_path: Path) -> Node:
    """With a real result set."""
    index = build_index(tmp_path, FakeClock())
    claim = claimed_study(index)
    files = write_result_set(build_analysis(tmp_path / "ct"), build_context(), folder=tmp_path / "out")
    predecessor = predecessor_from_folder(tmp_path / "out")
    kept = ResultStore(tmp_path).keep(tmp_path / "out", files, study_instance_uid="1.2.3", revision=1)
    index.finish_succeeded(claim, kept, destinations=to("PACS"), why="1 lesion")
    report, *others = index.due_deliveries(destination="PACS", limit=50)
    for delivery in others:
        index.delivery_succeeded(delivery.delivery_id, "0x0000")
    index.delivery_gave_up(report.delivery_id, "refused")
    return Node(folder=tmp_path, index=index, report=report.file, predecessor=predecessor)


def lose(report: ResultFile) -> None:
    """As a disk does that was repaired."""
    report.path.unlink()


def damage(report: ResultFile) -> None:
    """In its header, where it still reads as DICOM."""
    data = report.path.read_bytes()
    uid = report.sop_instance_uid.encode()
    assert uid in data
    report.path.write_bytes(data.replace(uid, uid[:-1] + (b"1" if uid[-1:] != b"1" else b"2")))


def test_a_whole_copy_is_named_as_predecessor(node: Node) -> None:
    """With all four UIDs; nothing is qualified."""
    spec = node.run_again()
    assert spec.predecessor == node.predecessor
    assert spec.qualifications == ()


@pytest.mark.parametrize("harm", [lose, damage])
def test_a_retry_after_a_lost_copy_goes_on_and_says_what_it_cannot_name(
    node: Node, harm: Callable[[ResultFile], None]
) -> None:
    """What the outbox tells the operator to do works: the job needs no file of the earlier result."""
    harm(node.report)
    answer = damage_of(node.report)
    assert answer
    assert "study retry" in answer.words
    spec = node.run_again()
    assert spec.predecessor is None
    (words,) = spec.qualifications
    assert node.report.sop_instance_uid in words
    assert "gone or damaged" in words


def test_a_lost_folder_is_as_a_lost_report(node: Node) -> None:
    """Nothing of the earlier result is needed."""
    for path in node.report.path.parent.iterdir():
        path.unlink()
    assert superseded(node.sent()).predecessor is None


def test_nothing_sent_is_nothing_superseded() -> None:
    """A first result says nothing of another."""
    assert superseded(None).predecessor is None
    assert superseded(None).qualifications == ()
