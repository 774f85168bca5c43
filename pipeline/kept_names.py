"""Names of lesions that stay when a study is analysed again, for instance with slices that came late."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import SimpleITK

from pipeline.compare import Comparison, PriorLesion, derived_uid, inherited, named_apart, tracking_id
from pipeline.findings import KnownLesions
from pipeline.lesions import FoundLesions
from pipeline.study import Float64Array, Grid
from pipeline.warp import warp_labels


def keep_names(
    comparison: Comparison,
    found: FoundLesions,
    reported: KnownLesions,
    *,
    grid: Grid,
    prior: Sequence[PriorLesion] = (),
) -> Comparison:
    """The comparison with the names of an earlier report on the same study where lesions lie in the same place.

    A lesion that an earlier study names keeps that name. Of the others each takes tracking UID and short name of the reported
    lesion that it shares most voxels with; a UID goes to one lesion only, and none that was reported goes to a lesion
    elsewhere.

    Args:
        comparison: Of this run.
        found: Its lesions.
        reported: What the earlier run said of the study, on the grid that it read.
        grid: Of `found`.
        prior: The lesions of the earlier study that this run compared with.
    """
    names = {lesion.tracking_uid: lesion.tracking_id for lesion in prior}
    of_prior = frozenset(names)
    names = {lesion.tracking_uid: lesion.tracking_id for lesion in reported.lesions} | names
    shared = _shared_voxels(found, reported, grid)
    for compared in comparison.lesions:
        shared[compared.lesion.number] *= compared.tracking_uid not in of_prior
    for lesion in reported.lesions:
        shared[:, lesion.number] *= lesion.tracking_uid not in of_prior
    uids = {lesion.number: lesion.tracking_uid for lesion in reported.lesions}
    heirs = {number: uids[earlier] for number, earlier in inherited(shared).items()}
    lesions = []
    for compared in comparison.lesions:
        uid = compared.tracking_uid
        if uid not in of_prior:
            uid = heirs.get(compared.lesion.number) or _unlike(uid, names)
        name = names.get(uid) or (compared.tracking_id if uid == compared.tracking_uid else tracking_id(uid))
        lesions.append(replace(compared, tracking_uid=uid, tracking_id=name))
    return replace(comparison, lesions=named_apart(lesions, names))


def _shared_voxels(found: FoundLesions, reported: KnownLesions, grid: Grid) -> Float64Array:
    """[number, reported number]: voxels of `grid` in both; row and column 0 are 0."""
    counts = np.zeros((len(found.lesions) + 1, len(reported.lesions) + 1))
    before = warp_labels(reported.lesion_labels, reported.grid, grid, SimpleITK.Transform(3, SimpleITK.sitkIdentity))
    both = (found.labels > 0) & (before > 0)
    np.add.at(counts, (found.labels[both], before[both]), 1.0)
    return counts


def _unlike(uid: str, taken: dict[str, str]) -> str:
    """The UID, or one derived from it where another lesion has it: UIDs are made of places in an array."""
    while uid in taken:
        uid = derived_uid("another lesion", uid)
    return uid
