"""A store of a site's own studies as training cases."""

import hashlib
import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache as kept
from itertools import groupby
from pathlib import Path

import numpy as np
import SimpleITK
import torch

from pipeline.affine_fit import Chest, chest_of
from pipeline.align import align_prior
from pipeline.chest_volume import ChestVolume, chest_volume
from pipeline.importers.records import NOT_KNOWN, Licence
from pipeline.importers.splits import Split
from pipeline.importers.store import StoredStudy, read_store, read_terms
from pipeline.importers.store_files import CT_FILE, LESION_FILE, LUNG_FILE, SLICE_LABELS_FILE, read_slice_labels
from pipeline.lungs import NetworkLungSegmenter
from pipeline.model_input import InputContract
from pipeline.model_pack import TrainingData, load_model_pack
from pipeline.orient import LpsVolume, grid_of_image
from pipeline.study import Int8Array, UInt8Array
from pipeline.training.cases import Case, case_folders, is_whole, load_case, save_case, whole_or_not_at_all
from pipeline.training.site_grid import SiteStudy, case_of, known_kinds, labels_as_volume
from pipeline.warp import warp_labels

logger = logging.getLogger(__name__)

RENDERING = 3
"""Raise it when the same store makes other cases."""

SAME_DAY = 0.5
"""Studies closer than this are series of one examination, not a course of time."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Read:
    """One study of a store, in memory."""

    stored: StoredStudy
    lps: LpsVolume
    lungs: UInt8Array
    kinds: UInt8Array
    slice_labels: Int8Array | None


def load_site_cases(store: Path, split: Split, cache: Path, contract: InputContract) -> list[Case]:
    """The cases in `site_case_folders`, their arrays mapped.

    Raises:
        StoreError: There is no store, or it is damaged.
    """
    return [load_case(folder) for folder in site_case_folders(store, split, cache, contract)]


def site_case_folders(store: Path, split: Split, cache: Path, contract: InputContract) -> list[Path]:
    """Cases of all patients of one split; a patient's studies are one case where they can be aligned, else several.

    A case of which nothing is known but its label teaches nothing and is left out.

    Args:
        store: As `dicom-node import` leaves it.
        split: Whose patients are wanted.
        cache: Folder for the cases; a patient who has not changed is not made again.
        contract: The model grid.

    Raises:
        StoreError: There is no store, or it is damaged.
    """
    cases: list[Path] = []
    for studies in _patients(store, split):
        folder = cache / _case_name(studies, contract)
        if not is_whole(folder):
            _render(store, studies, folder, contract)
        cases.extend(case_folders(folder))
    return cases


def site_case_names(store: Path, split: Split, contract: InputContract) -> list[str]:
    """What `load_site_cases` makes of a split, one name per patient; other content has other names.

    Raises:
        StoreError: There is no store, or it is damaged.
    """
    return [_case_name(studies, contract) for studies in _patients(store, split)]


def store_training_data(store: Path) -> tuple[TrainingData, ...]:
    """What the model card says of a store: each source with its terms, warnings included.

    Raises:
        StoreError: There is no store, or it is damaged, or it does not say the terms of a study.
    """
    return tuple(
        TrainingData(name=name, licence=_terms(licence), attribution=licence.attribution)
        for name, licence in read_terms(store).items()
    )


def teaches(case: Case) -> bool:
    """Whether anything is known of a voxel of its lungs or lesions, or of a slice, in any of its studies."""
    return any(
        bool(np.any(study.truth[2][study.lungs_with_lesions] != NOT_KNOWN))
        or (study.slice_labels is not None and bool(np.any(study.slice_labels >= 0)))
        for study in case.studies
    )


def shows_lesion(case: Case) -> bool:
    """Whether somebody drew a lesion in any of its studies, or said of a slice that it shows one."""
    return any(
        bool(np.any(study.truth[1])) or (study.slice_labels is not None and bool(np.any(study.slice_labels == 1)))
        for study in case.studies
    )


def _terms(licence: Licence) -> str:
    flags = [
        "non-commercial" if licence.is_non_commercial else "",
        "no derivatives" if licence.is_no_derivatives else "",
        licence.note.rstrip("."),
    ]
    return "; ".join([licence.name, *(flag for flag in flags if flag)])


def _patients(store: Path, split: Split) -> list[tuple[StoredStudy, ...]]:
    """Studies of each patient of a split."""
    chosen = [study for study in read_store(store) if study.split is split]
    return [tuple(group) for _, group in groupby(chosen, key=lambda study: study.patient)]


def _case_name(studies: Sequence[StoredStudy], contract: InputContract) -> str:
    """Of a patient's folder of cases: other content has another name."""
    told = [RENDERING, asdict(contract), *((study.study, study.content, study.day, study.label) for study in studies)]
    return f"{studies[0].patient}-{hashlib.sha256(repr(told).encode()).hexdigest()[:16]}"


def _render(store: Path, studies: Sequence[StoredStudy], folder: Path, contract: InputContract) -> None:
    """Make the cases of a patient in their folder, whole or not at all."""
    with whole_or_not_at_all(folder) as part:
        for number, sequence in enumerate(_sequences(store, studies)):
            name = f"{studies[0].patient}-{number}"
            case = replace(case_of(name, sequence, contract), patient=studies[0].patient)
            if teaches(case):
                save_case(part / name, case)


def _sequences(store: Path, studies: Sequence[StoredStudy]) -> list[list[SiteStudy]]:
    """Studies that belong together, oldest first, each group on the grid of its newest."""
    read = [one for one in (_read(store, study) for study in studies) if one is not None]
    dated = sorted((one for one in read if one.stored.day is not None), key=lambda one: one.stored.day or 0.0)
    course: list[_Read] = []
    for one in dated:
        if not course or (one.stored.day or 0.0) - (course[-1].stored.day or 0.0) > SAME_DAY:
            course.append(one)
    alone = [one for one in read if one not in course]
    if not course:
        return [[_in_place(one)] for one in alone]
    newest, aligned = course[-1], _on_newest(course)
    together = [study for _, study in aligned if study is not None]
    apart = [one for one, study in aligned if study is None]
    return [[*together, _in_place(newest)], *([_in_place(one)] for one in (*apart, *alone))]


def _read(store: Path, study: StoredStudy) -> _Read | None:
    """A study with its lungs; None, with a line in the log, where no lungs are found."""
    folder = store / "studies" / study.study
    image = SimpleITK.ReadImage(str(folder / CT_FILE))
    grid = grid_of_image(image)
    lps = LpsVolume(volume_hu=SimpleITK.GetArrayFromImage(image), grid=grid, source_grid=grid)
    lungs = _mask(folder / LUNG_FILE)
    if lungs is None:
        lungs = _segmenter().segment(lps.volume_hu, lps.spacing_mm)
    if not lungs.any():
        logger.warning("no lungs found in study %s, it is left out", study.study)
        return None
    labels_path = folder / SLICE_LABELS_FILE
    labels = read_slice_labels(labels_path) if labels_path.exists() else None
    kinds = known_kinds(_mask(folder / LESION_FILE), labels, lps.volume_hu.shape)
    return _Read(stored=study, lps=lps, lungs=lungs, kinds=kinds, slice_labels=labels)


def _in_place(one: _Read) -> SiteStudy:
    labels = None if one.slice_labels is None else labels_as_volume(one.slice_labels, one.lps.volume_hu.shape)
    return SiteStudy(
        day=one.stored.day or 0.0,
        volume_hu=one.lps.volume_hu,
        lungs=one.lungs,
        kinds=one.kinds,
        slice_codes=labels,
        spacing_mm=one.lps.spacing_mm,
        is_diseased=one.stored.label.is_diseased,
    )


def _on_newest(course: Sequence[_Read]) -> list[tuple[_Read, SiteStudy | None]]:
    """All studies but the newest, oldest first, each with what it is on the grid of the newest."""
    if len(course) == 1:
        return []
    newest = chest_volume(course[-1].lps, course[-1].lungs)
    fixed = chest_of(newest)
    return [(one, _aligned(one, newest, fixed)) for one in course[:-1]]


def _aligned(one: _Read, newest: ChestVolume, fixed: Chest) -> SiteStudy | None:
    """An earlier study on the grid of the newest, of which alignment sees `fixed`; None where it does not fit."""
    prior = align_prior(chest_volume(one.lps, one.lungs), newest, fixed)
    if prior.refusal:
        logger.info("study %s is trained on alone: %s", one.stored.study, prior.refusal)
        return None
    codes = None if one.slice_labels is None else labels_as_volume(one.slice_labels, one.lps.volume_hu.shape)
    moved = [
        None if array is None else warp_labels(array, one.lps.grid, newest.lps.grid, prior.prior_from_current)
        for array in (one.kinds, codes)
    ]
    return SiteStudy(
        day=one.stored.day or 0.0,
        volume_hu=prior.volume_hu,
        lungs=prior.lung_mask,
        kinds=np.asarray(moved[0]),
        slice_codes=moved[1],
        spacing_mm=newest.lps.spacing_mm,
        is_diseased=one.stored.label.is_diseased,
    )


def _mask(path: Path) -> UInt8Array | None:
    if not path.exists():
        return None
    mask: UInt8Array = SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(path)))
    return mask


@kept
def _segmenter() -> NetworkLungSegmenter:
    """The lung network of the bundled pack, for studies whose lungs nobody drew."""
    device = torch.device("cpu")
    return NetworkLungSegmenter(load_model_pack(None).load_lung_net(device), device)
