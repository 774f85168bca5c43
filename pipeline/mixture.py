"""What differs between the slices of one even volume."""

from collections.abc import Sequence
from itertools import groupby

from pipeline.contrast import named_agent
from pipeline.image_header import ImageHeader
from pipeline.stack import Stack

MOST_KERNELS = 5
"""That a sentence names."""


def mixture_notes(images: Sequence[ImageHeader], stack: Stack) -> tuple[str, ...]:
    """A plain sentence, where kernel or contrast agent differ, or slices of several acquisitions alternate.

    Acquisitions that merely follow one another along the body are no mixture: many scanners number each position of the table,
    or each rotation.

    Args:
        images: That the stack is made of.
        stack: The volume.
    """
    by_slice = {image.geometry: image for image in images}
    ordered = [by_slice[one] for one in stack.slices]
    clauses = [clause for clause in (_kernels(ordered), _agents(ordered), _acquisitions(ordered)) if clause]
    if not clauses:
        return ()
    return (
        f"The slices of the series are not all of one kind: {', '.join(clauses)}. What is found may depend on it; send each kind "
        "as a series of its own.",
    )


def _kernels(images: Sequence[ImageHeader]) -> str:
    names = sorted({image.kernel or "unnamed" for image in images})
    more = len(names) - MOST_KERNELS
    listed = ", ".join(names[:MOST_KERNELS]) + (f" and {more} more" if more > 0 else "")
    return f"their kernels differ ({listed})" if len(names) > 1 else ""


def _agents(images: Sequence[ImageHeader]) -> str:
    agents = {named_agent(image.contrast_agent) for image in images}
    if len(agents) < 2:
        return ""
    return "some have a contrast agent and some none" if "" in agents else "their contrast agents differ"


def _acquisitions(images: Sequence[ImageHeader]) -> str:
    numbers = [image.acquisition_number or 0 for image in images]
    count = len(set(numbers))
    return f"slices of {count} acquisitions alternate" if len(list(groupby(numbers))) > count else ""
