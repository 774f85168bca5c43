"""Whose study it is, told by objects that come over the network."""

import logging
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import generate_uid

from builders.analysis import STUDY_UID
from builders.instances import ct_instance
from builders.listener import RunningListener, listener_settings, running_listener, send
from builders.patient_text import PatientText, patient_texts
from builders.results import ResultShelf
from builders.shared_data import shared_data
from dicom_node.index import open_index
from dicom_node.results.plan import ResultPlan, SrClass
from storage.lifecycle import Event, State
from storage.records import StudyView
from storage.starts_work import STARTS_WORK

EVERYTHING = ResultPlan(sr_classes=tuple(SrClass), pdf=True, capture=True, presentation_state=True, key_objects=True)
TEXTS = patient_texts()
WRONG = {
    "nothing, and UTF-8": ("", "Müller^Jörg".encode(), "Müller^Jörg"),
    "Arabic that is Latin-1": ("ISO_IR 127", "Müller^Jörg".encode("latin_1"), "Müller^Jörg"),
    "Korean without escape sequences": ("\\ISO 2022 IR 149", "Hong=洪^吉洞".encode("euc_kr"), "Hong=洪^吉洞"),
}

pytestmark = [
    pytest.mark.filterwarnings("ignore:The string:UserWarning"),
    pytest.mark.filterwarnings("ignore:.*Unknown encoding:UserWarning"),
    pytest.mark.filterwarnings("ignore:.*Failed to encode value:UserWarning"),
    pytest.mark.filterwarnings("ignore:.*Incorrect value for Specific Character Set:UserWarning"),
    pytest.mark.filterwarnings("ignore:Invalid value for VR:UserWarning"),
]


@pytest.fixture(scope="module")
def listener(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningListener]:
    """One listener for all of it."""
    with running_listener(listener_settings(tmp_path_factory.mktemp("data"))) as running:
        yield running


@pytest.fixture(scope="module")
def own_results(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Every DICOM object that our writer makes of one study."""
    folder = ResultShelf(tmp_path_factory.mktemp("results")).folder(plan=EVERYTHING)
    return sorted((folder / "out").glob("*.dcm"))


def view_of(listener: RunningListener, study: str) -> StudyView:
    """The study as people see it."""
    with closing(open_index(listener.settings)) as index:
        view = index.study(study)
    assert view is not None
    return view


def coerced(path: Path) -> Dataset:
    """One of our results after a PACS or router gave it another patient, other UIDs."""
    dataset = pydicom.dcmread(path)
    dataset.PatientID, dataset.PatientName, dataset.IssuerOfPatientID = "COERCED", "Other^Name", "PACS"
    dataset.StudyInstanceUID, dataset.AccessionNumber = "1.2.77", "X"
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    return dataset


def test_all_kinds_of_our_results_are_there(own_results: list[Path]) -> None:
    """Else the next tests would prove little."""
    classes = {str(pydicom.dcmread(path, stop_before_pixels=True).SOPClassUID) for path in own_results}
    assert len(classes) >= 8, classes


def test_our_own_results_start_nothing_and_hold_nothing(listener: RunningListener, own_results: list[Path]) -> None:
    """They are kept in the study they belong to, which holds no image for them."""
    answers = send(listener.port, *(pydicom.dcmread(path) for path in own_results))
    assert set(answers) == {0x0000}
    view = view_of(listener, STUDY_UID)
    assert (view.instance_count, view.conflict_count, view.state) == (0, 0, State.RECEIVING)


def test_our_own_results_are_known_after_a_pacs_changed_them(
    listener: RunningListener, own_results: list[Path]
) -> None:
    """Another patient, another study, other UIDs, beside a real image: by their equipment."""
    image = ct_instance(study="1.2.77")
    assert set(send(listener.port, image, *map(coerced, own_results))) == {0x0000}
    view = view_of(listener, "1.2.77")
    assert (view.instance_count, view.conflict_count, view.state) == (1, 0, State.RECEIVING)


def test_images_of_our_phantoms_are_not_taken_for_results(listener: RunningListener) -> None:
    """They name the same maker, and another model."""
    phantom = ct_instance(study="1.2.78", Manufacturer="dicom-node", ManufacturerModelName="phantom")
    assert send(listener.port, phantom) == [0x0000]
    assert view_of(listener, "1.2.78").instance_count == 1


def test_objects_of_other_software_are_kept_and_open_no_study(tmp_path: Path) -> None:
    """Real SR, SEG and others of highdicom and dcmqi, unchanged, as a router sends them to everybody."""
    datasets = [pydicom.dcmread(path) for path in sorted(shared_data("reference-objects").rglob("*.dcm"))]
    others = [one for one in datasets if one.SOPClassUID not in STARTS_WORK]
    assert len(others) >= 10
    # A study is born with its first object, whatever that is; here an operator then took it out.
    first = {str(one.StudyInstanceUID): one for one in others}
    with running_listener(listener_settings(tmp_path)) as listener:
        assert set(send(listener.port, *first.values())) == {0x0000}
        with closing(open_index(listener.settings)) as index:
            for study in first:
                index.apply(study, Event.DISCARDED, why="test")
        assert set(send(listener.port, *others)) == {0x0000}
        views = [view_of(listener, study) for study in first]
    assert {view.state for view in views} == {State.SKIPPED}
    assert sum(view.instance_count for view in views) == len({str(one.SOPInstanceUID) for one in others})


@pytest.mark.parametrize(
    "contradicting",
    [{"PatientID": "P9"}, {"IssuerOfPatientID": "ELSEWHERE"}, {"PatientBirthDate": "19701231"}, {"PatientSex": "M"}],
    ids=lambda changes: next(iter(changes)),
)
def test_another_patient_in_a_study_is_acknowledged_kept_and_held(
    listener: RunningListener, contradicting: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    """0x0000 for every byte; the log says that it happened and names nobody."""
    study = f"1.2.80.{sum(map(ord, next(iter(contradicting))))}"
    with caplog.at_level(logging.DEBUG):
        answers = send(listener.port, ct_instance(1, study=study), ct_instance(2, study=study, **contradicting))
    view = view_of(listener, study)
    assert (answers, view.state, len(view.patients)) == ([0x0000, 0x0000], State.HELD, 2)
    ours = " ".join(record.getMessage() for record in caplog.records if record.name.startswith("dicom_node"))
    assert "names another patient" in ours
    assert not any(secret in ours for secret in ("Petra", "P9", "19701231", "ELSEWHERE", "HOSPITAL", study))


@pytest.mark.parametrize("language", TEXTS)
def test_a_name_in_any_character_set_is_shown_as_people_write_it(listener: RunningListener, language: str) -> None:
    """Index, `study show` and the list read the same."""
    study = f"1.2.90.{list(TEXTS).index(language)}"
    check_name(listener, study, TEXTS[language])


@pytest.mark.parametrize("case", WRONG)
def test_a_name_that_is_declared_wrongly_stays_legible(listener: RunningListener, case: str) -> None:
    """The same as results make of it."""
    declared, name_bytes, name = WRONG[case]
    text = PatientText(declared=declared, name_bytes=name_bytes, name=name, text_bytes=b"Chest", text="Chest")
    check_name(listener, f"1.2.91.{list(WRONG).index(case)}", text)


def check_name(listener: RunningListener, study: str, text: PatientText) -> None:
    """Send an image with this text and look at the index."""
    image = ct_instance(study=study, SpecificCharacterSet="ISO_IR 100")
    text.put(image)
    assert send(listener.port, image) == [0x0000]
    view = view_of(listener, study)
    assert (view.demographics.patient_name, view.description) == (text.name, text.text)
