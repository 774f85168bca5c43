"""Earlier studies bent onto the current one, where lesions came and went."""

from dataclasses import dataclass, replace
from functools import cache

import numpy as np
import pytest
import SimpleITK

from pipeline.affine_fit import chest_of
from pipeline.align import AlignedPrior, Alignment, align_prior
from pipeline.chest_volume import ChestVolume, chest_volume
from pipeline.orient import LpsVolume
from pipeline.phantom import Course, PhantomStudy, Scan, build_patient, render_study
from pipeline.study import AIR_HU, BoolArray, Float64Array, Grid
from pipeline.warp import warp_labels

STILL = Scan(matrix=96, slice_spacing_mm=4.0, slice_thickness_mm=1.5)
BENT = replace(STILL, seed=1, breath=0.94, shift_mm=(8.0, -6.0, 10.0), rotation_deg=(2.0, -3.0, 2.0), elastic_mm=5.0)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Pair:
    """Two studies of one patient with the true way between them."""

    earlier: PhantomStudy
    current: PhantomStudy

    def error_mm(self, prior: AlignedPrior) -> float:
        """Median distance of 300 places in the lungs from where they truly come from."""
        return float(np.median(self.errors_mm(prior, self.current.lung_mask > 0)))

    def errors_mm(self, prior: AlignedPrior, where: BoolArray) -> Float64Array:
        """Distance of 300 places in a mask on the current grid from where they truly come from."""
        voxels = np.argwhere(where)[:: np.count_nonzero(where) // 300]
        points = np.array(self.current.origin_lps_mm) + (voxels * self.current.spacing_mm)[:, ::-1]
        found = np.array([prior.prior_from_current.TransformPoint(point) for point in points.tolist()])
        truth = self.earlier.frame.scan_mm(self.current.frame.patient_mm(points))
        distances: Float64Array = np.linalg.norm(found - truth, axis=1)
        return distances


@cache
def pair(earlier: Scan) -> Pair:
    """Day 3, scanned so, and day 9 of lesions that grow."""
    patient = build_patient(71, course=Course.ADVANCED)
    return Pair(earlier=render_study(patient, 3.0, scan=earlier), current=render_study(patient, 9.0, scan=STILL))


def align(of: Pair, alignment: Alignment) -> AlignedPrior:
    """With the true lungs."""
    current = chest_with_lungs(of.current)
    return align_prior(chest_with_lungs(of.earlier), current, chest_of(current), alignment=alignment)


def chest_with_lungs(study: PhantomStudy) -> ChestVolume:
    """With its true lungs."""
    return chest_volume(lps_of(study), study.lung_mask)


@cache
def aligned(earlier: Scan, alignment: Alignment) -> AlignedPrior:
    """Aligned once."""
    return align(pair(earlier), alignment)


def lps_of(study: PhantomStudy) -> LpsVolume:
    """As the pipeline reads it."""
    affine = np.eye(4)
    affine[:3, :3] = np.diag(study.spacing_mm[::-1])[:, ::-1]
    affine[:3, 3] = study.origin_lps_mm
    shape = (study.volume_hu.shape[0], study.volume_hu.shape[1], study.volume_hu.shape[2])
    grid = Grid(shape=shape, affine_lps_from_kji=affine)
    return LpsVolume(volume_hu=study.volume_hu, grid=grid, source_grid=grid)


def lesion_volumes_ml(deformed: AlignedPrior, bent: Pair) -> tuple[Float64Array, Float64Array]:
    """True volumes of the larger earlier lesions; the same from their labels on the current grid."""
    grid, numbers = (
        lps_of(bent.current).grid,
        [lesion.number for lesion in bent.earlier.lesions if lesion.volume_ml > 3],
    )
    labels = warp_labels(bent.earlier.lesion_labels, lps_of(bent.earlier).grid, grid, deformed.prior_from_current)
    counted = np.bincount(labels.ravel()) * grid.voxel_volume_ml * deformed.volume_change.by_label(labels, grid)
    truth = {lesion.number: lesion.volume_ml for lesion in bent.earlier.lesions}
    return np.array([truth[number] for number in numbers]), counted[numbers]


def test_a_bent_patient_is_straightened() -> None:
    """What the affine leaves, the displacement takes up to less than a voxel and a half of the working grid."""
    bent, affine, deformed = pair(BENT), aligned(BENT, Alignment.AFFINE), aligned(BENT, Alignment.DEFORMABLE)
    assert deformed.volume_change.jacobian is not None
    assert bent.error_mm(deformed) < 0.7 * bent.error_mm(affine)
    assert deformed.lung_dice > affine.lung_dice > 0.9


def circled(study: PhantomStudy, radius_mm: float) -> ChestVolume:
    """The study with its true lungs, as a reconstruction in a small circle would show it."""
    volume = lps_of(study)
    rows, columns = np.indices(volume.grid.shape[1:]) - (np.array(volume.grid.shape[1:]) - 1).reshape(2, 1, 1) / 2
    shown = np.hypot(rows, columns) * volume.spacing_mm[1] <= radius_mm
    hu = np.where(shown, volume.volume_hu, np.int16(AIR_HU))
    return chest_volume(replace(volume, volume_hu=hu), study.lung_mask)


@pytest.mark.parametrize("is_current", [True, False], ids=["of this study", "of the earlier study"])
def test_lungs_beyond_the_circle_of_one_study_pull_at_nothing(*, is_current: bool) -> None:
    """What it shows is straightened and keeps its volume; the lungs are 264 mm wide."""
    bent = pair(BENT)
    earlier, current = chest_with_lungs(bent.earlier), chest_with_lungs(bent.current)
    if is_current:
        current = circled(bent.current, 100.0)
    else:
        earlier = circled(bent.earlier, 100.0)
    found = align_prior(earlier, current, chest_of(current), alignment=Alignment.DEFORMABLE)
    assert found.volume_change.jacobian is not None
    assert np.percentile(bent.errors_mm(found, (current.lung_mask > 0) & found.valid), 95) < 5.0
    whole = aligned(BENT, Alignment.DEFORMABLE)
    assert found.volume_change.factor == pytest.approx(whole.volume_change.factor, abs=0.05)


def test_growth_is_not_erased_by_the_deformation() -> None:
    """Earlier lesions keep the volume they had, though they look larger or smaller on the current grid."""
    bent = pair(BENT)
    truth, counted = lesion_volumes_ml(aligned(BENT, Alignment.DEFORMABLE), bent)
    assert len(truth) > 3
    assert np.median(np.abs(counted / truth - 1.0)) < 0.1


def test_a_patient_who_lies_as_before_keeps_the_affine() -> None:
    """A displacement that lays the lungs no better is not used: it would add its own error."""
    straight = replace(STILL, seed=1)
    deformed = aligned(straight, Alignment.DEFORMABLE)
    assert deformed.volume_change.jacobian is None
    assert type(deformed.prior_from_current) is SimpleITK.AffineTransform


def test_bending_is_reproducible() -> None:
    """The same input gives the same voxels."""
    again = align(pair(BENT), Alignment.DEFORMABLE)
    assert np.array_equal(again.volume_hu, aligned(BENT, Alignment.DEFORMABLE).volume_hu)


@pytest.mark.parametrize("alignment", list(Alignment))
def test_the_change_of_volume_is_that_of_the_lungs(alignment: Alignment) -> None:
    """Lungs at another breath have another volume; the factor says how much."""
    bent = pair(BENT)
    volumes = [np.count_nonzero(study.lung_mask) for study in (bent.earlier, bent.current)]
    assert aligned(BENT, alignment).volume_change.factor == pytest.approx(volumes[0] / volumes[1], abs=0.05)
