"""Periodic textures that are made once and cut to size."""

from functools import lru_cache

import numpy as np
from scipy.spatial import cKDTree

from pipeline.study import Float32Array

_NOISE_SIDE = 96
_PAVING_SIDE = 64
_PAVING_CELL_MM = 6.5
"""Secondary lobules as seen in crazy paving: 4 to 10 mm."""


@lru_cache(maxsize=8)
def fractal_noise(exponent: float) -> Float32Array:
    """Noise whose amplitude falls with frequency^-exponent, mean 0, standard deviation 1, periodic, shape 96^3."""
    rng = np.random.default_rng(20_200_311)
    spectrum = np.fft.rfftn(rng.standard_normal((_NOISE_SIDE,) * 3, dtype=np.float32))
    side, half = np.fft.fftfreq(_NOISE_SIDE), np.fft.rfftfreq(_NOISE_SIDE)
    frequency = np.sqrt(side[:, None, None] ** 2 + side[None, :, None] ** 2 + half[None, None, :] ** 2)
    frequency[0, 0, 0] = np.inf
    noise = np.fft.irfftn(spectrum * frequency**-exponent, s=(_NOISE_SIDE,) * 3, axes=(0, 1, 2))
    return np.asarray(noise / noise.std(), dtype=np.float32)


@lru_cache(maxsize=1)
def paving_walls() -> Float32Array:
    """Distance in mm to the nearest wall of a foam of cells, periodic, one voxel per mm, shape 64^3."""
    rng = np.random.default_rng(20_200_312)
    count = round((_PAVING_SIDE / _PAVING_CELL_MM) ** 3)
    tree = cKDTree(rng.uniform(0.0, _PAVING_SIDE, (count, 3)), boxsize=_PAVING_SIDE)
    voxels = np.stack(np.meshgrid(*[np.arange(_PAVING_SIDE)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    distances, _ = tree.query(voxels, k=2)
    return np.asarray(((distances[:, 1] - distances[:, 0]) / 2).reshape((_PAVING_SIDE,) * 3), dtype=np.float32)


def cut_texture(texture: Float32Array, shape: tuple[int, int, int], rng: np.random.Generator) -> Float32Array:
    """A piece of a periodic texture from a random place, wrapped where it is larger than one period."""
    piece = texture
    for axis, count in enumerate(shape):
        start = int(rng.integers(texture.shape[axis]))
        piece = np.take(piece, np.arange(start, start + count), axis=axis, mode="wrap")
    return piece
