"""What is encoded by us means what highdicom writes, attribute by attribute, and is read by others."""

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom
import pytest
import SimpleITK
from pydicom.dataset import Dataset

from builders.analysis import ALL_LAYOUTS, StudyPlan, build_analysis, build_context, used_prior
from builders.plain_highdicom import plain_results
from dicom_node.results.context import Predecessor
from dicom_node.results.encode import dicom_bytes
from dicom_node.results.plan import ResultPlan, SrClass
from dicom_node.results.seg_frames import Segments, frames_of, packed_pixels
from dicom_node.results.write import write_result_set
from pipeline.findings import Analysis

PEER_KINDS = ("sr", "seg-lungs", "seg-lesions")
"""What highdicom writes too."""

PREDECESSOR = Predecessor(
    sop_class_uid="1.2.840.10008.5.1.4.1.1.88.33",
    sop_instance_uid="2.25.1",
    series_instance_uid="2.25.2",
    study_instance_uid="2.25.3",
)


def uneven(analysis: Analysis) -> None:
    """One lung on slices with a gap, lesions on slices of their own."""
    analysis.lung_mask[analysis.lung_mask == 1] = 0
    analysis.lung_mask[9] = 0


def one_lung(analysis: Analysis) -> None:
    """The left lung alone, on slices without a gap."""
    analysis.lung_mask[analysis.lung_mask == 1] = 0


def with_spacing(image: Dataset) -> None:
    """A source that names the distance of its slices."""
    image.SpacingBetweenSlices = "9.0"


def irregular(image: Dataset) -> None:
    """A source whose slices are not evenly spaced."""
    if image.InstanceNumber == 5:
        image.ImagePositionPatient = [*image.ImagePositionPatient[:2], image.ImagePositionPatient[2] + 2]


def lossy(image: Dataset) -> None:
    """A source that was compressed with loss, in another character set."""
    image.SpecificCharacterSet, image.PatientName = "ISO_IR 101", "Żuławska^Łucja"
    image.LossyImageCompression, image.LossyImageCompressionRatio = "01", "8"
    image.LossyImageCompressionMethod = "ISO_10918_1"


PLANS = {name: StudyPlan(layout=layout) for name, layout in ALL_LAYOUTS.items()} | {
    "no lesion": StudyPlan(with_lesions=False),
    "follow-up": StudyPlan(priors_used=(used_prior(),)),
    "spacing named": StudyPlan(change_header=with_spacing),
    "irregular": StudyPlan(change_header=irregular),
    "lossy": StudyPlan(change_header=lossy),
}


def same_attributes(analysis: Analysis, folder: Path, **context: object) -> int:
    """Compare every file with highdicom's object; how many were compared."""
    settings = build_context(**({"plan": ResultPlan(pdf=False)} | context))
    files = [file for file in write_result_set(analysis, settings, folder=folder) if file.kind in PEER_KINDS]
    peers = plain_results(analysis, settings, settings.plan.sr_classes[0])
    for file in files:
        peer_path = folder / f"peer-{file.path.name}"
        peer_path.write_bytes(dicom_bytes(peers[file.path.name]))
        ours, peer = pydicom.dcmread(file.path), pydicom.dcmread(peer_path)
        assert file.path.read_bytes() == peer_path.read_bytes()
        assert ours.file_meta == peer.file_meta
        assert ours == peer
        assert list(ours.keys()) == list(peer.keys())
    assert len(files) == len(peers)
    return len(files)


@pytest.mark.parametrize("plan", PLANS.values(), ids=PLANS.keys())
def test_every_attribute_is_as_highdicom_writes_it(tmp_path: Path, plan: StudyPlan) -> None:
    """Values, sequences, order of frames and pixels, in every orientation, to the last byte."""
    count = same_attributes(build_analysis(tmp_path / "ct", plan), tmp_path / "out", predecessor=PREDECESSOR)
    assert count == (3 if plan.with_lesions else 2)


@pytest.mark.parametrize("change", [one_lung, uneven], ids=["without a gap", "with a gap"])
def test_a_single_segment_is_as_highdicom_writes_it(tmp_path: Path, change: Callable[[Analysis], None]) -> None:
    """It is named once for all frames, and frames that follow evenly are a volume."""
    analysis = build_analysis(tmp_path / "ct", StudyPlan(with_lesions=False))
    change(analysis)
    assert same_attributes(analysis, tmp_path / "out") == 2
    lungs = pydicom.dcmread(tmp_path / "out" / "seg-lungs.dcm")
    assert lungs.get("DimensionOrganizationType") == ("3D" if change is one_lung else None)


def test_a_3d_report_is_as_highdicom_writes_it(tmp_path: Path) -> None:
    """The other SR class too."""
    plan = ResultPlan(sr_classes=(SrClass.COMPREHENSIVE_3D,), pdf=False)
    assert same_attributes(build_analysis(tmp_path / "ct"), tmp_path / "out", plan=plan) == 3


@pytest.mark.parametrize("shape", [(3, 8, 8), (5, 7, 9), (11, 3, 5), (1, 1, 1)])
def test_frames_of_any_size_run_on_without_a_gap(shape: tuple[int, int, int]) -> None:
    """Also where a frame ends within a byte."""
    labels = np.random.default_rng(1).integers(1, 3, shape).astype(np.uint8)
    segments = Segments(labels=labels, values=(2, 1))
    frames = frames_of(segments)
    expected = np.stack([labels[frame.k] == segments.values[frame.segment_number - 1] for frame in frames])
    packed = packed_pixels(frames, segments)
    assert len(packed) % 2 == 0
    bits = np.unpackbits(np.frombuffer(packed, np.uint8), bitorder="little")
    assert np.array_equal(bits[: expected.size].reshape(expected.shape), expected)


def test_dcmqi_gives_the_voxels_back(tmp_path: Path) -> None:
    """A stranger's reader makes the masks again, segment by segment."""
    program = shutil.which("segimage2itkimage") or shutil.which("segimage2itkimage", path=Path(sys.executable).parent)
    if program is None:
        pytest.skip("segimage2itkimage is not installed: pip install dcmqi")
    analysis = build_analysis(tmp_path / "ct")
    write_result_set(analysis, build_context(plan=ResultPlan(pdf=False)), folder=tmp_path / "out")
    for name, labels, count in (("lungs", analysis.lung_mask, 2), ("lesions", analysis.lesion_labels, 3)):
        read = tmp_path / name
        read.mkdir()
        source = tmp_path / "out" / f"seg-{name}.dcm"
        subprocess.run(
            [program, "--inputDICOM", source, "--outputDirectory", read], check=True, capture_output=True, timeout=120
        )
        found = sorted(read.glob("*.nrrd"))
        assert len(found) == count
        for number, path in enumerate(found, start=1):
            voxels = SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(path)))
            assert int((voxels > 0).sum()) == int((labels == number).sum())
