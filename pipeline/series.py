"""One series of a study, judged by its headers."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from pydicom.uid import CTImageStorage, SecondaryCaptureImageStorage

from pipeline.frames import MULTI_FRAME_CT
from pipeline.kernels import KernelUse, kernel_use
from pipeline.read import ImageHeader
from pipeline.stack import Stack, build_stack, shares_plane, slice_normal, stack_faults, without_duplicates
from pipeline.study import SliceHeader

THICKEST_MM = 10.0
"""Thicker slices average lesions away."""

THICK_MM = 5.0
"""Above it the findings say so: chest CT for lung disease is 5 mm or thinner (Fleischner and QIBA ask for far less)."""

WHOLE_SHARE = 0.8
"""A stack that reaches over this share of another's height counts as showing as much of the body."""

GAP_NOTE_FACTOR = 1.25
"""Spacing over thickness from which the unseen part is worth a sentence."""

STRAY_SCOUT_SHARE = 0.1
"""Images of another orientation are scouts only while they are few."""

FEW_DUPLICATES_SHARE = 0.1
"""More images at taken places are a second volume, which must not be mixed in."""

MOST_VOXELS = 2**31
"""More, 2048 slices of 1024 x 1024, is no chest but a header that lies."""

LARGEST_OBLIQUE_DEGREES = 30.0
"""Slices whose normal leans more from the body's length are not axial; gantries tilt to 30 degrees."""

_REFORMAT_WORDS = frozenset({"REFORMATTED", "MPR", "MIP", "MINIP", "AVERAGE", "PROJECTION", "VRT", "CPR", "SCREEN"})
"""Image Type values, third and later (PS3.3 C.8.16.1.4 and what GE, Siemens, Toshiba write)."""

_CHEST_WORDS = ("CHEST", "THORA", "LUNG", "PULMO", "TORAX", "LUNGE")
_OTHER_WORDS = (
    "HEAD",
    "BRAIN",
    "SKULL",
    "NECK",
    "ABDOM",
    "PELVI",
    "SPINE",
    "KNEE",
    "FOOT",
    "HAND",
    "SINUS",
    "TEMPORAL",
)
"""Parts of Body Part Examined and descriptions; they order series, they never refuse one."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class JudgedSeries:
    """What is known of a series before a pixel is read."""

    series_instance_uid: str
    number: int | None
    description: str
    objections: tuple[str, ...]
    """Why it is not an axial CT image series; each reads on after "it"."""
    faults: tuple[str, ...]
    """Why its slices are not an even volume; each reads on after a comma."""
    notes: tuple[str, ...]
    """Plain sentences that qualify findings made on it."""
    stack: Stack | None
    is_original: bool
    region_rank: int
    """0 called chest, 1 not called anything, 2 called another part of the body."""
    kernel: str
    kernel_use: KernelUse
    slice_thickness_mm: float | None

    @property
    def label(self) -> str:
        """The name for reasons: no words of the sender."""
        return "a series without a number" if self.number is None else f"series {self.number}"

    @property
    def against(self) -> str:
        """Everything that speaks against it, as one clause; empty for a series that may be read."""
        return "; ".join(self.objections + self.faults)

    @property
    def extent_mm(self) -> float:
        """Height of the imaged part of the body."""
        if self.stack is None:
            return 0.0
        return float(self.stack.heights_mm[-1] - self.stack.heights_mm[0]) + self.stack.spacing_mm


def judge_series(images: Sequence[ImageHeader]) -> JudgedSeries:
    """Whether the images of one series are an axial CT volume, and how good a one."""
    no_scouts, scouts = _without_scouts(images)
    chest_images, reformats = _without_reformats(no_scouts)
    headers = [image.geometry for image in chest_images if image.geometry is not None]
    stack, notes = _one_slice_per_place(chest_images) if headers else (None, ())
    notes = (*notes, *_left_out_notes(scouts, reformats)) if chest_images else notes
    first = _shown(chest_images or images, stack)[0]
    return JudgedSeries(
        series_instance_uid=first.series_instance_uid,
        number=first.series_number,
        description=first.series_description,
        objections=_objections(chest_images or images, stack),
        faults=_faults(chest_images, stack),
        notes=(*notes, *_thickness_notes(chest_images, stack)),
        stack=stack,
        is_original=all("ORIGINAL" in image.image_type[:1] for image in chest_images),
        region_rank=_region_rank(first.region),
        kernel=first.kernel,
        kernel_use=kernel_use(first.kernel),
        slice_thickness_mm=first.slice_thickness_mm,
    )


def _without_scouts(images: Sequence[ImageHeader]) -> tuple[list[ImageHeader], int]:
    """Images that are no scouts, and how many are: by name, or as a few strays across the axial rest."""
    rest = [image for image in images if "LOCALIZER" not in image.image_type]
    axial = [image for image in rest if image.geometry and plane_name(image.geometry) == "axial"]
    strays = len(rest) - len(axial)
    if axial and 0 < strays <= max(1, STRAY_SCOUT_SHARE * len(axial)):
        rest = axial
    return rest, len(images) - len(rest)


def _without_reformats(images: Sequence[ImageHeader]) -> tuple[list[ImageHeader], int]:
    """Images that are no reformats, and how many are; all of them, where the series holds nothing else."""
    acquired = [image for image in images if not _is_reformat(image)]
    return (acquired, len(images) - len(acquired)) if acquired else (list(images), 0)


def _left_out_notes(scouts: int, reformats: int) -> tuple[str, ...]:
    counted = ((scouts, "scout"), (reformats, "reformatted"))
    return tuple(
        f"{count} {kind} {'image' if count == 1 else 'images'} within the series left out."
        for count, kind in counted
        if count
    )


def _shown(images: Sequence[ImageHeader], stack: Stack | None) -> list[ImageHeader]:
    """The images that the stack is made of; all where there is none."""
    slices = set(stack.slices) if stack else set()
    return [image for image in images if image.geometry in slices] or list(images)


def plane_name(header: SliceHeader) -> str:
    """Axial, coronal, sagittal or oblique, by the slice normal in LPS."""
    lean = np.abs(slice_normal(header))
    axis = int(lean.argmax())
    if lean[axis] < np.cos(np.radians(LARGEST_OBLIQUE_DEGREES)):
        return "oblique"
    return ("sagittal", "coronal", "axial")[axis]


def _one_slice_per_place(images: Sequence[ImageHeader]) -> tuple[Stack, tuple[str, ...]]:
    """The stack; where it is faulty, the part of it that is a whole volume, if dropping the rest mixes nothing."""
    stack = build_stack([image.geometry for image in images if image.geometry])
    if not shares_plane(stack) or not stack_faults(stack):
        return stack, ()
    part, kind = _largest_part(images)
    if part is not None and not stack_faults(part) and _shows_as_much(part, stack):
        return part, (f"The series holds several {kind}; the one with {len(part.slices)} slices is used.",)
    single = without_duplicates(stack)
    repeated = len(stack.slices) - len(single.slices)
    if 0 < repeated <= FEW_DUPLICATES_SHARE * len(single.slices):
        return single, (f"{repeated} images at places that another image shows were left out.",)
    return stack, ()


def _shows_as_much(part: Stack, whole: Stack) -> bool:
    return bool(np.ptp(part.heights_mm) >= WHOLE_SHARE * np.ptp(whole.heights_mm))


_PARTS = ("acquisitions", "stacks", "moments", "reconstructions")
"""What the values of `_part` tell apart."""


def _part(image: ImageHeader) -> tuple[int, str, int, str]:
    """Images that differ in it may show the same places again."""
    return image.acquisition_number or 0, image.stack_id, image.temporal_position or 0, image.kernel


def _largest_part(images: Sequence[ImageHeader]) -> tuple[Stack | None, str]:
    """The part with the most slices, of equals the one made for lung tissue, and in what the parts differ.

    None if there is one part only.
    """
    placed = [image for image in images if image.geometry is not None]
    counts = Counter(map(_part, placed))
    if len(counts) < 2:
        return None, ""
    best = min(counts, key=lambda part: (-counts[part], kernel_use(part[3]), part))
    kind = next(name for name, values in zip(_PARTS, zip(*counts, strict=True), strict=True) if len(set(values)) > 1)
    return build_stack([image.geometry for image in placed if image.geometry and _part(image) == best]), kind


def _objections(images: Sequence[ImageHeader], stack: Stack | None) -> tuple[str, ...]:
    first = images[0]
    found = [_class_objection(first)]
    if all("LOCALIZER" in image.image_type for image in images):
        found.append("it is a localiser (scout)")
    elif _is_reformat(first):
        found.append("it is a reformat, not the acquired slices")
    if not found[0]:
        found += _content_objections(images)
    if all(image.geometry is None for image in images):
        found.append("its images do not say where they lie in the patient")
    planes = {plane_name(header) for header in stack.slices} if stack else set()
    if len(planes) == 1 and "axial" not in planes:
        found.append(f"its slices are {planes.pop()}, not axial")
    return tuple(objection for objection in found if objection)


def _class_objection(image: ImageHeader) -> str:
    if image.sop_class_uid == SecondaryCaptureImageStorage:
        return "it is a secondary capture, not CT slices"
    if image.modality != "CT":
        return f"it is {image.modality or 'of no modality'}, not CT"
    if image.sop_class_uid not in {CTImageStorage, *MULTI_FRAME_CT} or image.frames != 1:
        return "it does not hold CT images, single-frame or enhanced"
    return ""


def _is_reformat(image: ImageHeader) -> bool:
    words = {word for value in image.image_type[2:] for word in value.replace("_", " ").split()}
    return bool(words & _REFORMAT_WORDS)


def _content_objections(images: Sequence[ImageHeader]) -> list[str]:
    found: list[str] = []
    if not all(image.is_in_hu for image in images):
        found.append("its values are not in Hounsfield units")
    if not all(image.is_greyscale for image in images):
        found.append("its images are not plain greyscale")
    placed = sum(image.geometry is not None for image in images)
    if 0 < placed < len(images):
        found.append(f"{len(images) - placed} of its images do not say where they lie in the patient")
    return found


def _faults(images: Sequence[ImageHeader], stack: Stack | None) -> tuple[str, ...]:
    found = list(stack_faults(stack)) if stack is not None else []
    thickest = max((image.slice_thickness_mm or 0.0 for image in images), default=0.0)
    if thickest > THICKEST_MM:
        found.append(f"its slices are {thickest:.1f} mm thick, more than {THICKEST_MM:.0f} mm")
    if stack is not None and sum(one.rows * one.columns for one in stack.slices) > MOST_VOXELS:
        found.append(f"its {len(stack.slices)} slices of {stack.slices[0].rows} rows are more than any chest CT has")
    return tuple(found)


def _thickness_notes(images: Sequence[ImageHeader], stack: Stack | None) -> tuple[str, ...]:
    if stack is None:
        return ()
    notes: list[str] = []
    spacing_mm = stack.spacing_mm
    thickness_mm = max((image.slice_thickness_mm or 0.0 for image in images), default=0.0) or spacing_mm
    if max(thickness_mm, spacing_mm) > THICK_MM:
        coarse_mm = max(thickness_mm, spacing_mm)
        notes.append(f"Thick slices ({coarse_mm:.1f} mm): small lesions can be missed, volumes are less exact.")
    if spacing_mm > GAP_NOTE_FACTOR * thickness_mm:
        notes.append(
            f"Slices of {thickness_mm:.1f} mm lie {spacing_mm:.1f} mm apart: what lies between was not imaged."
        )
    return tuple(notes)


def _region_rank(region: str) -> int:
    if any(word in region for word in _CHEST_WORDS):
        return 0
    return 2 if any(word in region for word in _OTHER_WORDS) else 1
