"""Which objects say whose study it is: patient ID and issuer."""

from dataclasses import replace
from datetime import timedelta
from itertools import permutations
from pathlib import Path

import pytest

from builders.clock import FakeClock
from builders.index import NOON, build_index, claimed_study, received, result_files, state_of, to, view_of
from builders.two_patients import johns
from storage.index import Index
from storage.lifecycle import State
from storage.records import PatientKey, ReceivedInstance, Recorded

pytestmark = pytest.mark.usefixtures("each_engine")

KO = "1.2.840.10008.5.1.4.1.1.88.59"
LOCAL = PatientKey(patient_id="4711", issuer="")
OF_PACS = PatientKey(patient_id="4711", issuer="HOSPITAL")


@pytest.fixture
def index(tmp_path: Path) -> Index:
    """An empty index."""
    return build_index(tmp_path, FakeClock())


def image(number: int = 1, study: str = "1.2.3") -> ReceivedInstance:
    """A CT image of a scanner that gives no issuer."""
    return received(study, number, patient=LOCAL)


def key_object(number: int = 50, patient: PatientKey = OF_PACS) -> ReceivedInstance:
    """A key object that the PACS made of the study."""
    series = f"1.2.3.{number}"
    return received(number=number, patient=patient, sop_class_uid=KO, modality="KO", series_instance_uid=series)


@pytest.mark.parametrize("order", list(permutations(range(3))))
@pytest.mark.parametrize("is_one_batch", [True, False])
def test_an_object_that_is_no_image_moves_a_study_to_no_other_patient(
    index: Index, order: tuple[int, ...], is_one_batch: bool
) -> None:
    """Whether it comes first, between the images or last; the earlier study is still found."""
    index.record_received([replace(image(1, "1.2.1"), acquired_at=NOON - timedelta(days=2))])
    came = [(image(1), image(2), key_object())[place] for place in order]
    for batch in [came] if is_one_batch else [[one] for one in came]:
        assert set(index.record_received(batch)) == {Recorded.NEW}
    assert (view_of(index).patient, view_of(index).instance_count) == (LOCAL, 3)
    assert [found.study_instance_uid for found in index.prior_candidates("1.2.3", maximum_age_days=9)] == ["1.2.1"]


def test_a_delivered_study_stays_under_its_patient(index: Index) -> None:
    """Nothing of it moves for a key object."""
    index.record_received([image()])
    index.finish_succeeded(claimed_study(index), result_files(), destinations=to("PACS"), why="fine")
    before = view_of(index)
    index.record_received([key_object(patient=PatientKey(patient_id="4711", issuer="CITY"))])
    assert (view_of(index).patient, view_of(index).history) == (before.patient, before.history)


def test_a_study_without_images_is_of_whom_its_objects_name(index: Index) -> None:
    """There is nothing else that says it."""
    index.record_received([key_object(patient=LOCAL), key_object(51)])
    assert view_of(index).patient == OF_PACS


def test_the_history_says_when_a_study_comes_under_another_patient(index: Index) -> None:
    """With the attribute, never its value; each change once."""
    index.record_received([key_object()])
    index.record_received([image(1), image(2)])
    index.record_received([received(number=3), received(number=4)])
    why = [entry.why for entry in view_of(index).history if "another patient" in entry.why]
    assert len(why) == 2
    assert all("issuer of patient ID" in one and "HOSPITAL" not in one and "CITY" not in one for one in why)
    assert (view_of(index).patient, state_of(index)) == (PatientKey(patient_id="4711", issuer="CITY"), State.RECEIVING)


def test_a_patient_who_is_chosen_is_the_one_whom_the_images_name(index: Index) -> None:
    """Not the one whom a key object of theirs names, with the issuer of the PACS."""
    poor, of_pacs = PatientKey(patient_id="0815", issuer=""), PatientKey(patient_id="0815", issuer="HOSPITAL")
    index.record_received([received(), johns(2, patient=poor)])
    index.record_received([johns(3, patient=of_pacs, sop_class_uid=KO, modality="KO")])
    index.release_held("1.2.3", 2, by="admin")
    assert (view_of(index).patient, view_of(index).instance_count) == (poor, 2)
