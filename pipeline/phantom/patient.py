"""A patient: anatomy that stays, lesions that come and go."""

from dataclasses import dataclass

import numpy as np

from pipeline.phantom.axes import Axes, Field
from pipeline.phantom.bones import Bones, build_bones
from pipeline.phantom.kinetics import Course
from pipeline.phantom.lesions import LesionBody
from pipeline.phantom.lobes import build_lobes
from pipeline.phantom.organs import Abdomen, Mediastinum, build_abdomen, build_lungs, build_mediastinum, build_trunk
from pipeline.phantom.spread import build_site, draw_lesions, draw_look_alikes
from pipeline.phantom.textures import cut_texture, fractal_noise
from pipeline.phantom.torso import ATLAS_STEP_MM, Torso, draw_torso
from pipeline.phantom.tree import LungTrees, grow_trees
from pipeline.study import Float32Array

_BLEND_MM = 3.0


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
    parenchyma_hu: Field
    """Lung tissue without vessels."""
    bones: Bones
    trees: LungTrees


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
    """Nodules and scars, which are no lesions and never change."""

    @property
    def lung_base_mm(self) -> float:
        """The z of the lowest lung, at full inspiration."""
        lungs = np.minimum(self.anatomy.right_lung.values, self.anatomy.left_lung.values)
        lowest = int(np.flatnonzero((lungs < 0).any(axis=(1, 2)))[0])
        return float(self.anatomy.right_lung.axes.z_mm[lowest])


def build_patient(seed: int, *, course: Course) -> PhantomPatient:
    """A patient, the same for the same seed and course; the anatomy depends on the seed alone."""
    anatomy_rng, lesion_rng = (np.random.default_rng([seed, stream]) for stream in (0, 1))
    torso = draw_torso(anatomy_rng)
    axes = torso.atlas_axes()
    anatomy = _build_anatomy(axes, torso, anatomy_rng)
    site = build_site(axes, np.minimum(anatomy.right_lung.values, anatomy.left_lung.values) < 0)
    look_alikes = draw_look_alikes(site, anatomy_rng)
    lesions = draw_lesions(site, course, lesion_rng)
    return PhantomPatient(
        seed=seed, course=course, torso=torso, anatomy=anatomy, lesions=lesions, look_alikes=look_alikes
    )


def _build_anatomy(axes: Axes, torso: Torso, rng: np.random.Generator) -> Anatomy:
    wobble = cut_texture(fractal_noise(1.8), axes.shape, rng)
    trunk = build_trunk(axes, torso, wobble)
    mediastinum = build_mediastinum(axes, torso)
    right, left = build_lungs(axes, torso, trunk, mediastinum)
    lobes = build_lobes(axes, torso, (right, left), cut_texture(fractal_noise(2.2), axes.shape, rng))
    room = np.where(np.minimum(right, left) < -5.0, lobes.lobe_map, 0).astype(np.uint8)
    bones = build_bones(axes, torso, trunk.cavity)
    abdomen = build_abdomen(axes, torso, trunk)
    fields = _soft_fields(mediastinum, abdomen) | {
        "body": trunk.body,
        "muscle": trunk.muscle,
        "cavity": trunk.cavity,
        "bone": bones.solid,
        "right_lung": right,
        "left_lung": left,
        "fissure": lobes.fissure,
        "parenchyma_hu": _parenchyma(axes, np.minimum(right, left), rng),
    }
    on_grid = {name: Field(values=values, axes=axes) for name, values in fields.items()}
    return Anatomy(**on_grid, bones=bones, trees=grow_trees(axes, torso, room, rng))


def _soft_fields(mediastinum: Mediastinum, abdomen: Abdomen) -> dict[str, Float32Array]:
    return {
        "blood": mediastinum.blood,
        "soft": mediastinum.soft,
        "liver": abdomen.liver,
        "spleen": abdomen.spleen,
        "stomach": abdomen.stomach,
        "stomach_gas": abdomen.stomach_gas,
    }


def _parenchyma(axes: Axes, lungs: Float32Array, rng: np.random.Generator) -> Float32Array:
    """HU of air and alveoli: denser at the back by gravity, mottled, with atelectasis or emphysema in some."""
    _, y, _ = axes.broadcast()
    mottle = cut_texture(fractal_noise(1.2), axes.shape, rng)
    tissue_hu = rng.normal(-868.0, 12.0) + rng.uniform(0.1, 0.45) * y + 13.0 * mottle
    if rng.random() < 0.2:
        holes = np.clip(cut_texture(fractal_noise(1.5), axes.shape, rng) - 1.0, 0.0, 1.0)
        tissue_hu = tissue_hu - rng.uniform(40.0, 90.0) * holes
    if rng.random() < 0.4:
        tissue_hu = tissue_hu + _dependent_atelectasis(axes, lungs, mottle, rng)
    return np.clip(tissue_hu, -985.0, -300.0).astype(np.float32)


def _dependent_atelectasis(
    axes: Axes, lungs: Float32Array, mottle: Float32Array, rng: np.random.Generator
) -> Float32Array:
    """Extra HU in a band along the back of the lungs, where the patient lies on them."""
    backward = np.gradient(lungs, ATLAS_STEP_MM, axis=1)
    _, y, _ = axes.broadcast()
    facing = np.clip((backward - 0.45) / 0.4, 0.0, 1.0) * np.clip((y - 15.0) / 30.0, 0.0, 1.0)
    thickness_mm = rng.uniform(2.0, 6.0)
    band = np.exp(np.minimum(lungs, 0.0) / thickness_mm * (1.0 + 0.25 * mottle))
    return np.asarray(rng.uniform(120.0, 330.0) * facing * band, dtype=np.float32)
