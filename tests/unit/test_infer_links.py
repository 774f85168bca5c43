"""Which studies of a folder are compared with which."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from dicom_node.folders import FolderStudy
from dicom_node.infer import is_same_patient, link_earlier
from pipeline.study import StudyFiles
from storage.records import Demographics, PatientKey

DAY_0 = datetime(2026, 1, 2, tzinfo=UTC)


def _study(day: float | None, **changes: object) -> FolderStudy:
    acquired_at = None if day is None else DAY_0 + timedelta(days=day)
    study = FolderStudy(
        files=StudyFiles(study_instance_uid=f"1.2.{day}", acquired_at=acquired_at, paths=()),
        patient=PatientKey(patient_id="P1", issuer="HOSPITAL"),
        demographics=Demographics(patient_name="Phantom^Petra", birth_date="19700101", sex="F"),
        is_of_one_patient=True,
    )
    return replace(study, **changes)


def test_earlier_studies_are_linked_newest_first() -> None:
    """Changes are told against the newest."""
    current, before, long_before = _study(10), _study(5), _study(1)

    linked, refused = link_earlier(current, [long_before, before])

    assert (linked, refused) == ([before, long_before], ())


def test_studies_of_other_patients_leave_no_trace() -> None:
    """Their UIDs do not belong into this patient's report."""
    stranger = _study(5, patient=PatientKey(patient_id="P2", issuer="HOSPITAL"))
    same_number_elsewhere = _study(6, patient=PatientKey(patient_id="P1", issuer="OTHER"))

    assert link_earlier(_study(10), [stranger, same_number_elsewhere]) == ([], ())


def test_a_contradiction_is_refused_with_the_reason() -> None:
    """The same number with another birth date may be a typing error or another person."""
    other = Demographics(patient_name="Phantom^Petra", birth_date="19800101", sex="F")

    linked, (refused,) = link_earlier(_study(10), [_study(5, demographics=other)])

    assert not linked
    assert "birth date" in refused.reason


def test_a_study_without_a_date_is_not_taken_for_an_earlier_one() -> None:
    """Grown and shrunk would be guesses."""
    linked, (refused,) = link_earlier(_study(10), [_study(None)])

    assert not linked
    assert "not acquired before" in refused.reason


def test_a_study_that_mixes_patients_is_never_compared_with() -> None:
    """It is unknown which of them its lungs are."""
    linked, (refused,) = link_earlier(_study(10), [_study(5, is_of_one_patient=False)])

    assert not linked
    assert "more than one patient" in refused.reason


def test_patients_without_an_id_are_never_the_same() -> None:
    """Two empty fields agree on nothing."""
    nobody = _study(5, patient=PatientKey(patient_id="", issuer=""))

    assert not is_same_patient(nobody, nobody)


def test_a_study_is_no_earlier_study_of_itself() -> None:
    """A folder of priors may lie in the folder of the studies."""
    current, before = _study(10), _study(5)
    linked, refused = link_earlier(current, [current, before, before])
    assert linked == [before]
    assert refused == ()


def test_what_the_pipeline_refused_takes_no_place_among_the_earlier_studies() -> None:
    """A head that was analysed in the same run is named with its reason, and the chest before it is compared with."""
    current, head, chest = _study(10), _study(9), _study(9 - 1 / 24)

    linked, (refused,) = link_earlier(current, [chest, head], {head.files.study_instance_uid: "No lungs were found."})

    assert linked == [chest]
    assert (refused.study_instance_uid, refused.reason) == (head.files.study_instance_uid, "No lungs were found.")
