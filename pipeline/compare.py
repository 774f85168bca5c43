"""Lesions against the newest earlier study: what is new, grown, stable, shrunk, gone."""

import hashlib
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from pipeline.chest_volume import ChestVolume
from pipeline.findings import Change, GoneLesion, LesionKind, Side
from pipeline.lesions import FoundLesions, MeasuredLesion
from pipeline.shown import cut_off, well_shown
from pipeline.study import BoolArray, Float64Array, UInt8Array, UInt16Array

GROWN_FACTOR = 1.25
SHRUNK_FACTOR = 0.75
"""A quarter of the volume: what the NELSON trial and the British Thoracic Society guideline (Callister et al., Thorax
2015) take for growth of a nodule beyond the error of measurement."""

CHANGED_ML = 0.2
"""Small lesions change by a quarter between two readings of one scan, so they must change by this much too."""

MATCH_MM = 5.0
"""Two lesions this near after alignment are one: it leaves 2 to 3 mm on average, 4 to 5 mm at one
place in twenty."""

MATCH_STEP_MM = 2.0
"""Nearness is looked up on a grid of about this step."""

IMAGED_SHARE = 0.5
"""A lesion is new, or gone, when the other study shows this much of its place well."""

WHOLE_SHARE = 0.9
"""Volumes are compared when both studies show this much of the lesion well: what is cut off looks like a change."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PriorLesion:
    """A lesion of the earlier study, as it is known there."""

    number: int
    """Its value in `PriorLesions.labels`."""
    tracking_uid: str
    tracking_id: str
    kind: LesionKind
    side: Side
    volume_ml: float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PriorLesions:
    """The lesions of the earlier study on the grid of the current one."""

    labels: UInt16Array
    valid: BoolArray
    """Where the earlier study was imaged."""
    lung_mask: UInt8Array
    """Of the earlier study."""
    lesions: tuple[PriorLesion, ...]
    volume_factor: float
    """Volume in the earlier study per volume on the current grid."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparedLesion:
    """A lesion of the current study with its history."""

    lesion: MeasuredLesion
    tracking_uid: str
    tracking_id: str
    change: Change
    prior_volume_ml: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """All lesions of the current study, by number, and those that are gone."""

    lesions: tuple[ComparedLesion, ...]
    gone: tuple[GoneLesion, ...]


def without_prior(found: FoundLesions, origin: str) -> Comparison:
    """Every lesion with a tracking UID of its own, nothing compared.

    Args:
        found: Lesions of the study.
        origin: What the tracking UIDs derive from besides the place: study and series UID.
    """
    lesions = tuple(_first_seen(lesion, origin, Change.NOT_COMPARED) for lesion in found.lesions)
    return Comparison(lesions=named_apart(lesions, {}), gone=())


def compare_lesions(found: FoundLesions, prior: PriorLesions, current: ChestVolume, origin: str) -> Comparison:
    """Every lesion with the tracking UID and the change that the earlier study gives it.

    A lesion that meets several earlier ones has their volumes as its prior volume and the tracking UID of the one it
    meets most. An earlier lesion that meets several current ones lends each the share of its volume that it meets
    there, and its tracking UID to the one it meets most. Where either study cuts a lesion off, or cuts the lungs beside
    it, it keeps its tracking UID and is not compared: what is not imaged has no volume.

    Args:
        found: Lesions of the current study.
        prior: Those of the earlier one, as far as the current study shows their places.
        current: What the lesions were found in.
        origin: What the tracking UIDs of lesions without a history derive from besides the place: study and series UID.
    """
    grid = current.lps.grid
    contacts = _contacts(found, prior, grid.spacing_mm)
    prior_volumes = np.array([0.0, *(lesion.volume_ml for lesion in prior.lesions)])
    met = np.maximum(contacts.sum(axis=0), 1.0)
    lent_ml = (contacts / met) @ prior_volumes
    heirs = inherited(contacts)
    lungs = (current.lung_mask > 0) | (prior.lung_mask > 0)
    now, then = (well_shown(one, lungs, grid.spacing_mm) for one in (current.imaged, prior.valid))
    del lungs
    shown, well = current.imaged & prior.valid, now & then
    is_part = _is_part(found.labels, found.boxes, shown, well)
    prior_boxes = ndimage.find_objects(prior.labels, contacts.shape[1] - 1)
    was_part = _is_part(prior.labels, prior_boxes, shown, well)
    lent_ml[is_part | ((contacts > 0) & was_part).any(axis=1)] = np.nan
    seen_then = _share(found.labels, then, len(contacts)) >= IMAGED_SHARE
    lesions = tuple(
        _with_history(lesion, float(lent_ml[lesion.number]), heirs.get(lesion.number), prior=prior, origin=origin)
        if contacts[lesion.number].any()
        else _first_seen(lesion, origin, Change.NEW if seen_then[lesion.number] else Change.NOT_COMPARED)
        for lesion in found.lesions
    )
    has_gone = ~contacts.any(axis=0) & ~cut_off(prior.labels, prior_boxes, current.imaged)
    names = {lesion.tracking_uid: lesion.tracking_id for lesion in prior.lesions}
    return Comparison(lesions=named_apart(lesions, names), gone=_gone(prior, has_gone, now, grid.voxel_volume_ml))


def volume_change(volume_ml: float, prior_volume_ml: float) -> Change:
    """Grown, shrunk or stable, by the thresholds of this module."""
    if abs(volume_ml - prior_volume_ml) < CHANGED_ML:
        return Change.STABLE
    if volume_ml >= GROWN_FACTOR * prior_volume_ml:
        return Change.GROWN
    return Change.SHRUNK if volume_ml <= SHRUNK_FACTOR * prior_volume_ml else Change.STABLE


def derived_uid(*parts: str) -> str:
    """A UID that is the same for the same parts (PS3.5 B.2: 2.25 and a UUID, here version 5)."""
    return f"2.25.{uuid.uuid5(uuid.NAMESPACE_OID, '|'.join(parts)).int}"


def derived_tracking_uid(origin: str, lesion: MeasuredLesion) -> str:
    """Tracking UID of a lesion that is seen for the first time, from where it lies."""
    return derived_uid("lesion", origin, *(str(index) for index in lesion.first_voxel))


def tracking_id(tracking_uid: str, *, letters: int = 4) -> str:
    """Short name for people, from the UID."""
    return f"Lesion {hashlib.sha256(tracking_uid.encode()).hexdigest()[:letters].upper()}"


def _first_seen(lesion: MeasuredLesion, origin: str, change: Change) -> ComparedLesion:
    uid = derived_tracking_uid(origin, lesion)
    return ComparedLesion(
        lesion=lesion, tracking_uid=uid, tracking_id=tracking_id(uid), change=change, prior_volume_ml=None
    )


def _with_history(
    lesion: MeasuredLesion, prior_ml: float, heir_of: int | None, *, prior: PriorLesions, origin: str
) -> ComparedLesion:
    """A lesion that was there before; `prior_ml` is no number where it cannot be compared."""
    is_known = not np.isnan(prior_ml)
    if heir_of is None:
        uid = derived_tracking_uid(origin, lesion)
        name = tracking_id(uid)
    else:
        uid, name = next((p.tracking_uid, p.tracking_id) for p in prior.lesions if p.number == heir_of)
    return ComparedLesion(
        lesion=lesion,
        tracking_uid=uid,
        tracking_id=name,
        change=volume_change(lesion.volume_ml, prior_ml) if is_known else Change.NOT_COMPARED,
        prior_volume_ml=prior_ml if is_known else None,
    )


def _contacts(found: FoundLesions, prior: PriorLesions, spacing_mm: tuple[float, float, float]) -> Float64Array:
    """[current number, prior number]: voxels of the current lesion within `MATCH_MM`; row and column 0 are 0.

    Every voxel counts for the nearest prior lesion only.
    """
    counts = np.zeros((len(found.lesions) + 1, max((p.number for p in prior.lesions), default=0) + 1))
    steps = [max(1, int(MATCH_STEP_MM / mm)) for mm in spacing_mm]
    thin = tuple(slice(None, None, step) for step in steps)
    current, earlier = found.labels[thin], prior.labels[thin]
    box = ndimage.find_objects(((current > 0) | (earlier > 0)).view(np.uint8))
    if not box or not (earlier > 0).any():
        return counts
    current, earlier = current[box[0]], earlier[box[0]]
    sampling = [mm * step for mm, step in zip(spacing_mm, steps, strict=True)]
    distance, nearest = ndimage.distance_transform_edt(earlier == 0, sampling=sampling, return_indices=True)
    near = (current > 0) & (distance <= MATCH_MM)
    np.add.at(counts, (current[near], earlier[tuple(nearest)][near]), 1.0)
    return counts


def inherited(contacts: Float64Array) -> dict[int, int]:
    """Current number to the prior number whose tracking UID it takes; each UID goes to one lesion only.

    Args:
        contacts: [current number, prior number], how much they meet; row and column 0 are 0.
    """
    pairs = sorted(
        (-contacts[current, earlier], int(current), int(earlier)) for current, earlier in np.argwhere(contacts > 0)
    )
    heirs: dict[int, int] = {}
    for _, current, earlier in pairs:
        if current not in heirs and earlier not in heirs.values():
            heirs[current] = earlier
    return heirs


def _is_part(
    labels: UInt16Array, boxes: Sequence[tuple[slice, ...] | None], shown: BoolArray, well: BoolArray
) -> BoolArray:
    """By number: whether too little of the lesion is shown, or well shown, by both studies for its volume to be compared."""
    is_part: BoolArray = cut_off(labels, boxes, shown) | (_share(labels, well, len(boxes) + 1) < WHOLE_SHARE)
    return is_part


def _share(labels: UInt16Array, where: BoolArray, length: int) -> Float64Array:
    """By number: how much of each lesion lies in a mask."""
    anywhere = np.broadcast_to(np.True_, labels.shape)
    return _counts(labels, where, length) / np.maximum(_counts(labels, anywhere, length), 1)


def _counts(labels: UInt16Array, where: BoolArray, length: int) -> NDArray[np.int64]:
    """By number: voxels of each lesion in a mask, and none for 0; slice by slice, in little memory."""
    counts = np.zeros(length, np.int64)
    for in_slice, here in zip(labels, where, strict=True):
        counts += np.bincount(in_slice[here & (in_slice > 0)], minlength=length)
    return counts


def _gone(prior: PriorLesions, has_gone: BoolArray, now: BoolArray, voxel_ml: float) -> tuple[GoneLesion, ...]:
    """Earlier lesions in a place that the current study shows well; the largest first.

    Args:
        prior: The earlier study.
        has_gone: By number: the lesion meets no current one, and the current study does not end within it.
        now: What the current study shows well.
        voxel_ml: Of the current grid.
    """
    voxels = _counts(prior.labels, now, len(has_gone))
    shown_ml = voxels * voxel_ml * prior.volume_factor
    gone = [
        GoneLesion(
            tracking_uid=lesion.tracking_uid,
            tracking_id=lesion.tracking_id,
            kind=lesion.kind,
            side=lesion.side,
            prior_volume_ml=lesion.volume_ml,
        )
        for lesion in prior.lesions
        if has_gone[lesion.number] and shown_ml[lesion.number] >= IMAGED_SHARE * lesion.volume_ml
    ]
    return tuple(sorted(gone, key=lambda lesion: (-lesion.prior_volume_ml, lesion.tracking_uid)))


def named_apart(lesions: Iterable[ComparedLesion], known: Mapping[str, str]) -> tuple[ComparedLesion, ...]:
    """The same lesions; where a new short name falls together with another, it becomes longer.

    Args:
        lesions: With their names.
        known: By tracking UID, names that were reported before: they stand.
    """
    taken = set(known.values())
    apart: list[ComparedLesion] = []
    for lesion in lesions:
        is_free = lesion.tracking_uid in known or lesion.tracking_id not in taken
        name = lesion.tracking_id if is_free else tracking_id(lesion.tracking_uid, letters=8)
        taken.add(name)
        apart.append(replace(lesion, tracking_id=name))
    return tuple(apart)
