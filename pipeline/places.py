"""One slice for each place in a series that shows places more than once."""

from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from pipeline.contrast import contrast_phase, named_agent
from pipeline.errors import UnreadableStudyError
from pipeline.image_header import ImageHeader
from pipeline.kernels import kernel_use
from pipeline.stack import (
    FEWEST_SLICES,
    SAME_DIRECTION,
    SAME_POSITION_MM,
    Stack,
    build_stack,
    repeated_places,
    shares_plane,
    slice_normal,
    stack_faults,
)
from pipeline.volume import pixel_digests

WHOLE_SHARE = 0.8
"""A stack that reaches over this share of another's height counts as showing as much of the body."""

GAP_NOTE_FACTOR = 1.25
"""Spacing over thickness from which the unseen part is worth a sentence."""

Key = Callable[[ImageHeader], Hashable]

PARTS: tuple[tuple[str, Key], ...] = (
    ("acquisitions", lambda image: image.acquisition_number or 0),
    ("stacks", lambda image: image.stack_id),
    ("moments", lambda image: image.temporal_position or 0),
    ("reconstructions", lambda image: image.kernel),
    ("kinds of images", lambda image: image.image_type),
    ("slice thicknesses", lambda image: image.slice_thickness_mm or 0.0),
    ("contrast agents", lambda image: named_agent(image.contrast_agent)),
)
"""What may tell apart images of the same places, and what to call the parts; the first that makes a whole volume counts."""

INTERLEAVED = frozenset({"acquisitions", "reconstructions", "contrast agents"})
"""Of `PARTS`, what is never mixed where each part is a whole volume by itself, though no place is shown twice."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Part:
    images: tuple[ImageHeader, ...]
    kind: str


def one_slice_per_place(images: Sequence[ImageHeader], *, corrects_tilt: bool = False) -> tuple[Stack, tuple[str, ...]]:
    """The stack of a series, with what must be said of it.

    Where it is made of several whole volumes, slice between slice, the best of them. Where it is faulty, also because its
    images differ in plane or size, the part of it that is a whole volume, if leaving out the rest mixes nothing; where images
    are there twice, pixel for pixel, each once; else the faulty stack.

    Args:
        images: At least one, each with its geometry.
        corrects_tilt: See `stack_faults`.
    """
    stack = _stack(images)
    if not stack_faults(stack, corrects_tilt=corrects_tilt):
        return _one_of_interleaved(images, stack, corrects_tilt=corrects_tilt)
    for part in _parts(images):
        one = _stack(part.images)
        if not stack_faults(one, corrects_tilt=corrects_tilt) and _shows_as_much(one, stack):
            return one, (_part_note(part.kind, one),)
    if not shares_plane(stack):
        return stack, ()
    once = _without_copies(images) if repeated_places(stack) else list(images)
    copies = len(images) - len(once)
    if not copies:
        return stack, ()
    rest, notes = one_slice_per_place(once, corrects_tilt=corrects_tilt)
    noun = "image that repeats" if copies == 1 else "images that repeat"
    return rest, (*notes, f"{copies} {noun} another one of the series, pixel for pixel, left out.")


def _one_of_interleaved(
    images: Sequence[ImageHeader], stack: Stack, *, corrects_tilt: bool
) -> tuple[Stack, tuple[str, ...]]:
    """Of several whole volumes the one made for lung tissue, of equals the one without contrast; else all, the even stack."""
    for kind, key in PARTS:
        groups = _groups(images, key) if kind in INTERLEAVED else {}
        if len(groups) < 2 or not all(
            _is_whole(group, stack, kind=kind, corrects_tilt=corrects_tilt) for group in groups.values()
        ):
            continue
        best = _stack(groups[min(groups, key=lambda value: (*_use(groups[value]), str(value)))])
        return best, (_part_note(kind, best),)
    return stack, ()


def _is_whole(images: Sequence[ImageHeader], stack: Stack, *, kind: str, corrects_tilt: bool) -> bool:
    """Whether a part is a volume by itself that shows as much.

    One of several acquisitions must leave no gaps: thin slices may be acquired in two passes, every other one in each.
    """
    part = _stack(images)
    thickness_mm = max(image.slice_thickness_mm or 0.0 for image in images)
    has_gaps = kind == "acquisitions" and part.spacing_mm > GAP_NOTE_FACTOR * thickness_mm
    return not has_gaps and not stack_faults(part, corrects_tilt=corrects_tilt) and _shows_as_much(part, stack)


def _use(images: Sequence[ImageHeader]) -> tuple[int, int, int]:
    """How good a part is, lower is better: kernel, contrast, count of slices."""
    first = images[0]
    return kernel_use(first.kernel), contrast_phase(first.series_description, first.contrast_agent), -len(images)


def _part_note(kind: str, used: Stack) -> str:
    return f"The series holds several {kind}; the one with {len(used.slices)} slices is used."


def _groups(images: Sequence[ImageHeader], key: Key) -> dict[Hashable, list[ImageHeader]]:
    """The images by what they have in common."""
    groups: dict[Hashable, list[ImageHeader]] = defaultdict(list)
    for image in images:
        groups[key(image)].append(image)
    return groups


def _stack(images: Sequence[ImageHeader]) -> Stack:
    return build_stack([image.geometry for image in images if image.geometry])


def _in_plane_of(part: Stack, whole: Stack) -> Stack:
    """The slices of the whole that lie as those of a part: only their heights can be compared with its own."""
    if shares_plane(whole):
        return whole
    return build_stack([one for one in whole.slices if float(slice_normal(one) @ part.normal) > 1.0 - SAME_DIRECTION])


def _shows_as_much(part: Stack, whole: Stack) -> bool:
    """Whether a part lies as most of the images do, and is as high as those."""
    alike = _in_plane_of(part, whole)
    is_usual = 2 * len(alike.slices) >= len(whole.slices)
    return is_usual and bool(np.ptp(part.heights_mm) >= WHOLE_SHARE * np.ptp(alike.heights_mm))


def _parts(images: Sequence[ImageHeader]) -> Iterator[_Part]:
    """By each way of telling images apart, where it tells any apart, the best part first; by time, and by all ways last."""
    for kind, key in PARTS:
        yield from _by_count(images, key, kind)
    yield from _earliest(images)
    yield from _by_count(images, lambda image: tuple(key(image) for _, key in PARTS), "parts")


def _by_count(images: Sequence[ImageHeader], key: Key, kind: str) -> Iterator[_Part]:
    """The part with the most slices first, of equals the one made for lung tissue, then the original one."""
    groups = _groups(images, key)
    if len(groups) < 2:
        return

    def rank(value: Hashable) -> tuple[int, int, bool, str]:
        first = groups[value][0]
        return -len(groups[value]), kernel_use(first.kernel), first.image_type[:1] != ("ORIGINAL",), str(value)

    for value in sorted(groups, key=rank):
        if len(groups[value]) >= FEWEST_SLICES:
            yield _Part(images=tuple(groups[value]), kind=kind)


def _earliest(images: Sequence[ImageHeader]) -> Iterator[_Part]:
    """The first of several passes over the same places, where each pass ended before the next began."""
    places: dict[int, list[ImageHeader]] = defaultdict(list)
    for image in images:
        places[_place(image)].append(image)
    counts = Counter(map(len, places.values()))
    if len(counts) != 1 or 1 in counts or not all(image.acquired for image in images):
        return
    ordered = [sorted(at_one_place, key=lambda image: image.acquired) for at_one_place in places.values()]
    passes = list(zip(*ordered, strict=True))
    ends = [(min(image.acquired for image in one), max(image.acquired for image in one)) for one in passes]
    if all(before[1] < after[0] for before, after in pairwise(ends)):
        yield _Part(images=passes[0], kind="passes, one after the other")


def _without_copies(images: Sequence[ImageHeader]) -> list[ImageHeader]:
    """Each image once; pixels are read of those only that share a place."""
    counts = Counter(map(_place, images))
    shared = [image for image in images if counts[_place(image)] > 1]
    try:
        digests = pixel_digests([image.geometry for image in shared if image.geometry])
    except UnreadableStudyError:
        return list(images)
    kept: dict[Hashable, ImageHeader] = {}
    for image in images:
        pixels = digests.get(image.geometry, image.geometry) if image.geometry else None
        kept.setdefault((_place(image), pixels), image)
    return list(kept.values())


def _place(image: ImageHeader) -> int:
    """Number of the height at which an image lies."""
    if image.geometry is None:
        return 0
    normal = build_stack([image.geometry]).normal
    return round(float(normal @ np.array(image.geometry.image_position_mm)) / SAME_POSITION_MM)
