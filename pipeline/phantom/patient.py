"""A patient: anatomy that stays, lesions that come and go."""

from dataclasses import dataclass, replace

import numpy as np

from pipeline.phantom.axes import Axes, Field
from pipeline.phantom.bones import Bones, build_bones
from pipeline.phantom.kinetics import Course
from pipeline.phantom.lesions import LesionBody
from pipeline.phantom.lobes import build_lobes
from pipeline.phantom.look_alikes import Episode, LookAlike, draw_bodies, draw_episode, draw_kinds, widening
from pipeline.phantom.lung_tissue import build_tissue
from pipeline.phantom.organs import Abdomen, Mediastinum, build_abdomen, build_lungs, build_mediastinum, build_trunk
from pipeline.phantom.spread import LungSite, build_site, draw_lesions
from pipeline.phantom.textures import cut_texture, fractal_noise
from pipeline.phantom.torso import ATLAS_STEP_MM, Torso, draw_torso
from pipeline.phantom.tree import LungTrees, grow_trees
from pipeline.study import Float32Array


@dataclass(frozen=True, slots=True, kw_only=True)
class LungTraits:
    """Single numbers of one patient's lungs."""

    fissure_hu: float
    """Added to the tissue by a fissure."""
    fissure_half_mm: float
    airway_wall_mm: float
    """Of small bronchi, with what partial volume adds."""
    mean_hu: float
    """Of the lung tissue at full inspiration."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Effusion:
    """Fluid about one or both lungs on some days."""

    right_mm: float
    """Thickness at its thickest."""
    left_mm: float
    episode: Episode


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Anatomy:
    """Everything that is the same on every day; solids are distances in mm, negative inside."""

    body: Field
    muscle: Field
    cavity: Field
    blood: Field
    soft: Field
    liver: Field
    spleen: Field
    stomach: Field
    stomach_gas: Field
    bone: Field
    right_lung: Field
    left_lung: Field
    fissure: Field
    """Distance to the nearest fissure."""
    upright: Field
    """How far the surface of the lungs faces up or down, 0..1: there a thick slice holds a mean of both sides."""
    tissue_hu: Field
    """Lung tissue without vessels."""
    dependent_hu: Field
    """Added to it by dependent atelectasis of the usual extent."""
    oedema_hu: Field
    """Added to it by oedema at its worst."""
    bones: Bones
    trees: LungTrees
    traits: LungTraits


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PhantomPatient:
    """One patient; all positions in mm, z to the head, y to the back, x to the left."""

    seed: int
    course: Course
    torso: Torso
    anatomy: Anatomy
    lesions: tuple[LesionBody, ...]
    """Numbered 1..N; each shows on the days its kinetics give."""
    look_alikes: tuple[LesionBody, ...]
    """Those of the look-alikes that have a shape of their own; they never change."""
    look_alike_kinds: frozenset[LookAlike]
    """Everything in these lungs that is no lesion and may be taken for one."""
    oedema: Episode | None
    effusion: Effusion | None

    @property
    def lung_base_mm(self) -> float:
        """The z of the lowest lung, at full inspiration."""
        lungs = np.minimum(self.anatomy.right_lung.values, self.anatomy.left_lung.values)
        lowest = int(np.flatnonzero((lungs < 0).any(axis=(1, 2)))[0])
        return float(self.anatomy.right_lung.axes.z_mm[lowest])


def build_patient(seed: int, *, course: Course, look_alikes: frozenset[LookAlike] | None = None) -> PhantomPatient:
    """A patient, the same for the same arguments; the anatomy depends on the seed alone, the look-alikes do unless given."""
    anatomy_rng, lesion_rng, kinds_rng, bodies_rng = (np.random.default_rng([seed, stream]) for stream in range(4))
    drawn = draw_kinds(kinds_rng)
    kinds = drawn if look_alikes is None else look_alikes
    torso = draw_torso(anatomy_rng)
    axes = torso.atlas_axes()
    anatomy = _build_anatomy(axes, torso, kinds, anatomy_rng)
    site = build_site(axes, np.minimum(anatomy.right_lung.values, anatomy.left_lung.values) < 0)
    if LookAlike.BRONCHIECTASIS in kinds:
        anatomy = _with_bronchiectasis(anatomy, site, bodies_rng)
    return PhantomPatient(
        seed=seed,
        course=course,
        torso=torso,
        anatomy=anatomy,
        lesions=draw_lesions(site, course, lesion_rng),
        look_alikes=draw_bodies(site, kinds, bodies_rng),
        look_alike_kinds=kinds,
        oedema=draw_episode(kinds_rng) if LookAlike.OEDEMA in kinds else None,
        effusion=_draw_effusion(kinds, kinds_rng) or _draw_late_effusion(course, lesion_rng),
    )


def _draw_effusion(kinds: frozenset[LookAlike], rng: np.random.Generator) -> Effusion | None:
    if LookAlike.EFFUSION not in kinds:
        return None
    right_mm, left_mm = rng.uniform(6.0, 38.0, 2) * rng.permutation([1.0, float(rng.random() < 0.5)])
    return Effusion(right_mm=float(right_mm), left_mm=float(left_mm), episode=draw_episode(rng))


def _draw_late_effusion(course: Course, rng: np.random.Generator) -> Effusion | None:
    """Fluid in every fourth patient with severe disease, once it is at its worst."""
    if course is not Course.SEVERE or rng.random() > 0.25:
        return None
    right_mm, left_mm = rng.uniform(5.0, 25.0, 2)
    episode = Episode(first_day=float(rng.uniform(5.0, 12.0)), last_day=float("inf"), ramp_days=4.0)
    return Effusion(right_mm=float(right_mm), left_mm=float(left_mm), episode=episode)


def _with_bronchiectasis(anatomy: Anatomy, site: LungSite, rng: np.random.Generator) -> Anatomy:
    airways = anatomy.trees.airways
    wide = airways.radius_mm * widening(0.5 * (airways.start_mm + airways.end_mm), site, rng)
    return replace(anatomy, trees=replace(anatomy.trees, airways=replace(airways, radius_mm=wide)))


def _build_anatomy(axes: Axes, torso: Torso, kinds: frozenset[LookAlike], rng: np.random.Generator) -> Anatomy:
    wobble = cut_texture(fractal_noise(1.8), axes.shape, rng)
    trunk = build_trunk(axes, torso, wobble)
    mediastinum = build_mediastinum(axes, torso)
    right, left = build_lungs(axes, torso, trunk, mediastinum)
    lobes = build_lobes(axes, torso, (right, left), cut_texture(fractal_noise(2.2), axes.shape, rng))
    room = np.where(np.minimum(right, left) < -4.0, lobes.lobe_map, 0).astype(np.uint8)
    bones = build_bones(axes, torso, trunk.cavity)
    lungs = np.minimum(right, left)
    tissue = build_tissue(axes, lungs, torso, kinds, rng)
    fields = _soft_fields(mediastinum, build_abdomen(axes, torso, trunk)) | {
        "body": trunk.body,
        "muscle": trunk.muscle,
        "cavity": trunk.cavity,
        "bone": bones.solid,
        "right_lung": right,
        "left_lung": left,
        "fissure": lobes.fissure,
        "upright": np.clip(np.abs(np.gradient(lungs, ATLAS_STEP_MM, axis=0)), 0.0, 1.0),
        "tissue_hu": tissue.steady_hu,
        "dependent_hu": tissue.dependent_hu,
        "oedema_hu": tissue.oedema_hu,
    }
    on_grid = {name: Field(values=values, axes=axes) for name, values in fields.items()}
    return Anatomy(
        **on_grid, bones=bones, trees=grow_trees(axes, torso, room, rng), traits=_draw_traits(rng, tissue.mean_hu)
    )


def _draw_traits(rng: np.random.Generator, mean_hu: float) -> LungTraits:
    thick = rng.random() < 0.15
    return LungTraits(
        fissure_hu=float(rng.uniform(250.0, 500.0) if thick else rng.uniform(50.0, 220.0)),
        fissure_half_mm=float(rng.uniform(0.7, 1.5) if thick else 0.5),
        airway_wall_mm=float(rng.uniform(0.35, 0.85)),
        mean_hu=mean_hu,
    )


def _soft_fields(mediastinum: Mediastinum, abdomen: Abdomen) -> dict[str, Float32Array]:
    return {
        "blood": mediastinum.blood,
        "soft": mediastinum.soft,
        "liver": abdomen.liver,
        "spleen": abdomen.spleen,
        "stomach": abdomen.stomach,
        "stomach_gas": abdomen.stomach_gas,
    }
