"""A store becomes training cases: one grid, one position, honest about what is not known."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from builders.ct_series import LUNG_HU, RIGHT_LUNG_CENTRE, chest_hu
from builders.site_data import Drawing, ct_of, lesion_at, lesion_square, write_dicom, write_nifti
from builders.site_store import imported, name_in, only_study, values_of
from builders.training_cases import save_small_cases, small_case
from pipeline.evaluation.truth import case_truth
from pipeline.importers.records import ImportOptions
from pipeline.importers.splits import Split
from pipeline.model_input import InputContract
from pipeline.model_pack import load_model_pack
from pipeline.space_time import SpaceTimeNet
from pipeline.study import LEFT_LUNG, RIGHT_LUNG, Float64Array
from pipeline.training.cases import Case
from pipeline.training.checkpoints import step_generator
from pipeline.training.config import SpaceTimeTraining, load_training_config
from pipeline.training.run import train
from pipeline.training.sequences import sample_batch
from pipeline.training.site_cases import load_site_cases, store_training_data
from pipeline.training.site_grid import MOST_LESIONS, SiteStudy, case_of, known_kinds, labels_as_volume, numbered
from pipeline.training.train_space_time import batch_loss, network_config
from pipeline.training.what_was_seen import forbids_commercial_use

RUN = """
cache = "cache"
threads = 1
device = "cpu"
[[data.stores]]
path = "store"
[lungs]
steps = 1
batch = 1
[space_time]
steps = 2
batch = 1
slices = 3
crop = [32, 32]
hidden = 8
widths = [8, 8, 16, 16]
real_share = 1.0
"""

CONTRACT = InputContract(pixel_mm=4.0)
NOT_KNOWN = 255


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def moved(drawing: Drawing, shift_mm: Float64Array) -> Drawing:
    """The same patient lying elsewhere."""
    return lambda points: drawing(points - shift_mm)


def lungs_at(points: Float64Array) -> NDArray[np.uint8]:
    """Lungs of `chest_hu` with what lies in them, 1 right, 2 left."""
    inside = (chest_hu(points) == LUNG_HU) | (lesion_at(points) > 0)
    return np.where(inside, np.where(points[..., 0] < 0, RIGHT_LUNG, LEFT_LUNG), 0).astype(np.uint8)


def one_lung_at(points: Float64Array) -> NDArray[np.uint8]:
    """The right lung only, and half of it: another patient, or after an operation."""
    return np.where(points[..., 2] > RIGHT_LUNG_CENTRE[2], lungs_at(points) == RIGHT_LUNG, 0).astype(np.uint8)


def course(
    folder: Path, *studies: tuple[float, Drawing, Drawing], lesion: Drawing = lesion_at, licence: str = ""
) -> Path:
    """A store of one training patient; each study is its day, its lungs, and how the patient was moved."""
    patient = name_in(Split.TRAIN, "ours")
    rows = ["id,patient,day"]
    for number, (day, chest, lungs) in enumerate(studies):
        write_nifti(folder / "in" / f"s{number}.nii.gz", chest)
        write_nifti(folder / "in" / f"s{number}_lung.nii.gz", lungs)
        write_nifti(folder / "in" / f"s{number}_mask.nii.gz", lesion)
        rows.append(f"s{number},{patient},{day}")
    (folder / "table.csv").write_text("\n".join(rows) + "\n")
    options = ImportOptions(name="ours", table=folder / "table.csv")
    imported("nifti-dir", folder / "in", folder / "store", options=options, licence=licence)
    return folder / "store"


def cases_of(store: Path, split: Split = Split.TRAIN) -> list[Case]:
    """With a cache beside the store."""
    return load_site_cases(store, split, store.parent / "cache", CONTRACT)


def centroid(mask: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Mean index of a mask, (z, y, x)."""
    return np.argwhere(mask).mean(axis=0)


def test_a_study_lies_on_the_model_grid_with_its_truth(tmp_path: Path) -> None:
    """Left is at high x; lungs, lesion number and kind agree."""
    (case,) = cases_of(course(tmp_path, (0.0, chest_hu, lungs_at)))
    lungs, numbers, kinds = case.studies[0].truth
    assert (case.source, case.diseased, case.pixel_mm, case.slice_spacing_mm) == ("site", True, 4.0, 8.0)
    assert centroid(lungs == RIGHT_LUNG)[2] < centroid(lungs == LEFT_LUNG)[2]
    assert set(np.unique(numbers)) == {0, 1}
    np.testing.assert_array_equal(numbers > 0, kinds == 1)
    assert (lungs[numbers > 0] == LEFT_LUNG).all()
    middle = tuple(np.rint(centroid(numbers > 0)).astype(int))
    assert case.studies[0].volume_hu[middle] == pytest.approx(-500, abs=30)


def test_the_model_grid_keeps_volumes(tmp_path: Path) -> None:
    """A tenth more or less of the lesion at most."""
    store = course(tmp_path, (0.0, chest_hu, lungs_at))
    (case,) = cases_of(store)
    drawn_ml = np.count_nonzero(lesion_at_store(store)) * 8.0**3 / 1000
    found_ml = np.count_nonzero(case.studies[0].truth[1]) * 8.0 * 4.0**2 / 1000
    assert found_ml == pytest.approx(drawn_ml, rel=0.1)


def lesion_at_store(store: Path) -> NDArray[np.int64]:
    """The stored lesion mask."""
    return values_of(only_study(store) / "lesion.nii.gz")


def test_studies_of_a_patient_are_laid_on_the_newest(tmp_path: Path) -> None:
    """What was at one place in the patient is at one place in the case, with its days apart."""
    shift = np.array([16.0, -8.0, 16.0])
    earlier = (3.0, moved(chest_hu, shift), moved(lungs_at, shift))
    store = course(tmp_path, (17.5, chest_hu, lungs_at), earlier)
    (case,) = cases_of(store)
    first, newest = case.studies
    assert newest.day - first.day == 14.5
    assert first.volume_hu.shape == newest.volume_hu.shape
    lungs = [study.truth[0] > 0 for study in case.studies]
    assert 2 * (lungs[0] & lungs[1]).sum() / (lungs[0].sum() + lungs[1].sum()) > 0.9


def test_a_pair_that_does_not_fit_becomes_two_cases(tmp_path: Path) -> None:
    """The gate of the pipeline decides; nobody is lost."""
    store = course(tmp_path, (1.0, chest_hu, one_lung_at), (9.0, chest_hu, lungs_at))
    cases = cases_of(store)
    assert [len(case.studies) for case in cases] == [1, 1]


def test_studies_without_a_day_are_not_put_in_order(tmp_path: Path) -> None:
    """Each is a case of its own, all in one split."""
    for name in ("volume-covid19-A-0003", "volume-covid19-A-0003_1"):
        write_nifti(tmp_path / "in" / f"{name}_ct.nii.gz", chest_hu)
        write_nifti(tmp_path / "in" / f"{name}_seg.nii.gz", lesion_at)
    imported("covid-19-20", tmp_path / "in", tmp_path / "store")
    found = [cases_of(tmp_path / "store", split) for split in Split]
    assert sorted(len(cases) for cases in found) == [0, 0, 2]
    assert all(len(case.studies) == 1 for cases in found for case in cases)


def labelled_store(folder: Path) -> Path:
    """A subject of COVID-CT-MD whose slices with the lesion are labelled."""
    subject = name_in(Split.TRAIN, "covid-ct-md")
    images = ct_of(subject)
    labels = np.zeros((1, 30), np.int64)
    labels[0, : len(images)] = [lesion_square(image) is not None for image in images]
    for image in images:
        image.SliceLocation = float(image.ImagePositionPatient[2])
    write_dicom(folder / "in" / "COVID-19 subjects" / subject, images)
    (folder / "in" / "Index.csv").write_text(f"Label Index,Diagnosis,Relative Path,Folder/ID\n0,,,{subject}\n")
    np.save(folder / "in" / "Slice-level-labels.npy", labels)
    imported("covid-ct-md", folder / "in", folder / "store")
    return folder / "store"


def test_labels_of_slices_become_what_is_known_of_voxels(tmp_path: Path) -> None:
    """Lungs nobody drew come from the network; in slices with a lesion they are not known, in the others clear."""
    (case,) = cases_of(labelled_store(tmp_path))
    study = case.studies[0]
    assert study.slice_labels is not None
    lungs, _, kinds = study.truth
    for label, plane_lungs, plane_kinds in zip(study.slice_labels, lungs, kinds, strict=True):
        assert (plane_kinds[plane_lungs > 0] == (NOT_KNOWN if label == 1 else 0)).all()
        assert not plane_kinds[plane_lungs == 0].any()
    assert 0 < np.count_nonzero(study.slice_labels == 1) < np.count_nonzero(study.slice_labels == 0)
    assert case.diseased


def site_study(kinds: NDArray[np.uint8], **changes: object) -> SiteStudy:
    """A block of lung with air around it, 8 mm voxels."""
    lungs = np.zeros(kinds.shape, np.uint8)
    lungs[:, 4:-4, 4:20], lungs[:, 4:-4, 24:-4] = RIGHT_LUNG, LEFT_LUNG
    study = SiteStudy(
        day=0.0,
        volume_hu=np.full(kinds.shape, -800, np.int16),
        lungs=lungs,
        kinds=kinds,
        slice_codes=None,
        spacing_mm=(8.0, 8.0, 8.0),
        is_diseased=False,
    )
    return replace(study, **changes)


def test_slabs_of_thin_slices_show_a_lesion_where_one_slice_does() -> None:
    """And are clear only where all are."""
    labels = np.array([0, 0, 1, 0, -1, 0, 0, 0], np.int8)
    shape = (8, 40, 44)
    study = site_study(known_kinds(None, labels, shape), slice_codes=labels_as_volume(labels, shape))
    (found,) = case_of("x", [study], InputContract(pixel_mm=8.0, slice_spacing_mm=16.0)).studies
    assert found.slice_labels is not None
    assert found.slice_labels.tolist() == [0, 1, -1, 0]


def test_what_is_neither_ground_glass_nor_consolidation_is_not_known() -> None:
    """The loss learns nothing there, and no box asks for it."""
    lesion = np.zeros((10, 40, 44), np.uint8)
    lesion[3:6, 10:16, 8:12] = 3
    study = site_study(known_kinds(lesion, None, lesion.shape))
    case = case_of("x", [study], InputContract(pixel_mm=8.0))
    assert set(np.unique(case.studies[0].truth[2])) == {0, NOT_KNOWN}
    assert not case.studies[0].truth[1].any()
    assert not case.diseased


def test_a_lesion_drawn_beside_the_lungs_is_lesion_and_the_lungs_stay_as_found() -> None:
    """A dense lobe is what lung masks miss first: what a network is shown must not say where it was drawn."""
    lesion = np.zeros((10, 40, 44), np.uint8)
    lesion[3:6, 10:16, 19:22] = 2
    study = site_study(known_kinds(lesion, None, lesion.shape))
    (found,) = case_of("x", [study], InputContract(pixel_mm=8.0)).studies
    lungs, numbers, kinds = found.truth
    assert np.count_nonzero(numbers) == np.count_nonzero(kinds == 2) == np.count_nonzero(lesion)
    assert np.count_nonzero(lungs) == np.count_nonzero(study.lungs)
    assert np.count_nonzero(found.lungs_with_lesions & ~found.lungs) == 3 * 6 * 2


def test_a_lesion_drawn_below_the_lungs_is_not_cut_off() -> None:
    """Of any study of the patient: the window reaches as far as lungs and lesions do."""
    lesion = np.zeros((20, 40, 44), np.uint8)
    lesion[1:9, 10:16, 8:12] = 2
    lungs = np.zeros(lesion.shape, np.uint8)
    lungs[8:18, 4:-4, 4:20] = RIGHT_LUNG
    ill = site_study(known_kinds(lesion, None, lesion.shape), lungs=lungs)
    clear = site_study(known_kinds(0 * lesion, None, lesion.shape), lungs=lungs, day=9.0)
    for studies in ([ill], [ill, clear]):
        case = case_of("x", studies, InputContract(pixel_mm=8.0))
        assert np.count_nonzero(case.studies[0].truth[1]) == np.count_nonzero(lesion)
        assert case_truth(case).studies[0].lesion_ml == pytest.approx(np.count_nonzero(lesion) * 8.0**3 / 1000)


def test_more_lesions_than_numbers_leave_the_smallest_unknown() -> None:
    """A byte holds 254 beside none."""
    kinds = np.zeros((3, 80, 80), np.uint8)
    kinds[1, ::4, ::4] = 1
    kinds[1, 1, 0] = 1
    numbers, known = numbered(kinds)
    assert numbers.max() == MOST_LESIONS
    assert numbers[1, 0, 0] == numbers[1, 1, 0] == 1
    assert np.count_nonzero(known == NOT_KNOWN) == 400 - MOST_LESIONS


def test_only_the_wanted_split_is_made_and_only_once(tmp_path: Path) -> None:
    """A store that did not change costs nothing; one that did is made anew."""
    store = course(tmp_path, (0.0, chest_hu, lungs_at))
    assert cases_of(store, Split.TEST) == []
    cases_of(store)
    made = {path: path.stat().st_mtime_ns for path in (tmp_path / "cache").rglob("*.npy")}
    cases_of(store)
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "cache").rglob("*.npy")} == made
    course(tmp_path, (0.0, chest_hu, lungs_at), lesion=lambda points: 0 * lesion_at(points))
    (case,) = cases_of(store)
    assert not case.studies[0].truth[1].any()


def test_a_study_with_nothing_but_a_label_teaches_nothing(tmp_path: Path) -> None:
    """It stays in the store, and is no case."""
    name = name_in(Split.TRAIN, "mosmed")
    write_nifti(tmp_path / "in" / "CT-2" / f"{name}.nii.gz", chest_hu)
    imported("mosmed", tmp_path / "in", tmp_path / "store")
    assert only_study(tmp_path / "store").is_dir()
    assert cases_of(tmp_path / "store") == []


def test_terms_of_the_data_are_told(tmp_path: Path) -> None:
    """With their warnings."""
    write_nifti(tmp_path / "in" / "studies" / "CT-0" / "study_1.nii.gz", chest_hu)
    imported("mosmed", tmp_path / "in", tmp_path / "store")
    (data,) = store_training_data(tmp_path / "store")
    assert data.name == "mosmed"
    assert "non-commercial; no derivatives" in data.licence
    assert forbids_commercial_use([data])


@pytest.mark.parametrize(
    "make", [lambda folder: course(folder, (0.0, chest_hu, lungs_at)), labelled_store], ids=["masks", "slice-labels"]
)
def test_a_training_step_runs_on_a_store(tmp_path: Path, make: Callable[[Path], Path]) -> None:
    """From files of a site to a gradient."""
    settings = SpaceTimeTraining(
        batch=1, slices=3, crop=(32, 32), hidden=8, widths=(8, 8, 16, 16), real_share=1.0, no_prior_share=1.0
    )
    torch.manual_seed(0)
    net = SpaceTimeNet(network_config(settings))
    batch = sample_batch([small_case(1)], cases_of(make(tmp_path)), settings, step_generator(1, 1))
    loss = batch_loss(net, batch)
    loss.backward()
    assert torch.isfinite(loss)
    assert all(torch.isfinite(one.grad).all() for one in net.parameters() if one.grad is not None)


def test_a_whole_run_on_a_store_says_so_in_its_pack(tmp_path: Path) -> None:
    """Model card, licence and description name the store's terms, and no longer claim synthetic lesions only."""
    for number, name in enumerate(("train", "validation")):
        save_small_cases(tmp_path / "cache" / name, 1 + number)
    course(tmp_path, (0.0, chest_hu, lungs_at), licence="CC BY-NC-ND 3.0")
    (tmp_path / "t.toml").write_text(RUN)
    config = load_training_config(tmp_path / "t.toml")
    config = replace(config, data=replace(config.data, phantom_patients=0, validation_patients=0))
    folder = train(config, out=tmp_path / "pack", on_progress=lambda *_: None)
    pack = load_model_pack(folder)
    card = (folder / "docs" / "README.md").read_text()
    assert "CC BY-NC-ND 3.0; non-commercial; no derivatives" in card
    assert "Every lesion these networks ever saw was synthetic" not in card
    assert not pack.synthetic_training_only
    assert "On 2 phantom patients" in card
    assert "No patient of the stores was looked at" in card
    assert "ours" in {data.name for data in pack.training_data}
    assert "may not be used commercially" in (folder / "LICENSE").read_text()
