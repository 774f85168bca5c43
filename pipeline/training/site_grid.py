"""Studies of a site on the model grid, with what is known of every voxel."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage

from pipeline.importers.records import CONSOLIDATION, GROUND_GLASS, NO_LESION, NOT_KNOWN, OTHER_OPACITY
from pipeline.model_input import InputContract, averaged_slabs, resampled_in_plane, slices_per_slab
from pipeline.study import LEFT_LUNG, RIGHT_LUNG, BoolArray, Float32Array, Int8Array, Int16Array, UInt8Array
from pipeline.training.cases import Case, CaseStudy, lung_window

MOST_LESIONS = 254
"""Numbers that fit beside 0 into a byte; what is smaller than so many others is not known."""

CODE_UNKNOWN, CODE_CLEAR, CODE_LESION = 0, 1, 2
"""Slice labels as a mask, so that they can be warped; outside of the imaged part they are not known."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SiteStudy:
    """One study on the acquisition grid of the newest of its sequence, (z, y, x) in patient order."""

    day: float
    volume_hu: Int16Array
    lungs: UInt8Array
    kinds: UInt8Array
    """0, 1 ground-glass, 2 consolidation, 255 not known."""
    slice_codes: UInt8Array | None
    """`CODE_UNKNOWN`, `CODE_CLEAR`, `CODE_LESION`; None where nobody labelled slices."""
    spacing_mm: tuple[float, float, float]
    is_diseased: bool


def known_kinds(lesion: UInt8Array | None, labels: Int8Array | None, shape: tuple[int, ...]) -> UInt8Array:
    """What a network can learn of each voxel: drawn lesions, else the slices that are said to show none.

    An opacity that is neither ground-glass nor consolidation is not known.
    """
    if lesion is not None:
        return np.where(lesion == OTHER_OPACITY, NOT_KNOWN, lesion).astype(np.uint8)
    kinds = np.full(shape, NOT_KNOWN, np.uint8)
    if labels is not None:
        kinds[labels == 0] = NO_LESION
    return kinds


def labels_as_volume(labels: Int8Array, shape: tuple[int, ...]) -> UInt8Array:
    """Codes (z, y, x) of labels (z,)."""
    codes = (labels.astype(np.int16) + 1).astype(np.uint8)
    return np.broadcast_to(codes[:, None, None], shape).copy()


def case_of(name: str, studies: Sequence[SiteStudy], contract: InputContract) -> Case:
    """A case on the model grid, cut to the lungs of the newest study and all drawn lesions.

    A lung mask often ends where a dense lobe begins. What was drawn beyond it is lesion all the same, and the lungs stay as
    they were found: that is what the node shows its networks.

    Args:
        name: Of the case.
        studies: Oldest first, all on one grid.
        contract: The model grid.
    """
    spacing = studies[-1].spacing_mm
    lungs = [_gridded_sides(study, contract) for study in studies]
    kinds = [_gridded_kinds(study, contract) for study in studies]
    region = np.logical_or.reduce([lungs[-1] > 0, *(_shows_lesion(each) for each in kinds)])
    window = lung_window(region, round(contract.margin_mm / contract.pixel_mm))
    cut = tuple(
        _case_study(study, np.stack([sides, kind])[:, *window], window, contract)
        for study, sides, kind in zip(studies, lungs, kinds, strict=True)
    )
    shows_lesion = any(bool(study.truth[1].any()) for study in cut)
    return Case(
        name=name,
        source="site",
        diseased=shows_lesion or any(study.is_diseased for study in studies),
        slice_spacing_mm=spacing[0] * slices_per_slab(spacing[0], contract),
        pixel_mm=contract.pixel_mm,
        studies=cut,
    )


def numbered(kinds: UInt8Array) -> tuple[UInt8Array, UInt8Array]:
    """Lesion numbers with the kinds that go with them: connected parts, the largest first."""
    shows = _shows_lesion(kinds)
    labels, count = ndimage.label(shows, np.ones((3, 3, 3)))
    sizes = np.bincount(labels.ravel(), minlength=count + 1)[1:]
    order = np.argsort(-sizes, kind="stable")[:MOST_LESIONS]
    number_of = np.zeros(count + 1, np.uint8)
    number_of[order + 1] = np.arange(1, len(order) + 1)
    numbers = number_of[labels]
    return numbers, np.where(shows & (numbers == 0), NOT_KNOWN, kinds).astype(np.uint8)


def _shows_lesion(kinds: UInt8Array) -> BoolArray:
    shows: BoolArray = (kinds == GROUND_GLASS) | (kinds == CONSOLIDATION)
    return shows


def _case_study(
    study: SiteStudy, drawn: UInt8Array, window: tuple[slice, slice, slice], contract: InputContract
) -> CaseStudy:
    """What the window shows of a study, of which `drawn` (2, z, y, x) has lung sides and kinds."""
    volume = np.rint(_gridded(study.volume_hu, study, contract)).astype(np.int16)[window]
    lungs = drawn[0]
    numbers, kinds = numbered(drawn[1])
    truth = np.stack([lungs, numbers, np.where((lungs > 0) | (numbers > 0), kinds, NO_LESION)]).astype(np.uint8)
    labels = None if study.slice_codes is None else _slab_labels(study, contract)[window[0]]
    return CaseStudy(day=study.day, volume_hu=volume, truth=truth, slice_labels=labels)


def _gridded(array: NDArray[Any], study: SiteStudy, contract: InputContract) -> Float32Array:
    """Slabs averaged, pixels resampled."""
    slabs = averaged_slabs(torch.from_numpy(array).float(), slices_per_slab(study.spacing_mm[0], contract))
    return np.asarray(resampled_in_plane(slabs, study.spacing_mm[1:], contract).numpy())


def _share(mask: BoolArray, study: SiteStudy, contract: InputContract) -> Float32Array:
    return _gridded(mask.astype(np.uint8), study, contract)


def _gridded_sides(study: SiteStudy, contract: InputContract) -> UInt8Array:
    right = _share(study.lungs == RIGHT_LUNG, study, contract)
    left = _share(study.lungs == LEFT_LUNG, study, contract)
    sides = np.where(right >= left, RIGHT_LUNG, LEFT_LUNG)
    return np.where(right + left > 0.5, sides, 0).astype(np.uint8)


def _gridded_kinds(study: SiteStudy, contract: InputContract) -> UInt8Array:
    """A cell is lesion, or not known, where more than half of it is; of lesion, what more of it is."""
    ground_glass = _share(study.kinds == GROUND_GLASS, study, contract)
    consolidation = _share(study.kinds == CONSOLIDATION, study, contract)
    unknown = _share(study.kinds == NOT_KNOWN, study, contract)
    lesion = np.where(ground_glass >= consolidation, GROUND_GLASS, CONSOLIDATION)
    kinds = np.where(ground_glass + consolidation > 0.5, lesion, NO_LESION)
    return np.where(unknown > 0.5, NOT_KNOWN, kinds).astype(np.uint8)


def _slab_labels(study: SiteStudy, contract: InputContract) -> Int8Array:
    """(Z,): 1 where a slice of the slab shows a lesion, 0 where all are clear, -1 else."""
    slab = slices_per_slab(study.spacing_mm[0], contract)
    slices = [_slice_code(study, z) for z in range(len(study.lungs))]
    slabs = [slices[start : start + slab] for start in range(0, len(slices), slab)]
    return np.array([_slab_label(codes) for codes in slabs], np.int8)


def _slice_code(study: SiteStudy, z: int) -> int:
    """The code of a slice, told in the lungs; not known where an alignment put it across several."""
    codes = np.unique(study.slice_codes[z][study.lungs[z] > 0]) if study.slice_codes is not None else np.zeros(0)
    return int(codes[0]) if len(codes) == 1 else CODE_UNKNOWN


def _slab_label(codes: Sequence[int]) -> int:
    if CODE_LESION in codes:
        return 1
    return 0 if set(codes) == {CODE_CLEAR} else -1
