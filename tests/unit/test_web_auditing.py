"""What of the pages is in the audit trail."""

from pathlib import Path

import pytest

from builders.clock import FakeClock
from builders.site import add_finished_study, pages_in
from config.settings import Settings
from dicom_node.audit.events import (
    AlertKind,
    AuditedPatient,
    AuditedStudy,
    AuditEvent,
    InstancesAccessed,
    LoggedIn,
    Outcome,
    Searched,
    SecurityAlert,
)
from dicom_node.journal import STUDY, study_hash
from dicom_node.web.audit_hook import Deed, WebEvent
from dicom_node.web.auditing import PagesAudit


class KeptTrail:
    """Remembers what it is told."""

    def __init__(self) -> None:
        """Nothing so far."""
        self.told: list[tuple[AuditEvent, Outcome]] = []

    def record(self, event: AuditEvent, *, outcome: Outcome = Outcome.SUCCESS, words: str = "") -> None:
        """Remember an event."""
        self.told.append((event, outcome))


def told(*events: WebEvent) -> list[tuple[AuditEvent, Outcome]]:
    """What the trail hears of events."""
    trail = KeptTrail()
    audit = PagesAudit(trail, Settings(), clock=FakeClock())
    for event in events:
        audit(event)
    return trail.told


def event(deed: Deed, **changes: object) -> WebEvent:
    """A deed of one radiologist with one study."""
    study = AuditedStudy(study_instance_uid="1.2.3", patient=AuditedPatient(patient_id="P1"))
    return WebEvent(**{"deed": deed, "by": "ada", "address": "10.0.0.7", "study": study, **changes})


@pytest.mark.parametrize("deed", list(Deed))
def test_every_deed_leaves_an_entry(deed: Deed) -> None:
    """Under the name of who did it."""
    ((entry, outcome),) = told(event(deed))
    assert outcome is Outcome.SUCCESS
    assert "ada" in repr(entry)


def test_study_that_was_seen_is_named_with_its_patient() -> None:
    """A.5.3.4."""
    ((entry, _),) = told(event(Deed.STUDY_SEEN))
    assert isinstance(entry, InstancesAccessed)
    assert entry.study.study_instance_uid == "1.2.3"
    assert entry.study.patient is not None
    assert entry.study.patient.patient_id == "P1"


def test_failures_are_failures() -> None:
    """A login that was refused, a page that somebody may not see."""
    events = told(event(Deed.LOGIN_REFUSED, is_success=False), event(Deed.REFUSED, is_success=False))
    assert [type(entry) for entry, _ in events] == [LoggedIn, SecurityAlert]
    assert {outcome for _, outcome in events} == {Outcome.SERIOUS_FAILURE}


def test_a_peer_that_does_not_answer_is_no_warning() -> None:
    """Who may try it out did so: a failure would look like somebody who tried what they may not."""
    ((entry, outcome),) = told(event(Deed.PEER_TRIED, study=None, words="pacs: c-echo failed", is_success=False))
    assert isinstance(entry, SecurityAlert)
    assert (entry.kind, entry.subject) == (AlertKind.RESTRICTED_FUNCTION, "pacs: c-echo failed")
    assert outcome is Outcome.SUCCESS


def test_scrolling_through_a_study_is_one_entry_a_minute() -> None:
    """Another study, or another reader, is another entry."""
    seen = [event(Deed.IMAGE_SEEN), event(Deed.IMAGE_SEEN), event(Deed.IMAGE_SEEN, by="bob")]
    assert len(told(*seen)) == 2
    assert len(told(*[event(Deed.STUDIES_SEEN)] * 2)) == 2
    assert isinstance(told(event(Deed.STUDIES_SEEN))[0][0], Searched)


def test_what_somebody_looked_for_is_in_the_trail_and_not_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    """It may be a patient's name."""
    with caplog.at_level("INFO"):
        ((entry, _),) = told(event(Deed.STUDIES_SEEN, query="Canary"))
    assert isinstance(entry, Searched)
    assert entry.query == "Canary"
    assert "Canary" not in caplog.text


def test_the_log_names_a_study_by_its_hash(caplog: pytest.LogCaptureFixture) -> None:
    """Who has its UID finds it there; nobody else learns it, also not from the page that somebody was refused."""
    with caplog.at_level("INFO"):
        told(event(Deed.STUDY_SEEN), event(Deed.REFUSED, study=None, words="/studies/1.2.3/discard", is_success=False))
    assert "1.2.3" not in caplog.text
    assert caplog.text.count(study_hash("1.2.3")) == 2
    assert getattr(caplog.records[0], STUDY) == "1.2.3"


def test_each_slice_that_is_seen_is_told(tmp_path: Path) -> None:
    """Also of a study whose page was opened long before, or never."""
    with pages_in(tmp_path, login=True) as pages:
        uid = add_finished_study(pages)
        browser = pages.logged_in("vera")
        pages.events.clear()
        assert browser.get(f"/studies/{uid}/revisions/1/slices/0.jpg").status_code == 200
        (seen,) = pages.events
    assert (seen.deed, seen.by) == (Deed.IMAGE_SEEN, "vera")
    assert seen.study is not None
    assert seen.study.study_instance_uid == uid
