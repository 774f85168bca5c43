"""How a phantom is scanned: grid, breath, kernel, dose; and what that does to a picture."""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from scipy import fft

from pipeline.study import Float32Array


class Kernel(StrEnum):
    """Reconstruction kernel."""

    LUNG = "lung"
    """Sharp edges, fine strong noise."""
    SOFT = "soft"
    """Smooth edges, coarse weak noise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scan:
    """One axial acquisition and its reconstruction."""

    seed: int = 0
    """Of the noise."""
    matrix: int = 512
    """Rows and columns."""
    fov_mm: float = 390.0
    slice_spacing_mm: float = 1.5
    slice_thickness_mm: float | None = None
    """None: as the spacing."""
    slices: int | None = None
    """None: as many as cover the lungs with margin_mm; else this many around the middle of the lungs."""
    margin_mm: float = 15.0
    """Above and below the lungs."""
    kernel: Kernel = Kernel.LUNG
    noise_hu: float = 28.0
    """Standard deviation in the middle of the body."""
    breath: float = 1.0
    """Height of the lungs against full inspiration of this patient, 0.9 to 1.1."""
    shift_mm: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """Where the patient lies on the table against the last time: x, y, z in LPS."""
    contrast_hu: float = 0.0
    """Added to blood by contrast medium."""
    offset_hu: float = 0.0
    """Calibration error of the scanner."""

    @property
    def in_plane_spacing_mm(self) -> float:
        """Distance between pixel centres."""
        return self.fov_mm / self.matrix

    @property
    def thickness_mm(self) -> float:
        """Nominal slice thickness."""
        return self.slice_spacing_mm if self.slice_thickness_mm is None else self.slice_thickness_mm


@dataclass(frozen=True, slots=True, kw_only=True)
class _KernelShape:
    blur_mm: float
    sharpening: float
    roll_off_per_mm: float
    """Frequency at which the noise has fallen to 1/e."""


_KERNELS = {
    Kernel.LUNG: _KernelShape(blur_mm=0.45, sharpening=0.45, roll_off_per_mm=0.55),
    Kernel.SOFT: _KernelShape(blur_mm=0.75, sharpening=0.0, roll_off_per_mm=0.30),
}
"""Widths of the order measured on clinical scanners (Solomon and Samei 2012): ramp at low, roll-off at high frequency."""


def reconstruct(ideal_hu: Float32Array, scan: Scan) -> Float32Array:
    """The picture a scanner makes of an ideal volume (z, y, x): blur of the kernel, noise with its texture, offset."""
    shape = _KERNELS[scan.kernel]
    rng = np.random.default_rng([scan.seed, 7])
    response = _frequency_response(scan, shape)
    profile = _noise_profile(ideal_hu.shape[1:])
    noise = _noise_slice(rng, scan, shape)
    picture = np.empty_like(ideal_hu)
    for index, ideal in enumerate(ideal_hu):
        # Neighbouring slices share a part of their projections.
        noise = 0.3 * noise + np.sqrt(1.0 - 0.3**2) * _noise_slice(rng, scan, shape)
        blurred = fft.irfft2(fft.rfft2(ideal) * response, s=ideal.shape)
        picture[index] = blurred + scan.noise_hu * profile * noise + scan.offset_hu
    return picture


def _frequencies(scan: Scan) -> Float32Array:
    """Spatial frequency in 1/mm of each term of a real two-dimensional transform."""
    step = scan.in_plane_spacing_mm
    along_rows, across_rows = fft.fftfreq(scan.matrix, step), fft.rfftfreq(scan.matrix, step)
    return np.asarray(np.hypot(along_rows[:, None], across_rows[None, :]), dtype=np.float32)


def _frequency_response(scan: Scan, shape: _KernelShape) -> Float32Array:
    frequency = _frequencies(scan)
    blur = np.exp(-2.0 * (np.pi * shape.blur_mm * frequency) ** 2)
    lift = 1.0 + shape.sharpening * (1.0 - np.exp(-2.0 * (np.pi * 0.9 * frequency) ** 2))
    return np.asarray(blur * lift, dtype=np.float32)


def _noise_slice(rng: np.random.Generator, scan: Scan, shape: _KernelShape) -> Float32Array:
    """Noise of standard deviation 1 whose power rises like a ramp and rolls off with the kernel."""
    frequency = _frequencies(scan)
    amplitude = np.sqrt(frequency) * np.exp(-((frequency / shape.roll_off_per_mm) ** 2))
    white = fft.rfft2(rng.standard_normal((scan.matrix, scan.matrix), dtype=np.float32))
    noise = fft.irfft2(white * amplitude, s=(scan.matrix, scan.matrix))
    return np.asarray(noise / noise.std(), dtype=np.float32)


def _noise_profile(shape: tuple[int, ...]) -> Float32Array:
    """More noise in the middle, where every ray has crossed the whole body."""
    rows, columns = np.meshgrid(np.linspace(-1, 1, shape[0]), np.linspace(-1, 1, shape[1]), indexing="ij")
    return (0.55 + 0.45 * np.exp(-2.0 * (rows**2 + columns**2))).astype(np.float32)
