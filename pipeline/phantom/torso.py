"""The frame of one patient: sizes, the outline of body and rib cage, the landmarks organs hang on."""

from dataclasses import dataclass

import numpy as np

from pipeline.phantom.axes import Axes, build_axes
from pipeline.phantom.shapes import Point
from pipeline.study import Float32Array

ATLAS_STEP_MM = 3.0
"""Grid of the anatomy: fine enough for smooth outlines, small enough to build in a second."""

_HEIGHTS = (-0.4, -0.15, 0.0, 0.2, 0.4, 0.6, 0.75, 0.87, 0.95, 1.0, 1.05)
_WIDTHS = (0.90, 0.94, 0.97, 1.0, 1.0, 0.93, 0.80, 0.60, 0.41, 0.24, 0.05)
_DEPTHS = (0.92, 0.96, 0.99, 1.0, 1.0, 0.95, 0.85, 0.68, 0.50, 0.30, 0.06)
_CENTRES_MM = (-4.0, -2.0, 0.0, 0.0, 0.0, 4.0, 10.0, 18.0, 25.0, 29.0, 32.0)
"""Profile of the rib cage over the height of the lungs, drawn by hand from axial atlases."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Torso:
    """Sizes of one patient; x grows to the left, y to the back, z to the head, z = 0 is mid-lung."""

    lung_height_mm: float
    """Posterior sulcus to apex."""
    half_width_mm: float
    """Inner rib cage at its widest."""
    half_depth_mm: float
    fat_mm: float
    """Thickness under the skin, at the back and front."""
    breast_mm: float
    """Extra fat in front; 0 in men."""
    muscle: float
    """Thickness of the muscles, 1 is usual."""
    heart: float
    """Size of the heart, 1 is usual."""
    right_dome: float
    """Top of the right diaphragm as a share of the lung height."""
    left_dome: float
    mediastinum_x_mm: float
    """Shift of the midline."""

    def height_mm(self, share: float) -> float:
        """The z of a share of the lung height: 0 is the posterior sulcus, 1 the apex."""
        return (share - 0.5) * self.lung_height_mm

    def half_widths_mm(self, z_mm: Float32Array) -> Float32Array:
        """Half width of the inner rib cage at each z."""
        return self._profile(z_mm, _WIDTHS) * np.float32(self.half_width_mm)

    def half_depths_mm(self, z_mm: Float32Array) -> Float32Array:
        """Half depth of the inner rib cage at each z."""
        return self._profile(z_mm, _DEPTHS) * np.float32(self.half_depth_mm)

    def centres_y_mm(self, z_mm: Float32Array) -> Float32Array:
        """The y of the centre of the rib cage at each z."""
        return self._profile(z_mm, _CENTRES_MM)

    def spine_y_mm(self, z_mm: Float32Array) -> Float32Array:
        """The y of the centre of the vertebral bodies at each z, a thoracic kyphosis."""
        share = z_mm / self.lung_height_mm + 0.5
        return (0.70 * self.half_depth_mm - 45.0 * (share - 0.42) ** 2).astype(np.float32)

    def before_spine(self, share: float, forward_mm: float, x_mm: float) -> Point:
        """A point in front of the vertebral body's centre at a share of the lung height, z, y, x."""
        z_mm = self.height_mm(share)
        y_mm = float(self.spine_y_mm(np.array([z_mm], dtype=np.float32))[0]) - forward_mm
        return (z_mm, y_mm, x_mm + self.mediastinum_x_mm)

    def atlas_axes(self) -> Axes:
        """The coarse grid that holds the whole trunk with some air around it."""
        side = self.half_width_mm + 75.0
        front = self.half_depth_mm + self.fat_mm + self.breast_mm + 40.0
        low = np.array([self.height_mm(0.0) - 55.0, -front, -side])
        high = np.array([self.height_mm(1.0) + 40.0, self.half_depth_mm + self.fat_mm + 55.0, side])
        return build_axes(low, high, ATLAS_STEP_MM)

    def _profile(self, z_mm: Float32Array, shares: tuple[float, ...]) -> Float32Array:
        height = z_mm / self.lung_height_mm + 0.5
        # The mean of three shifted readings rounds the corners of the straight pieces.
        readings = [np.interp(height + shift, _HEIGHTS, shares) for shift in (-0.04, 0.0, 0.04)]
        return np.asarray(np.mean(readings, axis=0), dtype=np.float32)


def draw_torso(rng: np.random.Generator) -> Torso:
    """Random sizes of an adult."""
    size = rng.normal(1.0, 0.06)
    right_dome = float(rng.uniform(0.25, 0.34))
    return Torso(
        lung_height_mm=float(np.clip(252.0 * size * rng.normal(1.0, 0.05), 210.0, 300.0)),
        half_width_mm=float(np.clip(134.0 * size * rng.normal(1.0, 0.04), 112.0, 148.0)),
        half_depth_mm=float(np.clip(94.0 * size * rng.normal(1.0, 0.06), 74.0, 108.0)),
        fat_mm=float(rng.uniform(6.0, 26.0)),
        breast_mm=float(rng.choice([0.0, rng.uniform(10.0, 32.0)])),
        muscle=float(rng.uniform(0.7, 1.25)),
        heart=float(rng.uniform(0.9, 1.15)),
        right_dome=right_dome,
        # The left dome stands one to two centimetres lower.
        left_dome=right_dome - float(rng.uniform(0.03, 0.07)),
        mediastinum_x_mm=float(rng.uniform(0.0, 6.0)),
    )
