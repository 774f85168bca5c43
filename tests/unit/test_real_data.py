"""Folders of real CT become training cases: all of every folder, or none."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pydicom
import pytest
import torch
from numpy.typing import NDArray
from pydicom.uid import UID, MRImageStorage, PositronEmissionTomographyImageStorage, generate_uid

from builders.site_data import ct_of, write_dicom
from builders.training_cases import save_small_cases
from pipeline.model_input import InputContract
from pipeline.study import Float64Array
from pipeline.training.cases import is_whole, load_cases
from pipeline.training.config import DataConfig, RealFolder, TrainingConfig, TrainingConfigError
from pipeline.training.real_data import real_cases_folder, real_folders_fingerprint, render_real_cases
from pipeline.training.real_lungs import read_real_studies
from pipeline.training.run import train
from pipeline.training.train_lungs import load_lung_slices

CONTRACT = InputContract(pixel_mm=8.0)
SLICES = 20


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def real_folder(path: Path, patient: str = "anon") -> RealFolder:
    """One chest in DICOM."""
    write_dicom(path, ct_of(patient, study=path.name))
    return RealFolder(path=path, name=path.name, licence="own", attribution="us")


def config_of(cache: Path, *folders: RealFolder) -> TrainingConfig:
    """One painting of each chest."""
    return TrainingConfig(cache=cache, data=DataConfig(real_folders=folders, paintings_per_real_study=1))


def rendered(config: TrainingConfig) -> Path:
    """As a run makes it."""
    folder = real_cases_folder(config, real_folders_fingerprint(config.data.real_folders), CONTRACT)
    render_real_cases(config.data, folder, CONTRACT)
    return folder


def test_what_a_stop_left_is_not_trained_on(tmp_path: Path) -> None:
    """Neither a part of this version nor the folder that earlier ones wrote straight into."""
    config = config_of(tmp_path, real_folder(tmp_path / "a"))
    folder = real_cases_folder(config, real_folders_fingerprint(config.data.real_folders), CONTRACT)
    for place in (tmp_path / "real", folder, folder.with_name(f".{folder.name}.part")):
        save_small_cases(place, 1)
    rendered(config)
    assert [case.source for case in load_cases(folder)] == ["real"]
    assert len(load_lung_slices(folder).images) == SLICES
    assert not folder.with_name(f".{folder.name}.part").exists()


def test_a_further_folder_and_a_changed_one_are_rendered(tmp_path: Path) -> None:
    """Whatever the cache has of the first, and though both call their patient alike."""
    first = real_folder(tmp_path / "a")
    rendered(config_of(tmp_path, first))
    both = rendered(config_of(tmp_path, first, real_folder(tmp_path / "b")))
    assert len(load_lung_slices(both).images) == 2 * SLICES
    write_dicom(first.path, ct_of("another", study="2"), prefix="more")
    assert len(load_lung_slices(rendered(config_of(tmp_path, first))).images) == 2 * SLICES


def test_what_is_whole_is_not_made_again(tmp_path: Path) -> None:
    """A run that goes on begins where it was."""
    config = config_of(tmp_path, real_folder(tmp_path / "a"))
    made = {path: path.stat().st_mtime_ns for path in rendered(config).rglob("*")}
    assert {path: path.stat().st_mtime_ns for path in rendered(config).rglob("*")} == made


def test_without_folders_nothing_that_the_cache_has_is_taken(tmp_path: Path) -> None:
    """The model card would not name it."""
    config = config_of(tmp_path, real_folder(tmp_path / "a"))
    rendered(config)
    nothing = rendered(replace(config, data=replace(config.data, real_folders=())))
    assert load_cases(nothing) == []
    assert len(load_lung_slices(nothing).images) == 0


def test_a_run_makes_them_before_it_trains(tmp_path: Path) -> None:
    """Whole, where it will look for them."""
    save_small_cases(tmp_path / "cache" / "train", 1)
    config = config_of(tmp_path / "cache", real_folder(tmp_path / "a"))
    config = replace(config, data=replace(config.data, phantom_patients=0, validation_patients=0), device="cpu")

    def stop(what: str, share: float) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(config, out=tmp_path / "pack", on_progress=stop)
    (made,) = (tmp_path / "cache").glob("real-*")
    assert is_whole(made)
    assert len(load_lung_slices(made).images) == SLICES


def test_a_folder_without_a_series_is_refused(tmp_path: Path) -> None:
    """It would be in the model card all the same."""
    empty = RealFolder(path=tmp_path / "none", name="ours", licence="own", attribution="us")
    empty.path.mkdir()
    with pytest.raises(TrainingConfigError, match="no axial CT series"):
        rendered(config_of(tmp_path, real_folder(tmp_path / "a"), empty))


def body_at(points: Float64Array) -> NDArray[np.int16]:
    """An abdomen: soft tissue in air."""
    return np.where(np.linalg.norm(points[..., :2], axis=-1) < 120.0, 40, -1000).astype(np.int16)


def test_a_series_without_lungs_is_left_out_and_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The others of its folder are trained on."""
    folder = real_folder(tmp_path / "a")
    (abdomen, *_) = images = ct_of("anon", study="abdomen", drawing=body_at)
    write_dicom(folder.path, images, prefix="abdomen")
    made = rendered(config_of(tmp_path, folder))
    assert len(load_lung_slices(made).images) == SLICES
    assert f"series {abdomen.SeriesInstanceUID} in {folder.path} shows no lungs, it is left out" in caplog.text


def test_a_folder_without_lungs_is_refused(tmp_path: Path) -> None:
    """Nothing is left to paint in."""
    write_dicom(tmp_path / "b", ct_of("anon", drawing=body_at))
    without = RealFolder(path=tmp_path / "b", name="ours", licence="own", attribution="us")
    with pytest.raises(TrainingConfigError, match=rf"no axial CT series .* shows lungs .*{without.path}"):
        rendered(config_of(tmp_path, real_folder(tmp_path / "a"), without))


@pytest.mark.parametrize("sop_class", [PositronEmissionTomographyImageStorage, MRImageStorage], ids=["pet", "mr"])
def test_what_is_no_ct_is_passed_over(tmp_path: Path, sop_class: UID) -> None:
    """Its values are no Hounsfield units, whatever they look like."""
    folder = real_folder(tmp_path / "a")
    images = ct_of("anon", study="other")
    for image in images:
        image.SOPClassUID = image.file_meta.MediaStorageSOPClassUID = sop_class
    write_dicom(folder.path, images, prefix="other")
    assert len(load_lung_slices(rendered(config_of(tmp_path, folder))).images) == SLICES


def test_a_series_that_makes_no_volume_is_left_out_and_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """All its images lie in one place."""
    folder = real_folder(tmp_path / "a")
    images = ct_of("anon", study="perfusion")
    for image in images:
        image.ImagePositionPatient = images[0].ImagePositionPatient
    write_dicom(folder.path, images, prefix="perfusion")
    assert len(load_lung_slices(rendered(config_of(tmp_path, folder))).images) == SLICES
    assert f"series {images[0].SeriesInstanceUID} in {folder.path} makes no volume, it is left out: " in caplog.text


def second_pass(folder: Path) -> None:
    """The same chest in the same series 40 mm lower."""
    images = ct_of("anon", study=folder.name)
    for image in images:
        image.SOPInstanceUID = image.file_meta.MediaStorageSOPInstanceUID = generate_uid()
        image.PixelData = np.roll(image.pixel_array, 5, axis=0).tobytes()
    write_dicom(folder, images, prefix="second")


def missing_slices(folder: Path) -> None:
    """Four in the middle."""
    for path in sorted(folder.iterdir())[8:12]:
        path.unlink()


@pytest.mark.parametrize("spoilt", [second_pass, missing_slices])
def test_a_series_that_the_node_would_not_read_is_no_healthy_chest(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, spoilt: Callable[[Path], None]
) -> None:
    """Slices of two passes in turn, or with a hole, make a chest that nobody has."""
    folder, other = real_folder(tmp_path / "a"), real_folder(tmp_path / "b")
    spoilt(other.path)
    write_dicom(other.path / "whole", ct_of("anon", study="whole"))
    assert len(load_lung_slices(rendered(config_of(tmp_path, folder, other))).images) == 2 * SLICES
    assert f"in {other.path} makes no volume, it is left out: " in caplog.text


def test_files_that_are_cut_off_are_passed_over(tmp_path: Path) -> None:
    """Wherever their headers end."""
    folder = real_folder(tmp_path / "a")
    content = next(folder.path.iterdir()).read_bytes()
    for length in range(100, content.index(bytes.fromhex("e07f1000")), 15):
        (folder.path / f"cut-{length}").write_bytes(content[:length])
    (study,) = read_real_studies(folder.path)
    assert study.volume_hu.shape[0] == SLICES


def test_another_rendering_is_another_fingerprint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A training does not go on from a checkpoint whose cases had another truth; without folders nothing changes."""
    folders = [real_folder(tmp_path / "a")]
    before = real_folders_fingerprint(folders), real_folders_fingerprint([])
    monkeypatch.setattr("pipeline.training.real_data.RENDERING", 1)
    assert real_folders_fingerprint(folders) != before[0]
    assert real_folders_fingerprint([]) == before[1]


@pytest.mark.parametrize("patient", ["", "../12", "A 1/2"])
def test_a_patient_whose_id_is_no_folder_name_is_called_by_the_study(tmp_path: Path, patient: str) -> None:
    """Nothing is written outside the cache, and what was de-identified to nothing is still a chest."""
    config = config_of(tmp_path / "cache", real_folder(tmp_path / "a", patient))
    folder = rendered(config)
    assert [case.source for case in load_cases(folder)] == ["real"]
    assert {path.parent for path in folder.rglob("lungs.npz")} == {folder / f"0-{study_uid(tmp_path / 'a')}-0"}


def study_uid(folder: Path) -> str:
    """Of the one study there."""
    return str(pydicom.dcmread(next(folder.iterdir()), stop_before_pixels=True).StudyInstanceUID)
