"""A patient as one scan finds them: the anatomy of the day, bent as they lie."""

from dataclasses import dataclass, replace

import numpy as np

from pipeline.phantom.axes import Field
from pipeline.phantom.bones import Bones
from pipeline.phantom.deformation import Deformation, build_deformation
from pipeline.phantom.lesions import LesionBody
from pipeline.phantom.patient import Anatomy, Effusion, PhantomPatient
from pipeline.phantom.scan import Scan
from pipeline.phantom.tree import LungTrees
from pipeline.study import Float32Array

_SOLIDS = (
    "body",
    "muscle",
    "cavity",
    "blood",
    "soft",
    "liver",
    "spleen",
    "stomach",
    "stomach_gas",
    "bone",
    "right_lung",
    "left_lung",
    "fissure",
    "upright",
    "tissue_hu",
)
"""Fields of the anatomy that a scan reads."""
_THICKENED = 1.25
"""Vessels in lesions against vessels elsewhere."""
_DENSEST_MEAN_HU = -710.0
"""Lungs at the end of expiration."""
_DENSEST_TISSUE_HU = -150.0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Posed:
    """What a scan sees of a patient on a day."""

    anatomy: Anatomy
    """Its tissue is that of the day."""
    fluid: Field | None
    """Pleural effusion with the lungs it surrounds: a solid to be drawn before the lungs."""
    bodies: tuple[LesionBody, ...]
    """Look-alikes, then lesions."""
    deformation: Deformation | None
    """None: as in the anatomy."""


def pose(patient: PhantomPatient, day: float, scan: Scan) -> Posed:
    """The patient as this scan finds them."""
    anatomy = patient.anatomy
    axes = anatomy.tissue_hu.axes
    fields = {name: getattr(anatomy, name) for name in _SOLIDS}
    fields["tissue_hu"] = Field(values=_tissue_hu(patient, day, scan), axes=axes)
    wet = patient.effusion.episode.amount(day) if patient.effusion else 0.0
    if patient.effusion and wet > 0.0:
        fields |= _with_fluid(patient, patient.effusion, wet)
    bodies = (*patient.look_alikes, *patient.lesions)
    anatomy = replace(anatomy, trees=_with_thick_vessels(anatomy.trees, patient.lesions, day))
    deformation = build_deformation(
        axes, rotation_deg=scan.rotation_deg, elastic_mm=scan.elastic_mm, seed=scan.elastic_seed
    )
    if deformation is not None:
        fields = deformation.bend_fields(fields)
        trees, bones = _bent_trees(anatomy.trees, deformation), _bent_bones(anatomy.bones, deformation)
        anatomy = replace(anatomy, trees=trees, bones=bones)
        bodies = tuple(_bent_body(body, deformation) for body in bodies)
    fluid = fields.pop("fluid", None)
    return Posed(anatomy=_with_fields(anatomy, fields), fluid=fluid, bodies=bodies, deformation=deformation)


def _with_fields(anatomy: Anatomy, fields: dict[str, Field]) -> Anatomy:
    return replace(anatomy, **fields)  # type: ignore[arg-type]


def _tissue_hu(patient: PhantomPatient, day: float, scan: Scan) -> Float32Array:
    """Tissue of the day; less air in the same room makes it denser."""
    anatomy = patient.anatomy
    tissue_hu = anatomy.tissue_hu.values + np.float32(scan.atelectasis) * anatomy.dependent_hu.values
    wet = patient.oedema.amount(day) if patient.oedema else 0.0
    if wet > 0.0:
        tissue_hu = tissue_hu + np.float32(wet) * anatomy.oedema_hu.values
    air = max(scan.breath * scan.aeration, (anatomy.traits.mean_hu + 1000.0) / (_DENSEST_MEAN_HU + 1000.0))
    dense = (tissue_hu + 1000.0) / np.float32(air) - 1000.0
    return np.minimum(dense, np.float32(_DENSEST_TISSUE_HU)).astype(np.float32)


def _with_fluid(patient: PhantomPatient, effusion: Effusion, wet: float) -> dict[str, Field]:
    """Lungs lifted off the chest wall by fluid at the back and base, and the room of both together."""
    anatomy, torso = patient.anatomy, patient.torso
    axes = anatomy.right_lung.axes
    z, y, _ = axes.broadcast()
    height = z / np.float32(torso.lung_height_mm) + np.float32(0.5)
    shape = np.clip((y + 15.0) / 70.0, 0.0, 1.0) * np.clip((0.72 - height) / 0.45, 0.0, 1.0)
    room = np.minimum(anatomy.right_lung.values, anatomy.left_lung.values)
    right = anatomy.right_lung.values + np.float32(wet * effusion.right_mm) * shape
    left = anatomy.left_lung.values + np.float32(wet * effusion.left_mm) * shape
    arrays = {"right_lung": right, "left_lung": left, "fluid": room}
    return {name: Field(values=values.astype(np.float32), axes=axes) for name, values in arrays.items()}


def _with_thick_vessels(trees: LungTrees, lesions: tuple[LesionBody, ...], day: float) -> LungTrees:
    """Vessels are wider inside lesions than they were before."""
    vessels = trees.vessels
    middles = 0.5 * (vessels.start_mm + vessels.end_mm)
    radius_mm = vessels.radius_mm.copy()
    for lesion in lesions:
        size = lesion.size(day)
        axes = lesion.reach.axes
        index = np.rint((middles - axes.origin_mm) / axes.step_mm).astype(np.intp)
        near = np.flatnonzero(np.all((index >= 0) & (index < axes.shape), axis=1)) if size > 0.0 else ()
        inside = [place for place in near if lesion.reach.values[tuple(index[place])] < size]
        radius_mm[inside] = vessels.radius_mm[inside] * _THICKENED
    return replace(trees, vessels=replace(vessels, radius_mm=radius_mm))


def _bent_trees(trees: LungTrees, deformation: Deformation) -> LungTrees:
    return LungTrees(
        vessels=deformation.bend_tubes(trees.vessels),
        central_airways=deformation.bend_tubes(trees.central_airways),
        airways=deformation.bend_tubes(trees.airways),
        twigs=deformation.bend_tubes(trees.twigs),
    )


def _bent_bones(bones: Bones, deformation: Deformation) -> Bones:
    return replace(
        bones,
        ribs=deformation.bend_tubes(bones.ribs),
        cartilage=deformation.bend_tubes(bones.cartilage),
        clavicles=deformation.bend_tubes(bones.clavicles),
    )


def _bent_body(body: LesionBody, deformation: Deformation) -> LesionBody:
    return replace(
        body,
        reach=deformation.bend_field(body.reach),
        core=deformation.bend_field(body.core),
        density_hu=deformation.bend_field(body.density_hu),
    )
