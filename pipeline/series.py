"""One series of a study, judged by its headers."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from pydicom.uid import CTImageStorage

from pipeline.compression import Loss, loss_of
from pipeline.contrast import ContrastPhase, contrast_phase
from pipeline.frames import MULTI_FRAME_CT
from pipeline.image_header import ImageHeader
from pipeline.image_kind import OBJECTION, SECONDARY_CAPTURES, ImageKind, image_kind
from pipeline.kernels import KernelUse, kernel_use
from pipeline.mixture import mixture_notes
from pipeline.places import GAP_NOTE_FACTOR, one_slice_per_place
from pipeline.region import region_rank
from pipeline.series_rules import RuleVerdict, SeriesRule, apply_rules
from pipeline.stack import Stack, rounded_mm, slice_normal, stack_faults, tilt_degrees
from pipeline.study import SliceHeader
from pipeline.syntaxes import is_readable, syntax_name

THICKEST_MM = 10.0
"""Thicker slices average lesions away."""

THICK_MM = 5.0
"""Above it the findings say so: chest CT for lung disease is 5 mm or thinner (Fleischner and QIBA ask for far less)."""

STRAY_SCOUT_SHARE = 0.1
"""Images of another orientation are scouts only while they are few."""

MOST_VOXELS = 2**31
"""More, 2048 slices of 1024 x 1024, is no chest but a header that lies."""

LARGEST_OBLIQUE_DEGREES = 30.0
"""Slices whose normal leans more from the body's length are not axial; gantries tilt to 30 degrees."""

SMALLEST_RANGE_HU = 1000.0
"""From lung to soft tissue; images of 8 bits with a slope of 1 cannot say both."""

_UNPLACED = "unplaced secondary"
"""What images are called that were not acquired as slices and do not say where they lie."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class JudgedSeries:
    """What is known of a series before a pixel is read."""

    series_instance_uid: str
    number: int | None
    description: str
    image_count: int
    """Images and frames, those left out too."""
    objections: tuple[str, ...]
    """Why it is not an axial CT image series; each reads on after "it"."""
    faults: tuple[str, ...]
    """Why its slices are not an even volume; each reads on after a comma."""
    notes: tuple[str, ...]
    """Plain sentences that qualify findings made on it."""
    undecodable: str
    """Why its pixels cannot be read here, reads on after "it"; empty when they can."""
    stack: Stack | None
    plane: str
    """Axial, coronal, sagittal or oblique; empty where that is not known."""
    is_original: bool
    is_lossy: bool
    rules: RuleVerdict
    contrast: ContrastPhase
    region_rank: int
    """0 called chest, 1 not called anything, 2 called another part of the body."""
    kernel: str
    """The least useful, where slices have several."""
    kernel_use: KernelUse
    slice_thickness_mm: float | None

    @property
    def label(self) -> str:
        """The name for reasons: no words of the sender."""
        return "a series without a number" if self.number is None else f"series {self.number}"

    @property
    def against(self) -> str:
        """Everything that speaks against it, as one clause; empty for a series that may be read."""
        undecodable = (self.undecodable,) if self.undecodable else ()
        return "; ".join(self.objections + self.faults + undecodable)

    @property
    def spacing_mm(self) -> float:
        """Between slices; 0 where they are no stack."""
        return self.stack.spacing_mm if self.stack else 0.0

    @property
    def coarseness_mm(self) -> float:
        """How little it sees along the slices: their thickness, or their distance where that is larger."""
        return rounded_mm(max(self.slice_thickness_mm or 0.0, self.spacing_mm))

    @property
    def extent_mm(self) -> float:
        """Height of the imaged part of the body."""
        if self.stack is None:
            return 0.0
        return float(self.stack.heights_mm[-1] - self.stack.heights_mm[0]) + self.stack.spacing_mm

    @property
    def width_mm(self) -> float:
        """Shorter side of its images; 0 where they are no stack."""
        if self.stack is None:
            return 0.0
        first = self.stack.slices[0]
        between_rows_mm, between_columns_mm = first.pixel_spacing_mm
        return rounded_mm(min(first.rows * between_rows_mm, first.columns * between_columns_mm))


def judge_series(
    images: Sequence[ImageHeader], rules: Sequence[SeriesRule] = (), *, corrects_tilt: bool = False
) -> JudgedSeries:
    """Whether the images of one series are a CT volume, and how good a one.

    Args:
        images: Of one series, at least one.
        rules: Of the site, for whoever sent it.
        corrects_tilt: Whether a gantry tilt is straightened, and so is no fault.
    """
    kept, left_out = _without_other_kinds(images)
    placed = [image for image in kept if image.geometry is not None]
    stack, notes = one_slice_per_place(placed, corrects_tilt=corrects_tilt) if placed else (None, ())
    shown = _shown(kept, stack)
    first = shown[0]
    kernel = max((image.kernel for image in shown), key=kernel_use)
    plane = _plane(stack)
    thickness_mm = max((image.slice_thickness_mm or 0.0 for image in shown), default=0.0)
    loss = loss_of(shown)
    faults = _faults(stack, thickness_mm, corrects_tilt=corrects_tilt)
    notes += () if faults else _tilt_notes(stack)
    verdict = apply_rules(rules, description=first.series_description, kernel=kernel, thickness_mm=thickness_mm)
    return JudgedSeries(
        series_instance_uid=first.series_instance_uid,
        number=first.series_number,
        description=first.series_description,
        image_count=len(images),
        objections=_objections(shown, plane, unplaced=len(kept) - len(placed))
        + ((verdict.objection,) if verdict.objection else ()),
        faults=faults,
        notes=(*notes, *_left_out_notes(left_out), *_quality_notes(shown, stack, plane, thickness_mm, loss)),
        undecodable=_undecodable(shown),
        stack=stack,
        plane=plane,
        is_original=_is_original(shown),
        is_lossy=loss is Loss.CERTAIN,
        rules=verdict,
        contrast=_contrast(shown),
        region_rank=region_rank(first.region),
        kernel=kernel,
        kernel_use=kernel_use(kernel),
        slice_thickness_mm=thickness_mm or None,
    )


def _without_other_kinds(images: Sequence[ImageHeader]) -> tuple[list[ImageHeader], Counter[str]]:
    """The acquired slices, and how many images of other kinds are left out; all, where there is no slice."""
    kinds = [image_kind(image) for image in images]
    slices = [image for image, kind in zip(images, kinds, strict=True) if kind is ImageKind.SLICE]
    if not slices:
        usual, _ = Counter(kinds).most_common(1)[0]
        return [image for image, kind in zip(images, kinds, strict=True) if kind is usual], Counter()
    left_out: Counter[str] = Counter(kind for kind in kinds if kind is not ImageKind.SLICE)
    slices, left_out[_UNPLACED] = _without_unplaced(slices)
    slices, across = _without_stray_scouts(slices)
    left_out[ImageKind.SCOUT] += across
    return slices, left_out


def _without_unplaced(images: list[ImageHeader]) -> tuple[list[ImageHeader], int]:
    """Without secondary images that have no place, and how many they are; none, where slices with a place are secondary too."""
    placed = [image for image in images if image.geometry is not None]
    if not placed or any(map(_is_secondary, placed)):
        return images, 0
    kept = [image for image in images if image.geometry is not None or not _is_secondary(image)]
    return kept, len(images) - len(kept)


def _is_secondary(image: ImageHeader) -> bool:
    """Image Type says that it was made after the examination (PS3.3 C.7.6.1.1.2)."""
    return image.image_type[1:2] == ("SECONDARY",)


def _without_stray_scouts(images: list[ImageHeader]) -> tuple[list[ImageHeader], int]:
    """Without images across all others, and how many they are; what has no place lies across nothing."""
    planes = [plane_name(image.geometry) if image.geometry else "" for image in images]
    known = [plane for plane in planes if plane]
    if not known:
        return images, 0
    usual = max(set(known), key=lambda plane: (known.count(plane), plane == "axial", plane))
    kept = [image for image, plane in zip(images, planes, strict=True) if plane in {usual, ""}]
    across = len(images) - len(kept)
    return (kept, across) if across <= max(1, STRAY_SCOUT_SHARE * known.count(usual)) else (images, 0)


def _left_out_notes(left_out: Counter[str]) -> tuple[str, ...]:
    return tuple(
        f"{left_out[kind]} {kind} {'image' if left_out[kind] == 1 else 'images'} within the series left out."
        for kind in (*ImageKind, _UNPLACED)
        if left_out[kind]
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


def _plane(stack: Stack | None) -> str:
    planes = {plane_name(header) for header in stack.slices} if stack else set()
    return planes.pop() if len(planes) == 1 else ""


def _is_original(images: Sequence[ImageHeader]) -> bool:
    """Image Type begins with ORIGINAL: the pixels were acquired so (PS3.3 C.7.6.1.1.2)."""
    return all("ORIGINAL" in image.image_type[:1] for image in images)


def _objections(images: Sequence[ImageHeader], plane: str, *, unplaced: int) -> tuple[str, ...]:
    """Of the images that are read of a series, and those beside them that have no place; they are its images where none has."""
    first = images[0]
    found = [_class_objection(first) or OBJECTION[image_kind(first)]]
    if not found[0] or image_kind(first) is ImageKind.REFORMAT:
        found += _content_objections(images)
        if unplaced and images[0].geometry is not None:
            found.append(f"{unplaced} of its images do not say where they lie in the patient")
    if images[0].geometry is None:
        found.append("its images do not say where they lie in the patient")
    if plane not in {"", "axial"} and not _is_original(images):
        found.append(f"its slices are {plane} and not the acquired ones")
    return tuple(objection for objection in found if objection)


def _undecodable(images: Sequence[ImageHeader]) -> str:
    names = sorted(
        {syntax_name(uid) for uid in {image.transfer_syntax_uid for image in images} if not is_readable(uid)}
    )
    return f"its pixels come as {' and '.join(names)}, which no installed codec reads" if names else ""


def _class_objection(image: ImageHeader) -> str:
    if image.sop_class_uid in SECONDARY_CAPTURES:
        return "it is a secondary capture (dose report, screen capture), not CT slices"
    if image.modality != "CT":
        return f"it is {image.modality or 'of no modality'}, not CT"
    if image.sop_class_uid not in {CTImageStorage, *MULTI_FRAME_CT} or image.frames != 1:
        return "it does not hold CT images, single-frame or enhanced"
    return ""


def _content_objections(images: Sequence[ImageHeader]) -> list[str]:
    found: list[str] = []
    if not all(image.is_in_hu for image in images):
        found.append("its values are not in Hounsfield units")
    elif any(0.0 < image.value_range_hu < SMALLEST_RANGE_HU for image in images):
        range_hu = min(image.value_range_hu for image in images)
        found.append(f"its values span {range_hu:.0f} HU only, too few to tell lung from tissue")
    if not all(image.is_greyscale for image in images):
        found.append("its images are not plain greyscale")
    return found


def _faults(stack: Stack | None, thickness_mm: float, *, corrects_tilt: bool) -> tuple[str, ...]:
    found = [*stack_faults(stack, corrects_tilt=corrects_tilt), *_uid_faults(stack)] if stack is not None else []
    if rounded_mm(thickness_mm) > THICKEST_MM:
        found.append(f"its slices are {thickness_mm:.1f} mm thick, more than {THICKEST_MM:.0f} mm")
    if stack is not None and sum(one.rows * one.columns for one in stack.slices) > MOST_VOXELS:
        found.append(f"its {len(stack.slices)} slices of {stack.slices[0].rows} rows are more than any chest CT has")
    return tuple(found)


def _uid_faults(stack: Stack) -> tuple[str, ...]:
    """Of slices that share a name: results name the slices that they mean."""
    shared = len(stack.slices) - len({(one.sop_instance_uid, one.frame_number) for one in stack.slices})
    if not shared:
        return ()
    noun = "images bears" if shared == 1 else "images bear"
    return (
        f"{shared} of its {noun} the SOP Instance UID of another one at another place, so no result can name the slice that it means",
    )


def _quality_notes(
    images: Sequence[ImageHeader], stack: Stack | None, plane: str, thickness_mm: float, loss: Loss
) -> tuple[str, ...]:
    """What limits findings made on the slices."""
    if stack is None:
        return ()
    notes = list(_thickness_notes(stack.spacing_mm, thickness_mm or stack.spacing_mm))
    if plane not in {"", "axial"}:
        notes.append(f"The series was acquired in {plane} slices; the networks learned from axial ones.")
    if loss is not Loss.NONE:
        notes.append(loss.value)
    if _contrast(images) >= ContrastPhase.ARTERIAL:
        notes.append("The series was acquired with contrast: vessels and lesions are denser than without.")
    return (*notes, *mixture_notes(images, stack))


def _contrast(images: Sequence[ImageHeader]) -> ContrastPhase:
    """Of slices of which some have it, the worst."""
    return max(contrast_phase(image.series_description, image.contrast_agent) for image in images)


def _tilt_notes(stack: Stack | None) -> tuple[str, ...]:
    """Of a stack without faults: where it leans all the same, it is to be straightened."""
    degrees = tilt_degrees(stack) if stack else 0.0
    if not degrees:
        return ()
    return (f"Acquired with a gantry tilt of {degrees:.1f} degrees: resampled to straight axes for the analysis.",)


def _thickness_notes(spacing_mm: float, thickness_mm: float) -> tuple[str, ...]:
    notes: list[str] = []
    coarse_mm = rounded_mm(max(thickness_mm, spacing_mm))
    if coarse_mm > THICK_MM:
        notes.append(f"Thick slices ({coarse_mm:.1f} mm): small lesions can be missed, volumes are less exact.")
    if rounded_mm(spacing_mm) > rounded_mm(GAP_NOTE_FACTOR * thickness_mm):
        notes.append(
            f"Slices of {thickness_mm:.1f} mm lie {spacing_mm:.1f} mm apart: what lies between was not imaged."
        )
    return tuple(notes)
