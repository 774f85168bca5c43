"""By which clock a study that a PACS names is compared with the current one."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from pydicom.dataset import Dataset

from dicom_node.retrieve import find
from dicom_node.retrieve.answers import StudyAnswer
from dicom_node.retrieve.choose import refusal_of
from storage.fetch_tasks import FetchTask
from storage.records import Demographics, PatientKey

TOKYO, LOS_ANGELES = timezone(timedelta(hours=9)), timezone(timedelta(hours=-8))
TASK = FetchTask(
    fetch_id=1,
    study_instance_uid="1.2.0",
    patient=PatientKey(patient_id="4711", issuer=""),
    demographics=Demographics(patient_name="Doe^Jane", birth_date="19500102", sex="F"),
    acquired_at=datetime(2026, 1, 10, 21, tzinfo=UTC),
    planned_at=datetime(2026, 1, 11, tzinfo=UTC),
    tries=1,
)


def answered(monkeypatch: pytest.MonkeyPatch, task: FetchTask, said: dict[str, str]) -> StudyAnswer:
    """The study that a PACS names, as a search reads it."""
    identifier = Dataset()
    identifier.StudyInstanceUID, identifier.PatientID = "1.2.1", "4711"
    for keyword, value in said.items():
        setattr(identifier, keyword, value)

    def answer(*_arguments: Any, **_named: Any) -> Iterator[Dataset]:
        yield identifier

    monkeypatch.setattr(find, "answers_of", answer)
    talk: Any = None
    (found,) = find.find_studies(talk, task, maximum_age_days=730)
    return found


@pytest.mark.parametrize(
    ("scanner", "said", "words"),
    [
        (TOKYO, ("20260110", "083000", ""), ""),
        (TOKYO, ("20260110", "093000", ""), "same day"),
        (LOS_ANGELES, ("20260110", "083000", ""), ""),
        (LOS_ANGELES, ("20260110", "093000", ""), "same day"),
        (LOS_ANGELES, ("20260111", "003000", ""), "later date"),
        (LOS_ANGELES, ("20260110", "163000", "+0000"), ""),
        (LOS_ANGELES, ("20260110", "173000", "+0000"), "same day"),
        (LOS_ANGELES, ("20260111", "030000", "+0000"), "same day"),
        (TOKYO, ("20260109", "233000", "+0000"), ""),
        (TOKYO, ("20260110", "003000", "+0000"), "same day"),
        (TOKYO, ("20260110", "153000", "+0000"), "later date"),
        (TOKYO, ("20260110", "083000", "nonsense"), ""),
    ],
)
def test_twelve_hours_are_counted_by_the_clock_of_the_scanner(
    scanner: timezone, said: tuple[str, str, str], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The current study was taken at nine in the evening; a PACS shows the time on the wall, unless it names its zone."""
    task = replace(TASK, acquired_at=TASK.acquired_at.replace(tzinfo=scanner))
    names = ("StudyDate", "StudyTime", "TimezoneOffsetFromUTC")
    refusal = refusal_of(answered(monkeypatch, task, dict(zip(names, said, strict=True))), task)
    assert (bool(refusal), words in refusal) == (bool(words), True)


@pytest.mark.parametrize("offset", ["", "+0900"])
def test_of_a_scanner_without_a_zone_the_times_on_the_wall_are_compared(
    offset: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever zone the PACS names: that of the current study is not known."""
    said = {"StudyDate": "20260110", "StudyTime": "083000", "TimezoneOffsetFromUTC": offset}
    answer = answered(monkeypatch, TASK, said)
    assert answer.acquired_at == datetime(2026, 1, 10, 8, 30, tzinfo=UTC)
    assert refusal_of(answer, TASK) == ""
