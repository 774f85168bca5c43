"""dcmqi, with which 3D Slicer reads results, gives back the numbers and voxels that `findings.json` states."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from SimpleITK import GetArrayFromImage, ReadImage

from builders.analysis import StudyPlan
from builders.programs import run_dcmqi
from builders.result_plans import STUDIES
from builders.results import ResultShelf
from dicom_node.results.plan import ResultPlan, SrClass, SrLayout

MEASURED = (SrClass.COMPREHENSIVE, SrClass.COMPREHENSIVE_3D, SrClass.ENHANCED)
"""The classes that hold numbers."""


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> ResultShelf:
    """Written result sets."""
    return ResultShelf(tmp_path_factory.mktemp("results"))


def measurements(report: Path, folder: Path) -> list[dict[str, Any]]:
    """The measurement groups as tid1500reader lists them; there must be some."""
    listed = folder / "report.json"
    run_dcmqi("tid1500reader", "--inputDICOM", report, "--outputMetadata", listed)
    found: list[dict[str, Any]] = json.loads(listed.read_bytes())["Measurements"]
    assert found
    return found


def numbers(group: dict[str, Any]) -> dict[str, float]:
    """Names and values of a group; a contour has none."""
    return {item["quantity"]["CodeMeaning"]: float(item["value"]) for item in group.get("measurementItems", ())}


def numbers_by_uid(groups: list[dict[str, Any]]) -> dict[str, dict[str, float]]:
    """The numbers of each tracked thing; its groups share one tracking UID."""
    found: dict[str, dict[str, float]] = {}
    for group in groups:
        found.setdefault(group["TrackingUniqueIdentifier"], {}).update(numbers(group))
    return found


def document(folder: Path) -> dict[str, Any]:
    """`findings.json` of a result set."""
    loaded: dict[str, Any] = json.loads((folder / "out" / "findings.json").read_bytes())
    return loaded


def expected(lesion: dict[str, Any]) -> dict[str, float]:
    """What the report must say of a lesion of `findings.json`."""
    stated = {
        "Volume": lesion["volume_ml"],
        "Mean Attenuation Coefficient": lesion["mean_hu"],
        "Standard Deviation of Attenuation Coefficient": lesion["sd_hu"],
        "Percentage of volume of that lung": lesion["share_of_lung_percent"],
        "Lesion score, not calibrated": lesion["score"],
    }
    prior_ml = lesion["prior_volume_ml"]
    if prior_ml is None:
        return stated
    change_ml = lesion["volume_ml"] - prior_ml
    return stated | {
        "Volume in prior study": prior_ml,
        "Change in volume since prior study": change_ml,
        "Relative change in volume since prior study": 100 * change_ml / prior_ml,
    }


@pytest.mark.parametrize("layout", list(SrLayout))
@pytest.mark.parametrize("sr_class", MEASURED)
@pytest.mark.parametrize("study", STUDIES.values(), ids=STUDIES.keys())
def test_numbers_of_lesions_come_back(
    shelf: ResultShelf, tmp_path: Path, study: StudyPlan, sr_class: SrClass, layout: SrLayout
) -> None:
    """Every lesion with every number, and no lesion or number more."""
    folder = shelf.folder(study, plan=ResultPlan(sr_classes=(sr_class,), sr_layout=layout))
    found = numbers_by_uid(measurements(folder / "out" / "sr.dcm", tmp_path))
    lesions = {lesion["tracking_uid"]: lesion for lesion in document(folder)["lesions"]}
    assert {uid for uid, values in found.items() if "Lesion score, not calibrated" in values} == set(lesions)
    for uid, lesion in lesions.items():
        assert found[uid] == pytest.approx(expected(lesion), abs=0.051)


@pytest.mark.parametrize("study", STUDIES.values(), ids=STUDIES.keys())
def test_numbers_of_lungs_and_patient_come_back(shelf: ResultShelf, tmp_path: Path, study: StudyPlan) -> None:
    """Volume and involvement of each lung and both, and the patient score."""
    folder = shelf.folder(study)
    groups = measurements(folder / "out" / "sr.dcm", tmp_path)
    named = {group["TrackingIdentifier"]: numbers(group) for group in groups if group.get("measurementItems")}
    stated = document(folder)
    for lung in stated["lungs"]:
        found = named[f"{lung['side'].capitalize()} lung"]
        assert found["Volume"] == pytest.approx(lung["volume_ml"], abs=0.001)
        assert found["Percentage of lung volume involved"] == pytest.approx(lung["involvement_percent"], abs=0.005)
    summary = named["Both lungs"]
    assert summary["Number of lesions"] == len(stated["lesions"])
    assert summary["Percentage of lung volume involved"] == pytest.approx(stated["involvement_percent"], abs=0.005)
    score = summary["Patient score, calibrated on other cases"]
    assert score == pytest.approx(stated["patient_score"], abs=0.0005)


def voxels(segmentation: Path, folder: Path) -> tuple[dict[int, int], float]:
    """Voxels of each segment, and the volume of one in ml, as segimage2itkimage writes them."""
    run_dcmqi(
        "segimage2itkimage", "--inputDICOM", segmentation, "--outputDirectory", folder, "-t", "nrrd", "--mergeSegments"
    )
    (image,) = [ReadImage(str(path)) for path in folder.glob("*.nrrd")]
    values, counts = np.unique(GetArrayFromImage(image), return_counts=True)
    inside = {int(value): int(count) for value, count in zip(values, counts, strict=True) if value}
    assert inside
    return inside, float(np.prod(image.GetSpacing())) / 1000.0


@pytest.mark.parametrize("study", STUDIES.values(), ids=STUDIES.keys())
def test_voxels_of_lungs_come_back(shelf: ResultShelf, tmp_path: Path, study: StudyPlan) -> None:
    """Segment by segment, the voxels are the volume that is stated, right before left."""
    folder = shelf.folder(study)
    counts, voxel_ml = voxels(folder / "out" / "seg-lungs.dcm", tmp_path)
    stated = [lung["volume_ml"] for lung in document(folder)["lungs"]]
    assert [counts[number] * voxel_ml for number in sorted(counts)] == pytest.approx(stated, rel=1e-5)


@pytest.mark.parametrize("name", [name for name, study in STUDIES.items() if study.with_lesions])
def test_voxels_of_lesions_come_back(shelf: ResultShelf, tmp_path: Path, name: str) -> None:
    """Each lesion is the segment of its number, down to a single voxel."""
    folder = shelf.folder(STUDIES[name])
    counts, voxel_ml = voxels(folder / "out" / "seg-lesions.dcm", tmp_path)
    stated = {lesion["number"]: lesion["volume_ml"] for lesion in document(folder)["lesions"]}
    assert {number: count * voxel_ml for number, count in counts.items()} == pytest.approx(stated, rel=1e-5)
