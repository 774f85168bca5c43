"""Anchor boxes: where they lie, and which shapes fit the lesions."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from pipeline.boxes import cell_centres

ROUNDS = 100
"""Of k-means at most; it settles long before."""

SHAPE_TOLERANCE = 1e-6
"""So that boxes can be drawn even where all are alike."""

Shapes = Sequence[Sequence[tuple[float, float]]]
"""Width and height in pixels of the anchors of each cell, level by level."""


class AnchorGrid(nn.Module):
    """The same anchors about the middle of every cell; stands in for torchvision's generators.

    Those take sizes or strides from the size of the image, so that the same lesion would meet other anchors in a
    training crop than in a whole slice.
    """

    def __init__(self, shapes: Shapes, strides: Sequence[int]) -> None:
        """`shapes` and `strides` have one entry per level."""
        super().__init__()
        self.shapes = [torch.tensor(level) for level in shapes]
        self.strides = tuple(strides)

    def forward(self, images: object, features: Sequence[Tensor]) -> list[Tensor]:
        """Anchors (A, 4) of every image, the same for all: by level, row, column, shape.

        Args:
            images: torchvision's `ImageList`, of which only the number counts.
            features: (N, C, h, w) per level.
        """
        del images
        levels = zip(features, self.shapes, self.strides, strict=True)
        anchors = torch.cat([level_anchors(map_.shape[-2:], shapes, stride) for map_, shapes, stride in levels])
        return [anchors.to(features[0].device)] * len(features[0])


def level_anchors(size: torch.Size, shapes: Tensor, stride: int) -> Tensor:
    """(h * w * A, 4) x0, y0, x1, y1 of the anchors (A, 2) about each cell of a map."""
    middle = cell_centres(size[0], size[1], stride).flatten(0, 1)[:, None, :]
    return torch.cat([middle - shapes / 2, middle + shapes / 2], dim=-1).flatten(0, 1)


def shapes_of(sizes: Sequence[float], ratios: Sequence[float]) -> list[tuple[float, float]]:
    """Width and height of boxes whose area is a size squared, for each ratio of height to width."""
    return [(size / ratio**0.5, size * ratio**0.5) for size in sizes for ratio in ratios]


def fitted_shapes(shapes: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """Anchors that fit boxes best: k-means with the overlap of shapes as nearness (Redmon & Farhadi 2017, section 2).

    Args:
        shapes: (n, 2), width and height of true boxes.
        count: Anchors wanted, at most n.
        generator: For the first guess.

    Returns:
        (count, 2), smallest area first.
    """
    centres = _first_guess(shapes, count, generator)
    members = torch.full((len(shapes),), -1)
    for _ in range(ROUNDS):
        nearest = shape_overlap(shapes, centres).argmax(dim=1)
        if torch.equal(nearest, members):
            break
        members = nearest
        kept = [shapes[members == index] for index in range(count)]
        centres = torch.stack([part.mean(dim=0) if len(part) else old for part, old in zip(kept, centres, strict=True)])
    return centres[centres.prod(dim=1).argsort()]


def _first_guess(shapes: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """Boxes drawn one after the other, the likelier the less they look like those before (k-means++)."""
    centres = shapes[torch.randint(len(shapes), (1,), generator=generator)]
    while len(centres) < count:
        strangeness = 1.0 - shape_overlap(shapes, centres).amax(dim=1) + SHAPE_TOLERANCE
        drawn = torch.multinomial(strangeness**2, 1, generator=generator)
        centres = torch.cat([centres, shapes[drawn]])
    return centres


def shape_overlap(first: Tensor, second: Tensor) -> Tensor:
    """Intersection over union of (n, 2) with (m, 2), as if they had the same middle."""
    common = torch.minimum(first[:, None], second[None]).prod(dim=-1)
    return common / (first.prod(dim=-1)[:, None] + second.prod(dim=-1)[None] - common)
