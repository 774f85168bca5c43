"""Studies found in folders."""

import struct
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pydicom import Dataset
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian

from builders.instances import ct_instance, dose_report, enhanced_ct_instance, localizer
from dicom_node.folders import NoStudyFoundError, find_studies, folder_name_from_uid
from pipeline.read import read_headers


def _save(folder: Path, *datasets: Dataset) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for number, dataset in enumerate(datasets):
        dataset.save_as(folder / f"{number}.dcm", enforce_file_format=True)
    return folder


def test_studies_are_found_at_any_depth_and_come_oldest_first(tmp_path: Path) -> None:
    """The date decides, not the name of the folder."""
    _save(tmp_path / "a" / "deep", ct_instance(1, study="1.2.2", AcquisitionDate="20260201"))
    _save(tmp_path / "b", ct_instance(1, study="1.2.1", AcquisitionDate="20260101"))

    content = find_studies([tmp_path])

    assert [study.files.study_instance_uid for study in content.studies] == ["1.2.1", "1.2.2"]


def test_every_object_of_a_study_belongs_to_it(tmp_path: Path) -> None:
    """Scouts and dose reports are part of what a scanner sends."""
    _save(tmp_path, ct_instance(1), ct_instance(2), localizer(), dose_report())

    (study,) = find_studies([tmp_path]).studies

    assert len(study.files.paths) == 4


def test_an_enhanced_ct_is_a_study_with_its_date(tmp_path: Path) -> None:
    """One file is all of it, and says when it was acquired, so that studies come in order."""
    _save(tmp_path / "b", enhanced_ct_instance(study="1.2.2", AcquisitionDateTime="20260101120000"))
    _save(tmp_path / "a", ct_instance(study="1.2.1", AcquisitionDate="20260201"))

    studies = find_studies([tmp_path]).studies

    assert [study.files.study_instance_uid for study in studies] == ["1.2.2", "1.2.1"]
    assert studies[0].files.acquired_at == datetime(2026, 1, 1, 12, tzinfo=UTC)


def test_files_that_are_not_dicom_are_passed_over_and_counted(tmp_path: Path) -> None:
    """A folder from a CD holds more than images."""
    _save(tmp_path, ct_instance(1))
    (tmp_path / "readme.txt").write_text("not an image")
    (tmp_path / "broken.dcm").write_bytes(bytes(128) + b"DICM" + bytes(40))

    content = find_studies([tmp_path])

    assert (len(content.studies), content.passed_over) == (1, 2)


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, DeflatedExplicitVRLittleEndian])
@pytest.mark.parametrize("length", [None, 12])
def test_file_meta_information_without_its_length_or_with_a_wrong_one_is_read(
    tmp_path: Path, syntax: str, length: int | None
) -> None:
    """As many tools write files; the elements themselves say where they end (PS3.10 7.1)."""
    image = ct_instance(1, study="1.2.9")
    image.file_meta.TransferSyntaxUID = syntax
    (folder := tmp_path / "in").mkdir()
    image.save_as(folder / "1.dcm", enforce_file_format=True)
    whole = (folder / "1.dcm").read_bytes()
    element = b"" if length is None else whole[132:140] + struct.pack("<I", length)
    (folder / "1.dcm").write_bytes(whole[:132] + element + whole[144:])

    (study,) = find_studies([folder]).studies

    assert study.files.study_instance_uid == "1.2.9"
    assert not read_headers(study.files.paths).unreadable


@pytest.mark.filterwarnings("ignore:Invalid value for VR", "ignore:The value length", "ignore:Expected")
def test_a_file_that_ends_anywhere_in_its_first_bytes_is_passed_over(tmp_path: Path) -> None:
    """As a full disk leaves a copy; the others of the folder are read all the same."""
    _save(tmp_path, ct_instance(1), ct_instance(2))
    cut = tmp_path / "1.dcm"
    whole = cut.read_bytes()
    for size in range(whole.index(b"P1")):
        cut.write_bytes(whole[:size])
        assert find_studies([tmp_path]).passed_over == 1, size


@pytest.mark.filterwarnings("ignore:Invalid value for VR", "ignore:The value length", "ignore:Expected")
def test_a_file_whose_first_bytes_are_changed_ends_nothing(tmp_path: Path) -> None:
    """Most of the file meta information, each byte by itself."""
    _save(tmp_path, ct_instance(1), ct_instance(2))
    changed = tmp_path / "1.dcm"
    whole = changed.read_bytes()
    for at in range(128, 250):
        for byte in (b"\1", b"U", b"\xff"):
            changed.write_bytes(whole[:at] + byte + whole[at + 1 :])
            assert find_studies([tmp_path]).studies


def test_a_file_named_twice_is_counted_once(tmp_path: Path) -> None:
    """Overlapping folders do not double a slice."""
    _save(tmp_path / "a", ct_instance(1))

    (study,) = find_studies([tmp_path, tmp_path / "a"]).studies

    assert len(study.files.paths) == 1


def test_a_folder_without_dicom_is_refused(tmp_path: Path) -> None:
    """An empty answer would look like a healthy one."""
    with pytest.raises(NoStudyFoundError):
        find_studies([tmp_path])


def test_the_date_of_a_study_is_that_of_its_earliest_ct_image(tmp_path: Path) -> None:
    """A dose report written the evening before does not date the CT."""
    _save(tmp_path, ct_instance(1), ct_instance(2, AcquisitionTime="101600"), dose_report())

    (study,) = find_studies([tmp_path]).studies

    assert study.files.acquired_at == datetime(2026, 1, 2, 10, 16, tzinfo=UTC)


@pytest.mark.parametrize("uid", ["../../etc", "1.2/../3", "", "1" * 65, "1.2.3\n"])
def test_a_folder_name_never_leads_out_of_the_folder(uid: str) -> None:
    """What is no UID becomes a hash."""
    assert folder_name_from_uid(uid).isalnum()


def test_a_uid_stays_its_own_folder_name() -> None:
    """People find the study by it."""
    assert folder_name_from_uid("1.2.840.1") == "1.2.840.1"


def test_a_study_with_images_of_two_patients_is_marked(tmp_path: Path) -> None:
    """It must not be analysed as one."""
    _save(tmp_path / "mixed", ct_instance(1), ct_instance(2, PatientID="P2"))

    (study,) = find_studies([tmp_path]).studies

    assert not study.is_of_one_patient


@pytest.mark.parametrize(
    ("changes", "is_one"),
    [({"PatientName": "PHANTOM^PETRA"}, True), ({"IssuerOfPatientID": None}, True), ({"PatientSex": "M"}, False)],
)
def test_images_of_one_study_are_compared_fairly(tmp_path: Path, changes: dict[str, str | None], is_one: bool) -> None:
    """As the node compares them."""
    _save(tmp_path / "study", ct_instance(1), ct_instance(2, **changes))

    (study,) = find_studies([tmp_path]).studies

    assert study.is_of_one_patient is is_one
