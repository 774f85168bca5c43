"""How a patient lies and is bent in one scan against the frame of the anatomy."""

from dataclasses import dataclass, replace

import numpy as np
import torch
from scipy import ndimage
from torch.nn import functional

from pipeline.phantom.axes import Axes, Field
from pipeline.phantom.tubes import Tubes
from pipeline.study import Float32Array, Float64Array

_SMOOTH_MM = 30.0
"""Width of the bends: neighbouring tissue moves together."""
_ROUNDS = 6
"""Of the inversion; each is at least four times nearer."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Deformation:
    """Where the tissue at each point of a scan lies in the anatomy."""

    axes: Axes
    displacement_mm: Float32Array
    """(3, z, y, x): to be added to z, y, x of a point of the scan; zero outside the axes but for their edge values."""

    def patient_mm(self, points_mm: Float64Array) -> Float64Array:
        """Points (n, 3) of the anatomy, z, y, x, for points of the scan."""
        index = ((points_mm - self.axes.origin_mm) / self.axes.step_mm).T
        moved = [ndimage.map_coordinates(part, index, order=1, mode="nearest") for part in self.displacement_mm]
        return np.asarray(points_mm + np.stack(moved, axis=-1), dtype=np.float64)

    def scan_mm(self, points_mm: Float64Array) -> Float64Array:
        """The inverse of `patient_mm`."""
        found = points_mm.copy()
        for _ in range(_ROUNDS):
            found += points_mm - self.patient_mm(found)
        return found

    def bend_fields(self, fields: dict[str, Field]) -> dict[str, Field]:
        """Fields of the anatomy, all on this deformation's axes, as they lie in the scan."""
        grid = self._sampling_grid()
        stacked = torch.from_numpy(np.stack([field.values for field in fields.values()]))
        moved = functional.grid_sample(stacked[None], grid[None], padding_mode="border", align_corners=True)[0]
        return {name: Field(values=values, axes=self.axes) for name, values in zip(fields, moved.numpy(), strict=True)}

    def bend_field(self, field: Field) -> Field:
        """A field on axes of its own, moved along with its middle and bent about it."""
        axes = field.axes
        middle = np.array([[0.5 * (axis[0] + axis[-1]) for axis in (axes.z_mm, axes.y_mm, axes.x_mm)]], np.float64)
        way_z, way_y, way_x = np.round((self.scan_mm(middle) - middle)[0])
        there = Axes(
            z_mm=axes.z_mm + np.float32(way_z), y_mm=axes.y_mm + np.float32(way_y), x_mm=axes.x_mm + np.float32(way_x)
        )
        points = np.stack(np.meshgrid(there.z_mm, there.y_mm, there.x_mm, indexing="ij"), axis=-1).reshape(-1, 3)
        index = ((self.patient_mm(points.astype(np.float64)) - axes.origin_mm) / axes.step_mm).T
        values = ndimage.map_coordinates(field.values, index, order=1, mode="nearest")
        return Field(values=values.reshape(there.shape).astype(np.float32), axes=there)

    def bend_tubes(self, tubes: Tubes) -> Tubes:
        """Tubes as they lie in the scan."""
        return replace(tubes, start_mm=self.scan_mm(tubes.start_mm), end_mm=self.scan_mm(tubes.end_mm))

    def _sampling_grid(self) -> torch.Tensor:
        """(z, y, x, 3) in -1..1, the last axis x, y, z, as torch wants it."""
        parts = []
        centres = self.axes.broadcast()
        for axis in (2, 1, 0):
            first, last = float(centres[axis].ravel()[0]), float(centres[axis].ravel()[-1])
            parts.append((centres[axis] + self.displacement_mm[axis] - first) * np.float32(2.0 / (last - first)) - 1.0)
        return torch.from_numpy(np.stack(parts, axis=-1).astype(np.float32))


def build_deformation(
    axes: Axes, *, rotation_deg: tuple[float, float, float], elastic_mm: float, seed: int
) -> Deformation | None:
    """A turn about the axes x, y, z of the patient's middle and smooth bends; None when there are neither."""
    if not any(rotation_deg) and not elastic_mm:
        return None
    displacement = _turn(axes, rotation_deg)
    if elastic_mm:
        displacement += _bends(axes, elastic_mm, np.random.default_rng([seed, 11]))
    return Deformation(axes=axes, displacement_mm=displacement)


def _turn(axes: Axes, rotation_deg: tuple[float, float, float]) -> Float32Array:
    about_x, about_y, about_z = np.radians(rotation_deg)
    cx, cy, cz = np.cos((about_x, about_y, about_z))
    sx, sy, sz = np.sin((about_x, about_y, about_z))
    # Rows and columns z, y, x.
    around_x = np.array([[cx, -sx, 0.0], [sx, cx, 0.0], [0.0, 0.0, 1.0]])
    around_y = np.array([[cy, 0.0, -sy], [0.0, 1.0, 0.0], [sy, 0.0, cy]])
    around_z = np.array([[1.0, 0.0, 0.0], [0.0, cz, -sz], [0.0, sz, cz]])
    change = (around_z @ around_y @ around_x - np.eye(3)).astype(np.float32)
    z, y, x = axes.broadcast()
    return np.stack([row[0] * z + row[1] * y + row[2] * x for row in change])


def _bends(axes: Axes, elastic_mm: float, rng: np.random.Generator) -> Float32Array:
    """Smooth displacement (3, z, y, x) whose length has a root mean square of `elastic_mm`."""
    step_mm = _SMOOTH_MM / 2
    low = axes.origin_mm
    count = [int(np.ceil((n - 1) * step / step_mm)) + 2 for n, step in zip(axes.shape, axes.step_mm, strict=True)]
    coarse = Axes(
        z_mm=(low[0] + step_mm * np.arange(count[0])).astype(np.float32),
        y_mm=(low[1] + step_mm * np.arange(count[1])).astype(np.float32),
        x_mm=(low[2] + step_mm * np.arange(count[2])).astype(np.float32),
    )
    noise = rng.standard_normal((3, *coarse.shape))
    smooth = np.stack([ndimage.gaussian_filter(part, 2.0, mode="nearest") for part in noise])
    smooth *= elastic_mm / np.sqrt((smooth**2).sum(axis=0).mean())
    return np.stack([Field(values=part.astype(np.float32), axes=coarse).sample(axes) for part in smooth])
