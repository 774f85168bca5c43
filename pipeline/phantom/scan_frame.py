"""Where the points of a scan lie in the anatomy of the patient."""

from dataclasses import dataclass

import numpy as np

from pipeline.phantom.axes import Axes
from pipeline.phantom.deformation import Deformation
from pipeline.phantom.scan import Scan
from pipeline.study import Float32Array, Float64Array

_MOVING_HEIGHT_MM = 220.0
"""Of the lungs, over which the movement of breathing falls from the diaphragm's to nothing at the apex."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ScanFrame:
    """Shift, breath and deformation of one scan: the true answer to its registration."""

    apex_mm: float
    """z of the apex of the lungs, which breath does not move."""
    scan: Scan
    deformation: Deformation | None

    def patient_mm(self, points_lps_mm: Float64Array) -> Float64Array:
        """Points (n, 3) of the anatomy, x, y, z at full inspiration, for points of the scan, x, y, z in LPS."""
        x, y, z = (points_lps_mm - np.array(self.scan.shift_mm)).T
        points = np.stack([(z - self.apex_mm) / self.scan.breath + self.apex_mm, y, x], axis=-1)
        return (points if self.deformation is None else self.deformation.patient_mm(points))[:, ::-1]

    def scan_mm(self, points_patient_mm: Float64Array) -> Float64Array:
        """The inverse of `patient_mm`."""
        points = np.ascontiguousarray(points_patient_mm[:, ::-1], dtype=np.float64)
        z, y, x = (points if self.deformation is None else self.deformation.scan_mm(points)).T
        return np.stack([x, y, (z - self.apex_mm) * self.scan.breath + self.apex_mm], axis=-1) + self.scan.shift_mm

    def axes(self, z_mm: Float32Array, across: Float32Array, *, phase: float) -> Axes:
        """Axes of the voxels of slices in the posed patient, -1 to 1 between the ends of the movement of breathing."""
        x_shift, y_shift, z_shift = self.scan.shift_mm
        breath = self.scan.breath + phase * 0.5 * self.scan.breathing_mm / _MOVING_HEIGHT_MM
        return Axes(
            z_mm=((z_mm - z_shift - self.apex_mm) / breath + self.apex_mm).astype(np.float32),
            y_mm=across - np.float32(y_shift),
            x_mm=across - np.float32(x_shift),
        )
