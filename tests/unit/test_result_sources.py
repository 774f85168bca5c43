"""Results can be made from whatever headers senders write, and are the same bytes each time."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from builders.analysis import CREATED_AT, StudyPlan, build_analysis, build_context, used_prior
from dicom_node.results.contour import LEAST_POINTS, convex_outline, enclosed_area, outer_contour
from dicom_node.results.errors import InconsistentAnalysisError, SourceImageError, UnwritableResultError
from dicom_node.results.source import read_source_images
from dicom_node.results.uids import derive_uid, result_uids
from dicom_node.results.write import write_result_set
from storage.records import ResultFile

JAPANESE_NAME = "Yamada^Tarou=山田^太郎=やまだ^たろう"


def dicom_results(files: tuple[ResultFile, ...]) -> list[Dataset]:
    """The DICOM objects of a result set, read by pydicom."""
    return [pydicom.dcmread(file.path) for file in files if file.sop_class_uid]


def test_second_build_gives_identical_bytes(tmp_path: Path) -> None:
    """A resend after a crash is the same object to the last byte."""
    analysis = build_analysis(tmp_path / "ct")
    first = write_result_set(analysis, build_context(), folder=tmp_path / "first")
    second = write_result_set(analysis, build_context(), folder=tmp_path / "second")
    assert [file.sha256 for file in first] == [file.sha256 for file in second]
    assert [file.path.read_bytes() for file in first] == [file.path.read_bytes() for file in second]


def test_nothing_of_the_clock_is_in_a_result(tmp_path: Path) -> None:
    """All moments are that of the context."""
    analysis = build_analysis(tmp_path / "ct")
    moment = f"{CREATED_AT:%Y%m%d%H%M%S.%f}"
    for result in dicom_results(write_result_set(analysis, build_context(), folder=tmp_path / "out")):
        assert result.InstanceCreationDate + result.InstanceCreationTime == moment
        assert result.ContentDate + result.ContentTime == moment
        assert result.ContributingEquipmentSequence[-1].ContributionDateTime == moment


def test_result_files_name_what_is_on_disk(tmp_path: Path) -> None:
    """Kind, place and UIDs of each file are those of its content."""
    files = write_result_set(build_analysis(tmp_path / "ct"), build_context(), folder=tmp_path / "out")
    assert [file.kind for file in files] == [
        *("sr", "seg-lungs", "seg-lesions", "pdf", "report", "findings", "masks"),
        *4 * ["preview"],
    ]
    assert {file.path for file in files} == set((tmp_path / "out").iterdir())
    for file, dataset in zip(files[:4], dicom_results(files), strict=True):
        assert (file.sop_class_uid, file.sop_instance_uid) == (dataset.SOPClassUID, dataset.SOPInstanceUID)
        assert file.transfer_syntax_uid == dataset.file_meta.TransferSyntaxUID


@pytest.mark.parametrize("declared", ["ISO_IR 100", ["", "ISO 2022 IR 87"], "ISO_IR 192", "GB18030", None])
def test_names_survive_in_every_character_set(tmp_path: Path, declared: str | list[str] | None) -> None:
    """Also code extensions, which the writer does not take: they become UTF-8."""
    name = {"ISO_IR 100": "Müller^Jürgen", "GB18030": "Wang^XiaoDong=王^小东", None: "Smith^Ann"}.get(
        str(declared) if isinstance(declared, str) else None, JAPANESE_NAME
    )
    if declared is None:
        name = "Smith^Ann"

    def name_patient(image: Dataset) -> None:
        image.SpecificCharacterSet = declared
        image.PatientName = name

    analysis = build_analysis(tmp_path / "ct", StudyPlan(change_header=name_patient))
    for result in dicom_results(write_result_set(analysis, build_context(), folder=tmp_path / "out")):
        assert str(result.PatientName) == name


def test_own_text_is_ascii_whatever_the_findings_say(tmp_path: Path) -> None:
    """Any character set of a source holds it."""
    analysis = build_analysis(tmp_path / "ct")
    findings = replace(analysis.findings, series_description="胸部 5 mm", qualifications=("Schichten ≥ 5 mm, groß",))
    files = write_result_set(replace(analysis, findings=findings), build_context(), folder=tmp_path / "out")
    report = next(file.path for file in files if file.kind == "sr")
    assert report.read_bytes().isascii() is False
    assert b"Schichten ? 5 mm, gro?" in report.read_bytes()


def without(*keywords: str) -> Callable[[Dataset], None]:
    """Drops attributes from a source image."""

    def drop(image: Dataset) -> None:
        for keyword in keywords:
            if keyword in image:
                delattr(image, keyword)

    return drop


def with_values(**values: object) -> Callable[[Dataset], None]:
    """Sets attributes of a source image."""

    def put(image: Dataset) -> None:
        for keyword, value in values.items():
            setattr(image, keyword, value)

    return put


@pytest.mark.parametrize(
    "change",
    [
        without("PatientSex", "PatientBirthDate", "PatientName", "PatientID", "PatientAge", "IssuerOfPatientID"),
        without("StudyID", "AccessionNumber", "StudyDate", "StudyTime", "ReferringPhysicianName", "StudyDescription"),
        without("SliceThickness", "PositionReferenceIndicator", "Manufacturer", "SeriesNumber"),
        without("FrameOfReferenceUID"),
        with_values(PatientSex="", PatientBirthDate="", StudyDate="", StudyTime="", SliceThickness=None),
        with_values(SpacingBetweenSlices=None, StudyID=None, AccessionNumber=None),
        with_values(ReferencedStudySequence=Sequence([Dataset()]), ProcedureCodeSequence=Sequence([Dataset()])),
    ],
    ids=["patient", "study", "geometry", "frame", "empty", "empty numbers", "half sequences"],
)
def test_missing_optional_attributes_stop_no_result(tmp_path: Path, change: Callable[[Dataset], None]) -> None:
    """De-identified and careless headers still give a whole result set."""
    analysis = build_analysis(tmp_path / "ct", StudyPlan(change_header=change))
    results = dicom_results(write_result_set(analysis, build_context(), folder=tmp_path / "out"))
    assert [result.Modality for result in results] == ["SR", "SEG", "SEG", "DOC"]
    for result in results:
        assert "PatientID" in result
        assert "StudyDate" in result
        assert not result.get("ReferencedStudySequence")


@pytest.mark.filterwarnings("ignore:Invalid value for VR:UserWarning", "ignore:The value length:UserWarning")
@pytest.mark.parametrize(
    ("keyword", "raw"),
    [("PatientSex", b"MALE"), ("PatientBirthDate", b"unknown "), ("StudyTime", b"10:15:00"), ("StudyDate", b"2024")],
)
def test_invalid_values_are_emptied(tmp_path: Path, keyword: str, raw: bytes) -> None:
    """What is no date, time or sex is not repeated in a result."""

    def spoil(image: Dataset) -> None:
        element = image[keyword]
        image[keyword] = pydicom.DataElement(element.tag, "UN", raw)

    analysis = build_analysis(tmp_path / "ct", StudyPlan(change_header=spoil))
    (dataset, *_) = read_source_images(analysis.volume).datasets
    assert not dataset[keyword].value


@pytest.mark.filterwarnings("ignore:The value length:UserWarning")
def test_overlong_accession_number_is_repeated_as_it_is(tmp_path: Path) -> None:
    """The PACS files results by it, so it must be the one that it knows."""

    def lengthen(image: Dataset) -> None:
        image["AccessionNumber"] = pydicom.DataElement("AccessionNumber", "SH", "A" * 20, validation_mode=0)

    analysis = build_analysis(tmp_path / "ct", StudyPlan(change_header=lengthen))
    for result in dicom_results(write_result_set(analysis, build_context(), folder=tmp_path / "out")):
        assert result.AccessionNumber == "A" * 20


def test_source_that_is_gone_is_an_error_that_says_what_to_do(tmp_path: Path) -> None:
    """A file that vanished while the pipeline ran stops the results."""
    analysis = build_analysis(tmp_path / "ct")
    analysis.volume.slice_headers[3].path.unlink()
    with pytest.raises(SourceImageError, match="check the disk"):
        write_result_set(analysis, build_context(), folder=tmp_path / "out")


def test_source_that_changed_is_refused(tmp_path: Path) -> None:
    """Results never name an instance that they were not made from."""
    analysis = build_analysis(tmp_path / "ct")
    paths = [header.path for header in analysis.volume.slice_headers]
    paths[3].write_bytes(paths[4].read_bytes())
    with pytest.raises(InconsistentAnalysisError, match="changed"):
        write_result_set(analysis, build_context(), folder=tmp_path / "out")


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize(
    ("written", "hostile"),
    [
        pytest.param(b"\x20\x00\x0d\x00UI", b"\x20\x00\x0d\x00NO", id="value representation that does not exist"),
        pytest.param(b"ISO_IR 100", b"OWN\0SET 10", id="NUL in the character set"),
        pytest.param(b"\x20\x00\x0e\x00UI", b"\x20\x00\x0f\x00UI", id="no Series Instance UID"),
        pytest.param(b"\x28\x00\x11\x00US\2\0@\0", b"\x28\x00\x11\x00US\3\0@\0\0", id="a number of three bytes"),
    ],
)
def test_headers_that_no_result_can_be_made_from_are_named_as_such(
    tmp_path: Path, written: bytes, hostile: bytes
) -> None:
    """Found by fuzzing: pydicom raises ValueError and others, or what is dropped as unreadable is missed."""
    analysis = build_analysis(tmp_path / "ct", StudyPlan(change_header=without("FrameOfReferenceUID")))
    path = analysis.volume.slice_headers[0].path
    whole = path.read_bytes()
    assert written in whole
    path.write_bytes(whole.replace(written, hostile, 1))
    with pytest.raises(UnwritableResultError, match="check what the sender writes"):
        write_result_set(analysis, build_context(), folder=tmp_path / "out")


def test_uids_follow_from_what_makes_a_result_another_result(tmp_path: Path) -> None:
    """Other findings, another installation, program, revision or kind give other UIDs; another moment does not."""
    findings = build_analysis(tmp_path / "ct").findings
    context = build_context()
    first = result_uids(findings, context).derive("sr")
    weights = replace(findings.algorithm, weights_sha256="cd" * 32)
    others = [
        result_uids(replace(findings, priors_used=(used_prior(),)), context).derive("sr"),
        result_uids(replace(findings, algorithm=weights), context).derive("sr"),
        result_uids(findings, replace(context, revision=2)).derive("sr"),
        result_uids(findings, replace(context, software_version="0.2.0")).derive("sr"),
        result_uids(findings, replace(context, device_serial_number="8")).derive("sr"),
        result_uids(findings, context).derive("seg"),
    ]
    assert len({first, *others}) == 7
    later = replace(context, created_at=CREATED_AT + timedelta(hours=1))
    assert result_uids(findings, later).derive("sr") == first


def test_whatever_the_findings_say_otherwise_gives_other_uids(tmp_path: Path) -> None:
    """An archive that has the first copy would keep it: a setting that is no part of the algorithm may have changed."""
    findings = build_analysis(tmp_path / "ct").findings
    grown = replace(findings.lesions[0], volume_ml=findings.lesions[0].volume_ml + 1e-9)
    told = [
        findings,
        replace(findings, lesions=(grown, *findings.lesions[1:])),
        replace(findings, lesions=findings.lesions[:1]),
        replace(findings, patient_score=findings.patient_score / 2),
        replace(findings, involvement_percent=findings.involvement_percent + 1),
        replace(findings, qualifications=(*findings.qualifications, "Compared with nothing.")),
    ]
    assert len({result_uids(one, build_context()).derive("sr") for one in told}) == len(told)


def test_a_study_that_comes_again_after_its_deletion_gives_the_same_objects_or_others(tmp_path: Path) -> None:
    """Its revision begins at 1 again: the same findings are the same objects, other findings share none."""
    analysis = build_analysis(tmp_path / "ct")
    other = replace(analysis, findings=replace(analysis.findings, patient_score=analysis.findings.patient_score / 2))
    later = build_context(created_at=CREATED_AT + timedelta(days=90))
    results = [
        dicom_results(write_result_set(one, context, folder=tmp_path / name))
        for name, one, context in (("1", analysis, build_context()), ("2", analysis, later), ("3", other, later))
    ]
    first, again, changed = [[(one.SOPInstanceUID, one.SeriesInstanceUID) for one in some] for some in results]
    assert first == again
    assert not set(first) & set(changed)


def test_derived_uids_are_valid() -> None:
    """At most 64 characters below 2.25 (PS3.5 B.2), and parts do not run into each other."""
    assert pydicom.uid.UID(derive_uid("a", "b")).is_valid
    assert derive_uid("ab", "c") != derive_uid("a", "bc")


@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 2), (2, 2), (1, 9), (30, 40)])
def test_contours_of_rectangles_enclose_them(height: int, width: int) -> None:
    """From one pixel up, with enough points, and the convex outline to the corners."""
    mask = np.zeros((50, 60), dtype=bool)
    mask[10 : 10 + height, 5 : 5 + width] = True
    outline, hull = outer_contour(mask), convex_outline(mask)
    for points in (outline, hull):
        assert len(points) > LEAST_POINTS
        assert points.min(axis=0).tolist() == [5, 10]
        assert points.max(axis=0).tolist() == [5 + width, 10 + height]
    assert enclosed_area(hull) == height * width
    assert enclosed_area(outline) == pytest.approx(height * width, abs=0.51)


def test_contour_at_the_edge_of_the_image_is_closed() -> None:
    """A lesion that the field of view cuts has an outline along the cut."""
    mask = np.zeros((8, 8), dtype=bool)
    mask[:3, 4:] = True
    points = outer_contour(mask)
    assert (points.min(axis=0).tolist(), points.max(axis=0).tolist()) == ([4, 0], [8, 3])


def test_contour_is_that_of_the_largest_part() -> None:
    """Small islands and holes have no outline in the report."""
    mask = np.zeros((40, 40), dtype=bool)
    mask[5:25, 5:25] = True
    mask[10:20, 10:20] = False
    mask[30:33, 30:33] = True
    assert outer_contour(mask).max(axis=0).tolist() == [25, 25]
