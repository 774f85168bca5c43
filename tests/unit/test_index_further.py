"""The short way into the index leaves it exactly as the long way does."""

from collections.abc import Sequence
from datetime import timedelta, timezone
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest import mock

from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import inspect, text

from builders.clock import FakeClock
from builders.index import JANE, NOON, SR, build_index, make_ready, received, view_of
from storage import receiving
from storage.database import open_engine, reading
from storage.failpoints import arm
from storage.lifecycle import State
from storage.records import PatientKey, ReceivedInstance, Recorded

TOKYO = timezone(timedelta(hours=9))
JOHN = PatientKey(patient_id="0815", issuer="CITY")

instances = st.builds(
    received,
    st.sampled_from(["1.2.3", "1.2.4"]),
    st.integers(1, 4),
    content=st.sampled_from(["", "other"]),
    series_instance_uid=st.sampled_from(["1.2.3.1", "1.2.3.2"]),
    sop_class_uid=st.sampled_from([received().sop_class_uid, SR]),
    modality=st.sampled_from(["CT", "SR"]),
    patient=st.sampled_from([JANE, JANE, JANE, JOHN, PatientKey(patient_id="4711", issuer="")]),
    patient_name=st.sampled_from(["Doe^Jane", "Doe^Jane", "", "Roe^Richard"]),
    sex=st.sampled_from(["F", "F", "", "M"]),
    accession_number=st.sampled_from(["A1", ""]),
    study_description=st.sampled_from(["Chest", "", "Thorax"]),
    acquired_at=st.sampled_from(
        [None, NOON - timedelta(hours=2), NOON - timedelta(hours=1), (NOON - timedelta(hours=1)).astimezone(TOKYO)]
    ),
    received_at=st.sampled_from([NOON, NOON + timedelta(seconds=3)]),
    association=st.sampled_from(["", "a.1", "a.2"]),
    is_of_our_make=st.sampled_from([False, False, False, True]),
)
"""Nearly alike, so that much of it is further, and some of it is not quite."""

Left = tuple[list[tuple[Recorded, ...]], dict[str, list[tuple[object, ...]]]]


def left_by(batches: Sequence[Sequence[ReceivedInstance]], *, goes_on_after: int) -> Left:
    """Answers, and all rows; the study is taken as complete after so many batches."""
    with TemporaryDirectory() as folder:
        index = build_index(Path(folder), FakeClock())
        answers = []
        for number, batch in enumerate(batches):
            answers.append(index.record_received(batch))
            study = index.study("1.2.3")
            if number == goes_on_after and study and study.state is State.RECEIVING:
                make_ready(index)
        index.close()
        engine = open_engine(f"sqlite:///{folder}/index.sqlite")
        with reading(engine) as connection:
            names = inspect(connection).get_table_names()
            rows = {name: [tuple(row) for row in connection.execute(text(f'SELECT * FROM "{name}"'))] for name in names}
        engine.dispose()
    return answers, rows


@given(st.lists(st.lists(instances, min_size=1, max_size=3), min_size=2, max_size=8), st.integers(0, 8))
@settings(max_examples=50, deadline=None)
def test_short_way_and_long_way_leave_the_same_rows(batches: list[list[ReceivedInstance]], goes_on_after: int) -> None:
    """Answers and every row of every table, whatever comes."""
    short = left_by(batches, goes_on_after=goes_on_after)
    with mock.patch.object(receiving, "record_further", return_value=None):
        long = left_by(batches, goes_on_after=goes_on_after)
    assert short == long


def test_plain_further_instances_go_the_short_way(tmp_path: Path) -> None:
    """Without a look at patients, copies and results: that is what makes it fast; a test may kill the node there too."""
    index = build_index(tmp_path, FakeClock())
    index.record_received([received(number=1, association="a.1")])
    reached: list[str] = []
    arm(reached.append)
    try:
        with mock.patch.object(receiving, "_look_up", side_effect=AssertionError("the long way")):
            for number in range(2, 5):
                assert index.record_received([received(number=number, association="a.1")]) == (Recorded.NEW,)
    finally:
        arm(None)
    assert view_of(index).instance_count == 4
    assert reached == ["index.before_commit"] * 3
