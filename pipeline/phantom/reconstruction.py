"""What a scanner and its reconstruction make of an ideal picture: blur, noise with its texture, artefacts."""

from dataclasses import dataclass

import numpy as np
from scipy import fft, ndimage

from pipeline.phantom.scan import Kernel, Scan
from pipeline.study import Float32Array

PADDING_HU = -1024.0
_WATER_PER_MM = 0.0195
"""Attenuation at about 70 keV (NIST XCOM)."""
_STREAK_LENGTH_MM = 45.0
_FREE_PATH_MM = 210.0
"""Of water: on longer ways through the body streaks begin."""
_DENSE_HU = 160.0
_BAND_LENGTH_MM, _BAND_WIDTH_MM = 55.0, 2.5
_BANDS = ((0.0, -1.0), (35.0, 0.8), (75.0, -0.7), (110.0, 0.9), (150.0, -0.8))
"""Direction in degrees and sign of the bands that leave something dense."""


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


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Filters:
    """Real factors of the two-dimensional transform of a slice."""

    response: Float32Array
    noise: Float32Array
    streaks: Float32Array
    bands: Float32Array


def reconstruct(ideal_hu: Float32Array, scan: Scan) -> Float32Array:
    """The picture a scanner makes of an ideal volume (z, y, x)."""
    filters = _build_filters(scan)
    rng = np.random.default_rng([scan.seed, 7])
    profile = _noise_profile(ideal_hu.shape[1:])
    noise = _filtered_noise(rng, scan, filters.noise)
    picture = np.empty_like(ideal_hu)
    for index, ideal in enumerate(ideal_hu):
        # Neighbouring slices share a part of their projections.
        noise = 0.3 * noise + np.sqrt(1.0 - 0.3**2) * _filtered_noise(rng, scan, filters.noise)
        spectrum = fft.rfft2(ideal) * filters.response
        if scan.hardening > 0.0:
            spectrum += _bands(ideal, scan, filters)
        picture[index] = fft.irfft2(spectrum, s=ideal.shape) + scan.noise_hu * profile * noise + scan.offset_hu
        if scan.streaks_hu > 0.0:
            picture[index] += _streaks(ideal, rng, scan, filters)
    if scan.waxy > 0.0:
        _flatten(picture, scan)
    return _padded(picture, scan)


def _build_filters(scan: Scan) -> _Filters:
    shape = _KERNELS[scan.kernel]
    along, across = _frequencies(scan)
    frequency = np.hypot(along, across)
    blur_mm = shape.blur_mm if scan.blur_mm is None else scan.blur_mm
    sharpening = shape.sharpening if scan.sharpening is None else scan.sharpening
    roll_off = shape.roll_off_per_mm if scan.noise_roll_off_per_mm is None else scan.noise_roll_off_per_mm
    lift = 1.0 + sharpening * (1.0 - np.exp(-2.0 * (np.pi * 0.9 * frequency) ** 2))
    rise = np.maximum(frequency, 1e-6) ** scan.noise_exponent * (frequency > 0)
    streaks = np.exp(-2.0 * (np.pi * _STREAK_LENGTH_MM * across) ** 2) * np.exp(-2.0 * (np.pi * 1.0 * along) ** 2)
    return _Filters(
        response=(np.exp(-2.0 * (np.pi * blur_mm * frequency) ** 2) * lift).astype(np.float32),
        noise=(rise * np.exp(-((frequency / roll_off) ** 2))).astype(np.float32),
        streaks=(streaks * np.abs(along)).astype(np.float32),
        bands=sum((sign * _band(along, across, degrees) for degrees, sign in _BANDS), np.zeros_like(frequency)),
    )


def _frequencies(scan: Scan) -> tuple[Float32Array, Float32Array]:
    """Spatial frequency in 1/mm along y (rows, 1) and x (1, columns) of a real two-dimensional transform."""
    step = scan.in_plane_spacing_mm
    along, across = fft.fftfreq(scan.matrix, step), fft.rfftfreq(scan.matrix, step)
    return along[:, None].astype(np.float32), across[None, :].astype(np.float32)


def _band(along: Float32Array, across: Float32Array, degrees: float) -> Float32Array:
    """A long thin smear in one direction, less what keeps the mean."""
    cosine, sine = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    lengthwise, crosswise = cosine * across + sine * along, cosine * along - sine * across
    long = np.exp(-2.0 * (np.pi * _BAND_LENGTH_MM * lengthwise) ** 2)
    wide = np.exp(-2.0 * (np.pi * 6.0 * _BAND_WIDTH_MM * crosswise) ** 2)
    thin = np.exp(-2.0 * (np.pi * _BAND_WIDTH_MM * crosswise) ** 2)
    return np.asarray(long * (thin - wide), dtype=np.float32)


def _bands(ideal: Float32Array, scan: Scan, filters: _Filters) -> Float32Array:
    dense = np.clip(ideal - np.float32(_DENSE_HU), 0.0, 700.0)
    return np.asarray(fft.rfft2(dense) * (np.float32(scan.hardening) * filters.bands), dtype=np.complex64)


def _filtered_noise(rng: np.random.Generator, scan: Scan, amplitude: Float32Array) -> Float32Array:
    """Noise of standard deviation 1 with the given amplitude over frequency."""
    white = fft.rfft2(rng.standard_normal((scan.matrix, scan.matrix), dtype=np.float32))
    noise = fft.irfft2(white * amplitude, s=(scan.matrix, scan.matrix))
    return np.asarray(noise / noise.std(), dtype=np.float32)


def _streaks(ideal: Float32Array, rng: np.random.Generator, scan: Scan, filters: _Filters) -> Float32Array:
    """Streaks along x, in the rows whose way through the body is long: shoulders, arms, the upper abdomen."""
    tissue = np.clip(ideal + np.float32(1000.0), 0.0, 2500.0)
    water_mm = tissue.sum(axis=1) * np.float32(0.001 * scan.in_plane_spacing_mm)
    starved = np.clip(np.exp(_WATER_PER_MM * (water_mm - _FREE_PATH_MM) / 2.0) - 1.0, 0.0, 3.0)
    smooth = ndimage.gaussian_filter1d(starved, 4.0 / scan.in_plane_spacing_mm)[:, None]
    streaks = smooth * _filtered_noise(rng, scan, filters.streaks)
    return np.asarray(np.float32(scan.streaks_hu) * streaks, dtype=np.float32)


def _noise_profile(shape: tuple[int, ...]) -> Float32Array:
    """More noise in the middle, where every ray has crossed the whole body."""
    rows, columns = np.meshgrid(np.linspace(-1, 1, shape[0]), np.linspace(-1, 1, shape[1]), indexing="ij")
    return (0.55 + 0.45 * np.exp(-2.0 * (rows**2 + columns**2))).astype(np.float32)


def _flatten(picture: Float32Array, scan: Scan) -> None:
    """Remove low contrasts and keep edges, as a strong iterative reconstruction does, in place."""
    sigma = 1.2 / scan.in_plane_spacing_mm
    keep_hu = np.float32(1.5 * scan.noise_hu + 12.0)
    for index, slice_hu in enumerate(picture):
        smooth = ndimage.gaussian_filter(slice_hu, sigma)
        fine = slice_hu - smooth
        shrunk = fine * (fine * fine / (fine * fine + keep_hu * keep_hu))
        picture[index] = slice_hu + np.float32(scan.waxy) * (smooth + shrunk - slice_hu)


def _padded(picture: Float32Array, scan: Scan) -> Float32Array:
    if scan.circle_mm is None:
        return picture
    across = (np.arange(scan.matrix) - 0.5 * (scan.matrix - 1)) * scan.in_plane_spacing_mm
    outside = np.hypot(across[:, None], across[None, :]) > 0.5 * scan.circle_mm
    picture[:, outside] = PADDING_HU
    return picture
