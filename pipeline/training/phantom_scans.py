"""How phantom patients are scanned for training: protocols as wide as hospitals', postures as registration leaves them."""

from dataclasses import dataclass, replace

import numpy as np

from pipeline.model_input import InputContract, slices_per_slab
from pipeline.phantom import Kernel, PhantomStudy, Scan

FIELD_MM = 384.0
"""Side of the square that is rendered, straight onto the model grid."""

_POORLY_REGISTERED_SHARE = 0.1
"""Of the earlier studies."""
_MODEL_FACTOR = 0.85
"""Noise of a picture on the model grid against that of the pixels it was averaged from, roughly."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSpacing:
    """Slices of a protocol on the model grid."""

    spacing_mm: float
    averaged: int
    """How many slices of the protocol make one."""


def model_spacing(slice_spacing_mm: float, contract: InputContract) -> ModelSpacing:
    """What the model sees of a protocol: thin slices are averaged in slabs."""
    averaged = slices_per_slab(slice_spacing_mm, contract)
    return ModelSpacing(spacing_mm=slice_spacing_mm * averaged, averaged=averaged)


def draw_scan(rng: np.random.Generator, spacing: ModelSpacing, contract: InputContract) -> Scan:
    """One protocol at random, in the position of the anatomy."""
    matrix = round(FIELD_MM / contract.pixel_mm)
    kernel = Kernel.LUNG if rng.random() < 0.5 else Kernel.SOFT
    thickness_mm = spacing.spacing_mm * float(rng.uniform(0.6, 1.25))
    contrast_hu = float(rng.uniform(60.0, 350.0)) if rng.random() < 0.35 else 0.0
    scan = Scan(
        seed=int(rng.integers(1 << 30)),
        matrix=matrix,
        fov_mm=matrix * contract.pixel_mm,
        slice_spacing_mm=spacing.spacing_mm,
        slice_thickness_mm=thickness_mm,
        kernel=kernel,
        contrast_hu=contrast_hu,
        offset_hu=float(np.clip(rng.normal(0.0, 8.0), -25.0, 25.0)),
        aeration=_aeration(rng),
        atelectasis=float(rng.choice([0.0, rng.uniform(0.3, 1.0), rng.uniform(1.0, 2.0)], p=[0.2, 0.5, 0.3])),
        breathing_mm=_some(rng, 0.35, 2.0, 16.0),
        pulse_mm=_some(rng, 0.6, 1.0, 9.0),
        circle_mm=float(rng.uniform(300.0, 384.0)) if rng.random() < 0.3 else None,
        hardening=_some(rng, 0.3, 0.01, 0.07),
        streaks_hu=_some(rng, 0.25, 5.0, 40.0),
    )
    return _with_texture(scan, spacing, rng)


def _aeration(rng: np.random.Generator) -> float:
    """Breath differs from scan to scan; now and then it was held in expiration."""
    return float(rng.uniform(0.65, 0.85) if rng.random() < 0.07 else np.clip(rng.normal(1.0, 0.06), 0.85, 1.12))


def _some(rng: np.random.Generator, share: float, low: float, high: float) -> float:
    """Zero, or in a share of the calls something between low and high, mostly low."""
    return float(low + (high - low) * rng.random() ** 2) if rng.random() < share else 0.0


def _with_texture(scan: Scan, spacing: ModelSpacing, rng: np.random.Generator) -> Scan:
    """Sharpness and noise: sharp and grainy, smooth and blotchy, low dose, iterative."""
    sharp = scan.kernel is Kernel.LUNG
    noise_hu = rng.uniform(10.0, 60.0) if sharp else rng.uniform(4.0, 24.0)
    noise_hu *= 1.8 if rng.random() < 0.1 else 1.0
    noise_hu *= _MODEL_FACTOR / np.sqrt(spacing.averaged)
    return replace(
        scan,
        noise_hu=float(np.clip(noise_hu, 3.0, 60.0)),
        blur_mm=float(rng.uniform(0.35, 0.7) if sharp else rng.uniform(0.6, 1.3)),
        sharpening=float(rng.uniform(0.0, 0.9)) if sharp else 0.0,
        noise_exponent=float(rng.uniform(0.0, 0.8)),
        noise_roll_off_per_mm=float(rng.uniform(0.25, 0.7) if sharp else rng.uniform(0.12, 0.35)),
        waxy=float(rng.uniform(0.3, 1.0)) if rng.random() < 0.25 else 0.0,
    )


def draw_posture(rng: np.random.Generator, scan: Scan) -> Scan:
    """The scan of a patient who lies a little turned."""
    about_x, about_y, about_z = rng.normal(0.0, (1.0, 1.0, 2.0))
    return replace(scan, rotation_deg=(float(about_x), float(about_y), float(np.clip(about_z, -5.0, 5.0))))


def misplaced(rng: np.random.Generator, scan: Scan, newest: PhantomStudy) -> Scan:
    """An earlier scan on the grid of the newest study, off by what registration leaves: 2 mm and half a degree."""
    worse = 2.5 if rng.random() < _POORLY_REGISTERED_SHARE else 1.0
    x_mm, y_mm, z_mm = rng.normal(0.0, 1.15 * worse, 3)
    turned = [angle + rng.normal(0.0, 0.4 * worse) for angle in newest.scan.rotation_deg]
    return replace(
        scan,
        start_mm=newest.origin_lps_mm[2],
        slices=len(newest.volume_hu),
        shift_mm=(float(x_mm), float(y_mm), float(z_mm)),
        rotation_deg=(float(turned[0]), float(turned[1]), float(turned[2])),
        elastic_mm=float(rng.uniform(0.8, 2.6) * worse),
        elastic_seed=int(rng.integers(1 << 30)),
        breath=float(np.clip(rng.normal(1.0, 0.008 * worse), 0.95, 1.05)),
    )
