"""The report says what the findings say, in the form that viewers show."""

from pathlib import Path

import pytest
from pydicom.dataset import Dataset

from builders.analysis import (
    StudyPlan,
    build_analysis,
    used_prior,
)
from builders.report import children, code, contour, groups, groups_of, numbers, text, uid, walk
from builders.results import ResultShelf
from builders.segments import voxel_count
from dicom_node.results.contour import enclosed_area
from pipeline.findings import DroppedPrior, GoneLesion, LesionKind, Side

TRACKING_UID = "Tracking Unique Identifier"

FOLLOW_UP = StudyPlan(
    priors_used=(used_prior(),),
    priors_dropped=(DroppedPrior(study_instance_uid="2.25.9", reason="The lungs did not overlap."),),
    gone_lesions=(
        GoneLesion(
            tracking_uid="2.25.77",
            tracking_id="Lesion 0077",
            kind=LesionKind.GROUND_GLASS,
            side=Side.LEFT,
            prior_volume_ml=3.2,
        ),
    ),
)


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> ResultShelf:
    """Written result sets."""
    return ResultShelf(tmp_path_factory.mktemp("results"))


def test_volumes_are_voxel_counts_of_the_segments(shelf: ResultShelf) -> None:
    """A volume in the report is what anyone counts in the segmentation that it names."""
    report = shelf.read("sr.dcm")
    lesions = shelf.read("seg-lesions.dcm")
    measures = lesions.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0]
    voxel_ml = measures.PixelSpacing[0] * measures.PixelSpacing[1] * measures.SpacingBetweenSlices / 1000
    for number in (1, 2, 3):
        group = groups_of(report, f"Lesion {number:04X}")[0]
        assert numbers(group)["Volume"] == (pytest.approx(voxel_count(lesions, number) * voxel_ml, abs=0.001), "cm3")


def test_each_lesion_is_two_groups_with_one_tracking_uid(shelf: ResultShelf) -> None:
    """Numbers with the segment, then the contour without numbers: what viewers merge and show."""
    measured, outlined = groups_of(shelf.read("sr.dcm"), "Lesion 0002")
    templates = [group.ContentTemplateSequence[0].TemplateIdentifier for group in (measured, outlined)]
    assert templates == ["1411", "1410"]
    assert {uid(group, "Tracking Unique Identifier") for group in (measured, outlined)} == {"2.25.702"}
    assert children(measured, "Referenced Segment")[0].ReferencedSOPSequence[0].ReferencedSegmentNumber == 2
    assert numbers(outlined) == {}


def test_lesions_come_before_lungs_and_summary(shelf: ResultShelf) -> None:
    """Viewers jump to the first group: the largest lesion."""
    names = [text(group, "Tracking Identifier") for group in groups(shelf.read("sr.dcm"))][::2]
    assert names == ["Lesion 0001", "Lesion 0002", "Lesion 0003", "Right lung", "Left lung", "Both lungs"]


def test_every_group_has_a_closed_contour_of_more_than_five_points(shelf: ResultShelf) -> None:
    """Also a lesion of a single pixel: shorter polygons are taken for editable rectangles."""
    for group in groups(shelf.read("sr.dcm"))[1::2]:
        points, _ = contour(group)
        assert len(points) > 6
        assert points[0].tolist() == points[-1].tolist()


def test_the_contour_of_a_lesion_encloses_its_key_slice(shelf: ResultShelf, tmp_path: Path) -> None:
    """In image coordinates, where the first pixel reaches from 0 to 1 (PS3.3 C.18.6)."""
    report = shelf.read("sr.dcm")
    analysis = build_analysis(tmp_path / "ct")
    lesion = analysis.findings.lesions[0]
    points, image = contour(groups_of(report, lesion.tracking_id)[1])
    assert image == analysis.volume.slice_headers[lesion.key_slice].sop_instance_uid
    mask = analysis.lesion_labels[lesion.key_slice] == 1
    rows, columns = mask.nonzero()
    assert points.min(axis=0).tolist() == [columns.min(), rows.min()]
    assert points.max(axis=0).tolist() == [columns.max() + 1, rows.max() + 1]
    assert enclosed_area(points) == pytest.approx(mask.sum(), rel=0.05)


def test_numbers_carry_names_and_units_that_viewers_show(shelf: ResultShelf) -> None:
    """A lesion that was seen before says how it changed, in numbers."""
    found = numbers(groups_of(shelf.read("sr.dcm", FOLLOW_UP), "Lesion 0001")[0])
    assert found["Mean Attenuation Coefficient"][1] == "[hnsf'U]"
    assert found["Percentage of volume of that lung"][1] == "%"
    assert found["Volume in prior study"][0] == pytest.approx(found["Volume"][0] / 2, abs=0.001)
    assert found["Relative change in volume since prior study"] == (100.0, "%")
    assert found["Lesion score, not calibrated"] == (0.9, "{0:1}")


def test_what_matters_most_is_among_the_first_five_numbers(shelf: ResultShelf) -> None:
    """OHIF draws no more beside a contour: size and change of a lesion, involvement and score of the patient."""
    report = shelf.read("sr.dcm", FOLLOW_UP)
    assert list(numbers(groups_of(report, "Lesion 0001")[0]))[:5] == [
        "Volume",
        "Change in volume since prior study",
        "Relative change in volume since prior study",
        "Percentage of volume of that lung",
        "Mean Attenuation Coefficient",
    ]
    assert list(numbers(groups_of(report, "Both lungs")[0]))[:4] == [
        "Percentage of lung volume involved",
        "Percentage of right lung involved",
        "Percentage of left lung involved",
        "Patient score, calibrated on other cases",
    ]


@pytest.mark.parametrize(
    ("plan", "changes"),
    [
        (FOLLOW_UP, ["Increase in size", "New finding", "New finding"]),
        (StudyPlan(), ["Not compared with a prior study"] * 3),
    ],
    ids=["with a prior", "without"],
)
def test_change_is_a_code(shelf: ResultShelf, plan: StudyPlan, changes: list[str]) -> None:
    """Each lesion says how it changed, in words that machines read too."""
    lesions = groups(shelf.read("sr.dcm", plan))[:6:2]
    assert [code(group, "Qualitative Difference") for group in lesions] == changes


def test_summary_says_score_stage_and_involvement(shelf: ResultShelf) -> None:
    """The patient's figures stand in one group: of both lungs, of each, and the decision."""
    summary = groups_of(shelf.read("sr.dcm"), "Both lungs")[0]
    found = numbers(summary)
    assert found["Patient score, calibrated on other cases"] == (0.812, "{0:1}")
    assert found["Number of lesions"] == (3.0, "{lesions}")
    assert found["Percentage of lung volume involved"][0] > 0
    assert found["Percentage of right lung involved"][0] > found["Percentage of left lung involved"][0] > 0
    assert code(summary, "Stage of disease on CT (Pan 2020)") == "Advanced (progressive) stage"
    assert code(summary, "Patient score at default operating point") == "Positive"


def evaluation(report: Dataset, name: str) -> str:
    """A text of the section on the whole report."""
    return text(children(report, "Qualitative Evaluations")[0], name)


def test_a_calibrated_score_says_among_whom_it_is_a_probability(shelf: ResultShelf) -> None:
    """Phantoms are named as phantoms, with how many, and what was measured where the decision is made."""
    report = shelf.read("sr.dcm")
    meaning = evaluation(report, "Meaning of the patient score")
    assert "a probability among synthetic phantoms only (120 studies: validation readings of phantoms" in meaning
    assert "does not say how likely this patient is ill" in meaning
    decided = evaluation(report, "Operating point of the patient score")
    assert "0.81 is at least 0.4" in decided
    assert "sensitivity was 90 % on 60 and specificity 81 % on 60" in decided


def test_a_score_without_calibration_says_so(shelf: ResultShelf) -> None:
    """A detector that was never calibrated neither claims a probability nor decides."""
    report = shelf.read("sr.dcm", StudyPlan(calibration=None, operating_points=()))
    summary = groups_of(report, "Both lungs")[0]
    assert numbers(summary)["Patient score, not calibrated"] == (0.812, "{0:1}")
    assert children(summary, "Patient score at default operating point") == []
    assert evaluation(report, "Meaning of the patient score").startswith("The patient score is not calibrated")


def test_a_change_names_the_study_that_it_is_against(shelf: ResultShelf) -> None:
    """In words and as a UID, after the tracking UID that viewers look for first."""
    lesion = groups_of(shelf.read("sr.dcm", FOLLOW_UP), "Lesion 0001")[0]
    assert text(lesion, "Compared with") == "CT of 2024-02-20, 14.1 days earlier"
    assert uid(lesion, "Prior study compared with") == "2.25.501"
    assert next(item.UID for item in lesion.ContentSequence if item.ValueType == "UIDREF") == "2.25.701"


@pytest.mark.parametrize(("plan", "kind"), [(FOLLOW_UP, "Follow-up"), (StudyPlan(), "Baseline")])
def test_groups_carry_the_time_point(shelf: ResultShelf, plan: StudyPlan, kind: str) -> None:
    """The date of the study and its type, in each group with numbers (TID 1502)."""
    for group in groups(shelf.read("sr.dcm", plan))[::2]:
        assert (text(group, "Time Point"), code(group, "Time Point Type")) == ("2024-03-05", kind)


@pytest.mark.parametrize(
    "plan",
    [
        StudyPlan(priors_were_searched=False),
        StudyPlan(priors_dropped=(DroppedPrior(study_instance_uid="2.25.9", reason="of the same day"),)),
    ],
)
def test_what_may_not_be_the_first_study_is_no_baseline(shelf: ResultShelf, plan: StudyPlan) -> None:
    """Its date stands alone."""
    for group in groups(shelf.read("sr.dcm", plan))[::2]:
        assert text(group, "Time Point") == "2024-03-05"
        assert not children(group, "Time Point Type")


def test_lungs_keep_their_tracking_uid_over_studies(shelf: ResultShelf) -> None:
    """The same lung of the same patient can be followed; that of another patient is another."""

    def lung(study: StudyPlan) -> str:
        segment = shelf.read("seg-lungs.dcm", study).SegmentSequence[0]
        assert uid(groups_of(shelf.read("sr.dcm", study), "Right lung")[0], TRACKING_UID) == segment.TrackingUID
        return str(segment.TrackingUID)

    first = lung(StudyPlan())
    assert lung(StudyPlan(change_header=lambda image: setattr(image, "StudyInstanceUID", "2.25.55"))) == first
    assert lung(StudyPlan(change_header=lambda image: setattr(image, "PatientID", "T-2"))) != first


@pytest.mark.parametrize("name", ["sr.dcm", "seg-lungs.dcm", "seg-lesions.dcm"])
def test_the_processing_equipment_is_named(shelf: ResultShelf, name: str) -> None:
    """The algorithm contributed as processing equipment, and is a device of its own for each version and weights."""
    result = shelf.read(name)
    (node,) = [item for item in result.ContributingEquipmentSequence if item.Manufacturer == "dicom-node"]
    assert node.PurposeOfReferenceCodeSequence[0].CodeValue == "109102"
    assert (node.ManufacturerModelName, list(node.SoftwareVersions)) == ("Space-Time-Net", ["0.1-demo", "0.1.0"])
    assert node.DeviceUID.startswith("2.25.")
    assert "ab" * 32 in node.ContributionDescription
    assert node.ContributionDateTime == "20240305123015.000000"
    assert (node.DeviceSerialNumber, result.DeviceSerialNumber) == ("7", "7")


def test_algorithm_weights_and_thresholds_are_named(shelf: ResultShelf) -> None:
    """What made the findings can be told from the report alone."""
    summary = groups_of(shelf.read("sr.dcm"), "Both lungs")[0]
    assert (text(summary, "Algorithm Name"), text(summary, "Algorithm Version")) == ("Space-Time-Net", "0.1-demo")
    parameters = [item.TextValue for item in children(summary, "Algorithm Parameters")]
    assert parameters == [
        "weights_sha256=" + "ab" * 32,
        "trained_on_synthetic_data_only=yes",
        "box_score=0.3",
        "lesion_probability=0.5",
        "smallest_lesion_ml=0.1",
    ]


def test_report_says_what_it_is_not(shelf: ResultShelf) -> None:
    """Not for diagnosis, demo weights, and each qualification, in plain words."""
    report = shelf.read("sr.dcm")
    (section,) = children(report, "Qualitative Evaluations")
    assert text(section, "Intended use").startswith("Not for diagnostic use")
    limits = [item.TextValue for item in children(section, "Limitation of this analysis")]
    assert "synthetic data only" in limits[0]
    assert limits[1] == "Slices are 9 mm apart; lesions below that size can be missed."
    assert limits[2] == "Lesions of less than 0.1 cm3 are not reported."
    assert "not for diagnostic use" in report.SeriesDescription


def test_no_finding_is_a_report_too(shelf: ResultShelf) -> None:
    """Without lesions the lungs and the summary are reported."""
    report = shelf.read("sr.dcm", StudyPlan(with_lesions=False))
    names = [text(group, "Tracking Identifier") for group in groups(report)][::2]
    assert names == ["Right lung", "Left lung", "Both lungs"]
    summary = groups_of(report, "Both lungs")[0]
    assert code(summary, "Stage of disease on CT (Pan 2020)") == "No lesion found"
    assert numbers(summary)["Number of lesions"] == (0.0, "{lesions}")
    assert code(summary, "Patient score at default operating point") == "Negative"
    assert evaluation(report, "Conclusion").startswith("No lesion was found in the lungs")
    assert evaluation(report, "Where lesions were looked for") == (
        "Ground glass and consolidation were looked for in the right lung (1123 cm3) and the left lung (751 cm3), "
        "on 20 slices 9 mm apart; nothing outside the lungs was."
    )


def test_comparison_studies_are_named_with_date_and_interval(shelf: ResultShelf) -> None:
    """A prior that was used, and one that was not, with the reason."""
    (section,) = children(shelf.read("sr.dcm", FOLLOW_UP), "Prior Procedure Descriptions")
    (used,) = children(section, "Comparison study used")
    assert uid(used, "Procedure Study Instance UID") == "2.25.501"
    assert children(used, "Study Date")[0].Date == "20240220"
    assert numbers(used)["Interval since that study"] == (14.12, "d")
    (dropped,) = children(section, "Comparison study not used")
    assert (uid(dropped, "Procedure Study Instance UID"), text(dropped, "Reason")) == (
        "2.25.9",
        "The lungs did not overlap.",
    )


def test_lesions_that_are_gone_are_named(shelf: ResultShelf) -> None:
    """They have no place in this study, so they stand in a section of their own."""
    (section,) = children(shelf.read("sr.dcm", FOLLOW_UP), "Previous Findings")
    (gone,) = children(section, "Previous Finding")
    assert (text(gone, "Tracking Identifier"), uid(gone, "Tracking Unique Identifier")) == ("Lesion 0077", "2.25.77")
    assert code(gone, "Qualitative Difference") == "No longer seen"


def test_key_images_only_are_in_the_image_library(shelf: ResultShelf) -> None:
    """Each image that a contour lies on, and no other; all are evidence."""
    report = shelf.read("sr.dcm")
    (library,) = children(report, "Image Library")
    listed = {
        str(item.ReferencedSOPSequence[0].ReferencedSOPInstanceUID)
        for item in walk(library)
        if item.ValueType == "IMAGE"
    }
    assert listed == {contour(group)[1] for group in groups(report)[1::2]}
    evidence = report.CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence
    assert [len(series.ReferencedSOPSequence) for series in evidence] == [20, 1, 1]


def test_comparison_studies_are_in_order(shelf: ResultShelf) -> None:
    """The oldest is the first, whatever order they are listed in."""
    plan = StudyPlan(priors_used=(used_prior(1), used_prior(2)))
    (section,) = children(shelf.read("sr.dcm", plan), "Prior Procedure Descriptions")
    used = children(section, "Comparison study used")
    assert [numbers(study)["Time Point Order"] for study in used] == [(2.0, "1"), (1.0, "1")]
