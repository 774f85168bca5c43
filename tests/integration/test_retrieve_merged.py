"""Earlier studies that a PACS has under another ID of a merged patient, over real associations."""

from contextlib import closing
from pathlib import Path

from builders.archive import CURRENT, earlier_study, fetching_settings
from builders.clock import FakeClock
from builders.index import NOON, build_index, received
from builders.married_patient import said_by_admin
from builders.scripted_archive import Script, scripted_archive, series_answer, study_answer
from dicom_node.retrieve.duty import FetchStore, archive_for
from dicom_node.retrieve.fetch import Fetcher
from dicom_node.retrieve.waiting import FetchWatch
from storage.fetch_records import FetchState, FoundState
from storage.lifecycle import Event
from storage.records import PatientKey

NOW, BEFORE = PatientKey(patient_id="P1", issuer="HOSPITAL"), PatientKey(patient_id="B7", issuer="PRACTICE")
SAID = {"patient_name": "Phantom^Petra", "birth_date": "19700101", "sex": "F"}


def test_the_pacs_is_asked_for_each_id_and_gives_each_study_once(tmp_path: Path) -> None:
    """What it has under the earlier ID is fetched and compared with, also where it answers with it to both questions."""
    images = earlier_study("20251201", PatientID=BEFORE.patient_id, IssuerOfPatientID=BEFORE.issuer)
    script = Script(studies=[study_answer(images)], series=[series_answer(images)], images=images)
    clock = FakeClock()
    with scripted_archive(script, query_retrieve="get") as peer, closing(build_index(tmp_path, clock)) as index:
        index.record_received([received("9.9", patient=BEFORE, acquired_at=NOON.replace(year=2020), **SAID)])
        with closing(said_by_admin(tmp_path)) as patients:
            index.record_received([received(CURRENT, patient=NOW, **SAID)])
            patients.merge(NOW, BEFORE, although_contradicting=False)
        settings = fetching_settings(tmp_path, peer)
        index.apply(CURRENT, Event.COMPLETED, why="all here")
        watch = FetchWatch(settings, index)
        watch.look(CURRENT)
        receiver = FetchStore(settings.data_dir, index).receiver(settings, clock=clock)
        archive = archive_for(peer, settings, receiver=receiver, clock=clock)
        assert Fetcher(settings, index, archive, clock=clock).fetch_due()
        (search,) = watch.look(CURRENT)
        (found,) = search.found
        assert script.patient_ids == ["P1", "B7"]
        assert script.asked == ["STUDY", "STUDY", "SERIES", "GET"]
        assert (search.state, found.state) == (FetchState.DONE, FoundState.FETCHED)
        (linked,) = index.prior_candidates(CURRENT, maximum_age_days=730)
        assert linked.study_instance_uid == found.study_instance_uid
