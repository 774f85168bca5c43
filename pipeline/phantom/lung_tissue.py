"""Lung tissue without vessels and lesions: how dense it is, and where."""

from dataclasses import dataclass

import numpy as np

from pipeline.phantom.axes import Axes
from pipeline.phantom.look_alikes import LookAlike
from pipeline.phantom.textures import cut_texture, fractal_noise, paving_walls
from pipeline.phantom.torso import ATLAS_STEP_MM, Torso
from pipeline.study import Float32Array

_USUAL_HU, _USUAL_SPREAD_HU = -862.0, 22.0
_DENSE_SHARE = 0.2
"""Of the patients, who breathe shallowly or were scanned in expiration."""
_DENSEST_HU = -720.0
_AIR_HU = -988.0
_SEPTAL_LINES_HU = 240.0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LungTissue:
    """Parts of the density of the lungs; arrays (z, y, x) on the atlas, HU."""

    mean_hu: float
    """Of `steady_hu` in the lungs."""
    steady_hu: Float32Array
    """The same on every day."""
    dependent_hu: Float32Array
    """Added by the weight of the lung where the patient lies on it, in a scan with the usual amount of it."""
    oedema_hu: Float32Array
    """Added while the patient has oedema."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Lungs:
    """What the parts of the tissue are made from."""

    axes: Axes
    depth_mm: Float32Array
    """Below the pleura; negative outside."""
    height: Float32Array
    """(z, 1, 1): 0 at the posterior sulcus, 1 at the apex."""
    mottle: Float32Array
    midline_mm: float


def build_tissue(
    axes: Axes, lungs: Float32Array, torso: Torso, kinds: frozenset[LookAlike], rng: np.random.Generator
) -> LungTissue:
    """Tissue of the lungs whose distance field is given; the kinds say what else than health is in it."""
    place = _Lungs(
        axes=axes,
        depth_mm=-lungs,
        height=(axes.z_mm / np.float32(torso.lung_height_mm) + np.float32(0.5))[:, None, None],
        mottle=cut_texture(fractal_noise(1.2), axes.shape, rng),
        midline_mm=torso.mediastinum_x_mm,
    )
    steady_hu = _base(place, rng) + _thickened_pleura(place, rng)
    # Each part is drawn from a stream of its own, so that one more kind leaves the others as they are.
    streams = dict(zip(LookAlike, rng.spawn(len(LookAlike)), strict=True))
    nothing = np.zeros((1, 1, 1), dtype=np.float32)
    for kind, build in ((LookAlike.EMPHYSEMA, _emphysema), (LookAlike.MOSAIC, _mosaic), (LookAlike.CAPS, _caps)):
        steady_hu += build(place, streams[kind]) if kind in kinds else nothing
    if LookAlike.EMPHYSEMA in kinds:
        _blow_bullae(steady_hu, place, streams[LookAlike.EMPHYSEMA])
    atelectasis, oedema = LookAlike.ATELECTASIS, LookAlike.OEDEMA
    return LungTissue(
        mean_hu=float(steady_hu[lungs < 0.0].mean()),
        steady_hu=np.clip(steady_hu, _AIR_HU, -200.0).astype(np.float32),
        dependent_hu=_dependent(place, streams[atelectasis], broad=2.0 if atelectasis in kinds else 0.6),
        oedema_hu=_oedema(place, streams[oedema]) if oedema in kinds else nothing,
    )


def _base(place: _Lungs, rng: np.random.Generator) -> Float32Array:
    """Air and alveoli: denser at the back by gravity, the more so the less air there is; mottled."""
    mean_hu = rng.normal(_USUAL_HU, _USUAL_SPREAD_HU)
    if rng.random() < _DENSE_SHARE:
        mean_hu = rng.uniform(-840.0, _DENSEST_HU)
    mean_hu = float(np.clip(mean_hu, -912.0, _DENSEST_HU))
    _, y, _ = place.axes.broadcast()
    gradient = rng.uniform(0.12, 0.55) * (mean_hu + 1000.0) / 138.0
    downward = rng.uniform(-10.0, 25.0) * (0.5 - place.height)
    hazy = cut_texture(fractal_noise(2.0), place.axes.shape, rng)
    mottle = rng.uniform(15.0, 34.0) * place.mottle + rng.uniform(2.0, 12.0) * hazy
    return np.asarray(mean_hu + np.float32(gradient) * y + downward + mottle, dtype=np.float32)


def _thickened_pleura(place: _Lungs, rng: np.random.Generator) -> Float32Array:
    """Thin dense strips along the pleura: in patches beside the ribs, and more of it beside the spine."""
    _, y, x = place.axes.broadcast()
    patches = np.clip(cut_texture(fractal_noise(1.8), place.axes.shape, rng) - rng.uniform(0.6, 1.6), 0.0, 1.0)
    beside_spine = np.exp(-(((np.abs(x - np.float32(place.midline_mm)) - 32.0) / 14.0) ** 2)) * np.clip(
        y / 40.0, 0.0, 1.0
    )
    amount = rng.uniform(0.0, 260.0) * patches + rng.uniform(0.0, 130.0) * beside_spine
    return np.asarray(amount * _rim(place.depth_mm, rng.uniform(1.2, 2.6)), dtype=np.float32)


def _caps(place: _Lungs, rng: np.random.Generator) -> Float32Array:
    """Scarred caps of both apices."""
    high = np.clip((place.height - rng.uniform(0.80, 0.88)) / 0.06, 0.0, 1.0)
    patches = np.clip(0.7 + 0.5 * place.mottle, 0.0, 1.6)
    return np.asarray(rng.uniform(200.0, 600.0) * high * patches * _rim(place.depth_mm, rng.uniform(1.5, 4.0)))


def _rim(depth_mm: Float32Array, thickness_mm: float) -> Float32Array:
    return np.asarray(np.exp(-np.maximum(depth_mm, 0.0) / np.float32(thickness_mm)), dtype=np.float32)


def _emphysema(place: _Lungs, rng: np.random.Generator) -> Float32Array:
    """Lost tissue in holes of a lobule's size, mostly in the upper lobes."""
    holes = np.clip(cut_texture(fractal_noise(1.5), place.axes.shape, rng) - rng.uniform(0.0, 1.0), 0.0, 1.2)
    upper = np.clip(0.3 + place.height * rng.uniform(0.4, 1.0), 0.0, 1.2)
    return np.asarray(-rng.uniform(50.0, 110.0) * holes * upper, dtype=np.float32)


def _blow_bullae(tissue_hu: Float32Array, place: _Lungs, rng: np.random.Generator) -> None:
    """Air spaces of one to four centimetres with thin walls, under the pleura of the upper lungs."""
    z, y, x = place.axes.broadcast()
    under_pleura = (place.depth_mm > 3.0) & (place.depth_mm < 14.0) & (place.height > 0.45)
    voxels = np.argwhere(under_pleura)
    for _ in range(int(rng.integers(0, 6)) if len(voxels) else 0):
        centre = place.axes.origin_mm + voxels[rng.integers(len(voxels))] * place.axes.step_mm
        radius = rng.uniform(5.0, 20.0)
        reach = np.full(3, radius + 4.0)
        box = place.axes.box_around(centre - reach, centre + reach)
        if box is None:
            continue
        part = place.axes.crop(box)
        z, y, x = part.broadcast()
        squared = ((z - centre[0]) / 1.2) ** 2 + (y - centre[1]) ** 2 + (x - centre[2]) ** 2
        depth = np.float32(radius) - np.sqrt(squared)
        inside, wall = np.clip(depth / 3.0, 0.0, 1.0), np.exp(-((depth / 2.0) ** 2))
        tissue_hu[box] += inside * (_AIR_HU - tissue_hu[box]) + np.float32(rng.uniform(20.0, 110.0)) * wall


def _mosaic(place: _Lungs, rng: np.random.Generator) -> Float32Array:
    """Lobules that hold more air beside others that hold less, with sharp borders between them."""
    regions = cut_texture(fractal_noise(2.0), place.axes.shape, rng) + 0.25 * place.mottle
    share = np.clip(regions * 3.0 + rng.uniform(-1.0, 1.5), 0.0, 1.0)
    return np.asarray(rng.uniform(35.0, 110.0) * (share - 0.5), dtype=np.float32)


def _dependent(place: _Lungs, rng: np.random.Generator, *, broad: float) -> Float32Array:
    """A band along the back of the lungs, where the patient lies on them, thicker towards the base."""
    backward = np.gradient(-place.depth_mm, ATLAS_STEP_MM, axis=1)
    _, y, _ = place.axes.broadcast()
    facing = np.clip((backward - 0.45) / 0.4, 0.0, 1.0) * np.clip((y - 15.0) / 30.0, 0.0, 1.0)
    facing = facing * np.clip(1.25 - rng.uniform(0.2, 1.0) * place.height, 0.0, 1.0)
    thickness_mm = rng.uniform(2.0, 5.0) * (0.7 + 0.5 * broad)
    band = np.exp(-np.maximum(place.depth_mm, 0.0) / thickness_mm * np.clip(1.0 + 0.4 * place.mottle, 0.3, 2.0))
    return np.asarray(rng.uniform(60.0, 260.0) * broad * facing * band, dtype=np.float32)


def _oedema(place: _Lungs, rng: np.random.Generator) -> Float32Array:
    """Haze about the hila and at the back, with the septa of the lobules filled."""
    _, y, x = place.axes.broadcast()
    side = np.abs(x - np.float32(place.midline_mm)) - 52.0
    from_hilum = (side / 42.0) ** 2 + ((y - 22.0) / 50.0) ** 2 + ((place.height - 0.48) / 0.30) ** 2
    central, low = np.exp(-from_hilum), np.clip((y + 10.0) / 90.0, 0.0, 1.0) * np.clip(1.1 - place.height, 0.0, 1.0)
    spread = 0.65 * central + rng.uniform(0.2, 0.7) * low
    spread = spread * np.clip(0.9 + 0.4 * cut_texture(fractal_noise(1.8), place.axes.shape, rng), 0.0, 2.0)
    # One voxel of the foam is one of the atlas here: lobules of 10 to 25 mm.
    septa = np.clip(1.3 - cut_texture(paving_walls(), place.axes.shape, rng), 0.0, 1.0)
    lines = rng.uniform(0.4, 1.0) * _SEPTAL_LINES_HU * septa * np.clip(0.15 + spread, 0.0, 0.8)
    return np.asarray(rng.uniform(120.0, 320.0) * spread + lines, dtype=np.float32)
