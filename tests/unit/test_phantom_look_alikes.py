"""What looks like the disease in a phantom and is none."""

from collections import Counter
from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from builders.phantoms import patient_having
from pipeline.phantom import LookAlike, PhantomStudy, Scan, render_study
from pipeline.phantom.look_alikes import Episode, draw_bodies, draw_kinds, widening
from pipeline.phantom.lung_tissue import build_tissue
from pipeline.phantom.spread import LungSite, build_site
from pipeline.study import Float32Array, Float64Array

QUIET_SCAN = Scan(matrix=80, fov_mm=400.0, slice_spacing_mm=8.0, noise_hu=0.0)
BODIES = (
    LookAlike.NODULES,
    LookAlike.MASS,
    LookAlike.SCARS,
    LookAlike.FIBROSIS,
    LookAlike.OLD_GROUND_GLASS,
    LookAlike.OLD_CONSOLIDATION,
)


@cache
def quiet_study(*look_alikes: LookAlike, day: float = 8.0) -> PhantomStudy:
    """Without noise, so that two studies differ by the lungs alone."""
    return render_study(patient_having(*look_alikes), day, scan=QUIET_SCAN)


def difference_in_lungs(changed: PhantomStudy, plain: PhantomStudy) -> Float32Array:
    """HU by which lung voxels of one study are above those of another."""
    inside = (changed.lung_mask > 0) & (plain.lung_mask > 0)
    return (changed.volume_hu.astype(np.float32) - plain.volume_hu)[inside]


@cache
def site_of_the_patient() -> LungSite:
    """The lungs of the patient on every second voxel of the atlas."""
    anatomy = patient_having().anatomy
    inside = np.minimum(anatomy.right_lung.values, anatomy.left_lung.values)[::2, ::2, ::2] < 0
    every_second = (slice(None, None, 2),) * 3
    return build_site(anatomy.right_lung.axes.crop(every_second), inside)


def tissue_with(*kinds: LookAlike) -> Float32Array:
    """Steady HU of the lungs of the patient, drawn anew."""
    patient = patient_having()
    lungs = np.minimum(patient.anatomy.right_lung.values, patient.anatomy.left_lung.values)
    axes = patient.anatomy.right_lung.axes
    tissue = build_tissue(axes, lungs, patient.torso, frozenset(kinds), np.random.default_rng(1))
    return np.where(lungs < 0, tissue.steady_hu, 0.0).astype(np.float32)


def test_no_truth_array_shows_any_look_alike() -> None:
    """A patient who has all of them has no lesion."""
    study = render_study(patient_having(*LookAlike), 8.0, scan=QUIET_SCAN)
    assert not study.lesion_labels.any()
    assert not study.lesion_kind.any()
    assert np.abs(study.volume_hu.astype(int) - quiet_study().volume_hu).max() > 300


@pytest.mark.parametrize("kind", BODIES)
def test_each_kind_with_a_shape_has_bodies_without_numbers(kind: LookAlike) -> None:
    """They show on every day, and no truth will count them."""
    bodies = draw_bodies(site_of_the_patient(), frozenset({kind}), np.random.default_rng(2))
    assert bodies
    assert all(body.plan.number == 0 and body.size(-100.0) == body.size(100.0) > 0.0 for body in bodies)


@pytest.mark.parametrize(("kind", "sign"), [(LookAlike.EMPHYSEMA, -1), (LookAlike.CAPS, 1), (LookAlike.MOSAIC, 0)])
def test_each_kind_of_tissue_changes_the_density(kind: LookAlike, sign: int) -> None:
    """Emphysema takes density, caps add it, mosaic does both."""
    change = tissue_with(kind) - tissue_with()
    assert np.abs(change).max() > 20
    assert (change.min() < -10) == (sign <= 0)
    assert (change.max() > 10) == (sign >= 0) or kind is LookAlike.EMPHYSEMA


def test_bronchiectasis_widens_bronchi_in_places() -> None:
    """Some pieces are at least half as wide again, most stay."""
    factor = widening(site_points(), site_of_the_patient(), np.random.default_rng(3))
    assert factor.max() > 1.5
    assert np.median(factor) < 1.2


def site_points() -> Float64Array:
    """Middles of the patient's bronchi."""
    airways = patient_having().anatomy.trees.airways
    return 0.5 * (airways.start_mm + airways.end_mm)


def test_old_patches_never_change() -> None:
    """Of a patient with everything, long before and long after what comes and goes, the voxels are the same."""
    patient = patient_having(*LookAlike)
    first, later = (render_study(patient, day, scan=QUIET_SCAN) for day in (-50.0, 90.0))
    assert np.array_equal(first.volume_hu, later.volume_hu)


def test_old_ground_glass_is_as_dense_as_the_disease() -> None:
    """Between the faintest and the densest ground glass of a lesion."""
    bodies = draw_bodies(site_of_the_patient(), frozenset({LookAlike.OLD_GROUND_GLASS}), np.random.default_rng(4))
    assert all(-780.0 < body.plan.ground_glass_hu < -500.0 for body in bodies)


def test_oedema_comes_and_goes() -> None:
    """Lungs are denser in the middle of the episode and as before after it."""
    episode = patient_having(LookAlike.OEDEMA).oedema
    assert episode is not None
    wet, dry = (quiet_study(LookAlike.OEDEMA, day=d) for d in (episode.first_day + 2.0, episode.last_day + 1.0))
    assert difference_in_lungs(wet, dry).mean() > 30
    assert np.array_equal(dry.volume_hu, quiet_study(LookAlike.OEDEMA, day=episode.first_day - 1.0).volume_hu)


def test_effusion_is_not_lung() -> None:
    """Fluid takes room from the lungs and lies at the back."""
    effusion = patient_having(LookAlike.EFFUSION).effusion
    assert effusion is not None
    wet = quiet_study(LookAlike.EFFUSION, day=effusion.episode.first_day + 2.0)
    dry = quiet_study(LookAlike.EFFUSION, day=effusion.episode.last_day + 1.0)
    lost = (dry.lung_mask > 0) & (wet.lung_mask == 0)
    assert np.count_nonzero(lost) > 20
    assert -60 < np.median(wet.volume_hu[lost]) < 60
    assert np.argwhere(lost)[:, 1].mean() > np.argwhere(dry.lung_mask)[:, 1].mean() + 5


def test_atelectasis_differs_between_scans() -> None:
    """The scan says how much of it there is."""
    patient = patient_having(*LookAlike)
    none, much = (render_study(patient, -50.0, scan=replace(QUIET_SCAN, atelectasis=amount)) for amount in (0.0, 2.0))
    rise = difference_in_lungs(much, none)
    assert rise.max() > 100
    assert np.median(rise) < 20


def test_look_alikes_that_imitate_the_disease_are_rare() -> None:
    """Between a tenth and a sixth of patients; every kind occurs."""
    drawn = [draw_kinds(np.random.default_rng(seed)) for seed in range(800)]
    imitated = {LookAlike.OLD_GROUND_GLASS, LookAlike.OLD_CONSOLIDATION}
    assert 0.09 < np.mean([bool(kinds & imitated) for kinds in drawn]) < 0.17
    assert set(Counter(kind for kinds in drawn for kind in kinds)) == set(LookAlike)


def test_episode_ramps_up_and_down() -> None:
    """Nothing outside, all of it in the middle."""
    episode = Episode(first_day=2.0, last_day=10.0, ramp_days=2.0)
    assert [episode.amount(day) for day in (0.0, 3.0, 6.0, 9.0, 12.0)] == [0.0, 0.5, 1.0, 0.5, 0.0]


def test_given_look_alikes_leave_the_anatomy_alone() -> None:
    """Lungs have the same shape with and without them, once the fluid is gone."""
    everything = render_study(patient_having(*LookAlike), 90.0, scan=QUIET_SCAN)
    assert np.array_equal(everything.lung_mask, quiet_study().lung_mask)
