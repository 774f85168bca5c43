"""A phantom patient as Enhanced CT through the bundled networks: nothing but the names of the images differs."""

import subprocess
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

from builders.phantoms import LABEL
from pipeline.choose import choose_series
from pipeline.findings import Analysis, Findings, PriorStudy
from pipeline.model_pack import load_model_pack
from pipeline.phantom import (
    Course,
    Scan,
    StudyLabel,
    build_patient,
    write_dicom,
    write_multi_frame_dicom,
    write_whole_study,
)
from pipeline.run import analyse
from pipeline.study import StudyFiles
from pipeline.volume import read_volume

SCAN = Scan(matrix=144, fov_mm=400.0, slice_spacing_mm=6.0)
EARLIER = StudyLabel(identity=LABEL.identity, study_date_time=LABEL.study_date_time, uid_seed="multi-frame earlier")
CURRENT = StudyLabel(
    identity=LABEL.identity, study_date_time=LABEL.study_date_time + timedelta(days=5), uid_seed="multi-frame current"
)
PIXELMED = Path("/usr/share/java/pixelmed.jar")

Writer = Callable[..., tuple[Path, ...]]


def write_study(folder: Path, label: StudyLabel, day: float, write_series: Writer) -> StudyFiles:
    """A whole study of the patient; the same label and day give the same study in either form."""
    patient = build_patient(11, course=Course.ADVANCED)
    written = write_whole_study(patient, day, folder, label=label, scan=SCAN, write_series=write_series)
    return StudyFiles(
        study_instance_uid=written.study_instance_uid, acquired_at=label.study_date_time, paths=written.paths
    )


def analyse_written(folder: Path, write_current: Writer, write_earlier: Writer) -> Analysis:
    """The current study with the earlier one, which was not analysed before."""
    current = write_study(folder / "current", CURRENT, 8.0, write_current)
    earlier = write_study(folder / "earlier", EARLIER, 3.0, write_earlier)
    prior = PriorStudy(files=earlier, known=None)
    return analyse(current, [prior], pack=load_model_pack(None), device="cpu", on_progress=lambda *_: None)


@pytest.fixture(scope="module")
def single(tmp_path_factory: pytest.TempPathFactory) -> Analysis:
    """Both studies as single-frame images."""
    return analyse_written(tmp_path_factory.mktemp("single"), write_dicom, write_dicom)


@pytest.fixture(scope="module")
def multi(tmp_path_factory: pytest.TempPathFactory) -> Analysis:
    """Both studies as Enhanced CT."""
    return analyse_written(tmp_path_factory.mktemp("multi"), write_multi_frame_dicom, write_multi_frame_dicom)


def without_names(findings: Findings) -> Findings:
    """Without the names of the images that were read."""
    return replace(findings, input_sop_instance_uids=(), input_frame_numbers=())


def test_findings_and_masks_are_identical(single: Analysis, multi: Analysis) -> None:
    """Lesions, changes, scores and reasons, to the last bit; and there is something to find."""
    assert single.findings.lesions
    assert single.findings.priors_used
    assert without_names(multi.findings) == without_names(single.findings)
    assert np.array_equal(multi.volume.volume_hu, single.volume.volume_hu)
    assert np.array_equal(multi.lesion_labels, single.lesion_labels)
    assert np.array_equal(multi.lung_mask, single.lung_mask)


def test_every_slice_is_named_by_its_frame(multi: Analysis) -> None:
    """One instance, each frame of it once."""
    count = multi.volume.grid.shape[0]
    assert len(set(multi.findings.input_sop_instance_uids)) == 1
    assert sorted(multi.findings.input_frame_numbers) == list(range(1, count + 1))


def test_pixelmed_s_conversion_is_read_as_the_images_it_was_made_of(tmp_path: Path) -> None:
    """A multi-frame object that another program put together from the same images."""
    if not PIXELMED.is_file():
        pytest.skip("PixelMed is not installed: apt-get install libpixelmed-java")
    study = write_study(tmp_path / "study", CURRENT, 8.0, write_dicom)
    choice = choose_series(study.paths)
    lung = tmp_path / "lung"
    lung.mkdir()
    for header in choice.slice_headers:
        header.path.rename(lung / header.path.name)
    (tmp_path / "converted").mkdir()
    factory = ["java", "-cp", str(PIXELMED), "com.pixelmed.dicom.MultiFrameImageFactory"]
    subprocess.run([*factory, str(lung), str(tmp_path / "converted")], check=True, capture_output=True, timeout=120)
    converted = read_volume(choose_series((tmp_path / "converted").iterdir()))
    single = read_volume(choose_series(lung.iterdir()))
    assert converted.slice_headers[0].frame_number is not None
    assert np.array_equal(converted.volume_hu, single.volume_hu)
    assert np.allclose(converted.grid.affine_lps_from_kji, single.grid.affine_lps_from_kji)
