"""Random changes that make a few chests stand for many: place, resolution, grey values, opacities."""

import math
from functools import lru_cache

import torch
from monai.transforms.compose import Compose
from monai.transforms.intensity.array import (
    RandAdjustContrast,
    RandBiasField,
    RandGaussianNoise,
    RandGaussianSharpen,
    RandGaussianSmooth,
    RandScaleIntensity,
    RandShiftIntensity,
)
from monai.utils.type_conversion import convert_to_tensor
from torch import Tensor
from torch.nn import functional

from pipeline.window import WINDOW_CENTRE_HU, WINDOW_WIDTH_HU, hu_windowed

AIR_GREY = 0.1875
TISSUE_GREY = 0.7
"""-1000 HU and -180 HU in the window."""

LARGEST_OFFSET_HU = 25.0
"""Of calibration, between scanners and over the years."""

LARGEST_NOISE_HU = 45.0
"""Standard deviation on the model grid: low dose with a sharp kernel."""

BEND_CELLS = 6
BEND_CELL_PIXELS = 8
LARGEST_BEND = 0.03
"""Of half the field of view, one standard deviation: chests and domes of other shapes."""

LARGEST_LUNG_NOISE_HU = 70.0
"""Standard deviation on the lung network's grid, which is coarser: it must not take noisy liver for consolidated lung."""

GRAINS_PIXELS = (3, 5)
"""Width over which noise runs together, of a soft kernel, and of a scan with large pixels."""

OWN_PATTERN = 0.5
"""What is new of a pattern in a slice some millimetres away, against what goes through."""

ONE_SIDE_SHARE = 0.3
"""Of the opacities for the lung network."""

NOISY_SHARE = 0.75
THICKER_SHARE = 0.15


def uniform(generator: torch.Generator, low: float, high: float) -> float:
    """One random number."""
    return low + (high - low) * float(torch.rand((), generator=generator))


def whole_number(generator: torch.Generator, low: int, high: int) -> int:
    """low <= n < high; low where nothing lies between."""
    return int(torch.randint(low, max(high, low + 1), (), generator=generator))


def chance(generator: torch.Generator, share: float) -> bool:
    """True in this share of the calls."""
    return float(torch.rand((), generator=generator)) < share


def random_placement(generator: torch.Generator, count: int) -> Tensor:
    """Affine maps (count, 2, 3) for `functional.affine_grid`: turned, stretched, shifted a little."""
    maps = []
    for _ in range(count):
        angle = uniform(generator, -0.2, 0.2)
        stretch_x, stretch_y = uniform(generator, 0.8, 1.3), uniform(generator, 0.8, 1.3)
        shift_x, shift_y = uniform(generator, -0.15, 0.15), uniform(generator, -0.15, 0.15)
        cosine, sine = math.cos(angle), math.sin(angle)
        maps.append([[cosine * stretch_x, -sine * stretch_y, shift_x], [sine * stretch_x, cosine * stretch_y, shift_y]])
    return torch.tensor(maps)


def random_bend(generator: torch.Generator, count: int) -> Tensor:
    """Smooth displacements (count, 2, H, W) in parts of half the image, x first, H = W = `BEND_CELLS` times `BEND_CELL_PIXELS`."""
    side = BEND_CELLS * BEND_CELL_PIXELS
    fields = smooth_noise(generator, (2 * count, side, side), BEND_CELLS).view(count, 2, side, side)
    return fields * uniform(generator, 0.0, LARGEST_BEND)


def placed(images: Tensor, labels: Tensor, placement: Tensor, bend: Tensor) -> tuple[Tensor, Tensor]:
    """Images and labels (N, C, H, W) moved and bent alike; what comes from outside is air and background."""
    grid = functional.affine_grid(placement, list(images.shape), align_corners=False)
    bends = functional.interpolate(bend, size=list(images.shape[-2:]), mode="bilinear", align_corners=False)
    grid = grid + bends.permute(0, 2, 3, 1)
    moved = functional.grid_sample(images, grid, mode="bilinear", align_corners=False)
    nearest = functional.grid_sample(labels.float(), grid, mode="nearest", align_corners=False)
    return moved, nearest.long()


def mirrored(images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Liver and heart on the other side; the lung on the right of the patient is still labelled 1, as it lies there."""
    sides = torch.tensor([0, 2, 1], dtype=labels.dtype)
    return images.flip(-1), sides[labels.flip(-1)]


def coarsened(images: Tensor, generator: torch.Generator) -> Tensor:
    """As if scanned with pixels up to 2.4 times as large."""
    factor = uniform(generator, 1.0, 2.4)
    size = [round(side / factor) for side in images.shape[-2:]]
    small = functional.interpolate(images, size=size, mode="bilinear", align_corners=False, antialias=True)
    return functional.interpolate(small, size=list(images.shape[-2:]), mode="bilinear", align_corners=False)


def cropped_view(images: Tensor, labels: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """A smaller field of view: nothing was reconstructed outside a centred square."""
    side = images.shape[-1]
    margin = int(uniform(generator, 0.05, 0.24) * side)
    seen = torch.zeros((side, side))
    seen[margin : side - margin, margin : side - margin] = 1.0
    return images * seen, labels * seen.long()


def smooth_noise(generator: torch.Generator, shape: tuple[int, int, int], cells: int) -> Tensor:
    """Random fields (N, H, W) with about `cells` bumps along a side, roughly standard normal."""
    coarse = torch.randn((shape[0], 1, cells + 3, cells + 3), generator=generator)
    return functional.interpolate(coarse, size=shape[1:], mode="bicubic", align_corners=False).squeeze(1)


def scanner_noise(generator: torch.Generator, shape: tuple[int, int, int]) -> Tensor:
    """Noise (N, H, W) of standard deviation 1 with the grain of a random kernel, now and then in streaks.

    Its power rises with the frequency as reconstruction makes it, until the kernel cuts it off (Riederer et al. 1978).
    """
    rows, columns = torch.fft.fftfreq(shape[1])[:, None], torch.fft.rfftfreq(shape[2])[None]
    frequency = torch.sqrt(rows**2 + columns**2)
    cut_off = uniform(generator, 0.25, 0.6)
    amplitude = torch.sqrt(frequency + 0.02) * torch.exp(-((frequency / cut_off) ** 2))
    if chance(generator, 0.25):
        # Rays along the shoulders or arms see most tissue: streaks lie from side to side.
        amplitude = amplitude * (1.0 + uniform(generator, 1.0, 4.0) * (rows.abs() / (frequency + 1e-6)) ** 4)
    white = torch.fft.rfft2(torch.randn(shape, generator=generator))
    noise: Tensor = torch.fft.irfft2(white * amplitude, s=shape[1:])
    return noise.div_(noise.std().clamp(min=1e-6))


def rescanned(volume_hu: Tensor, generator: torch.Generator) -> Tensor:
    """Slices (Z, H, W) as another scanner would show them: thickness, kernel, calibration, noise; cut to the window."""
    seed = int(torch.randint(1 << 31, (), generator=generator))
    grey = hu_windowed(volume_hu)
    if chance(generator, THICKER_SHARE):
        grey = _thicker(grey)
    changes = _grey_changes().set_random_state(seed)
    changed: Tensor = convert_to_tensor(changes(grey), track_meta=False)
    if chance(generator, NOISY_SHARE):
        noise_hu = LARGEST_NOISE_HU * uniform(generator, 0.0, 1.0) ** 2
        noise = scanner_noise(generator, (grey.shape[0], grey.shape[1], grey.shape[2]))
        changed = changed + noise * (noise_hu / WINDOW_WIDTH_HU)
    return (changed.clamp(0.0, 1.0) - 0.5) * WINDOW_WIDTH_HU + WINDOW_CENTRE_HU


@lru_cache(maxsize=1)
def _grey_changes() -> Compose:
    """MONAI's random changes of slices in 0..1; their random state is set before each use."""
    return Compose(
        [
            RandGaussianSmooth(sigma_x=(0.3, 1.0), sigma_y=(0.3, 1.0), prob=0.2),
            RandGaussianSharpen(
                sigma1_x=(0.25, 0.5),
                sigma1_y=(0.25, 0.5),
                sigma2_x=(0.6, 1.2),
                sigma2_y=(0.6, 1.2),
                alpha=(0.4, 1.6),
                prob=0.2,
            ),
            RandAdjustContrast(prob=0.3, gamma=(0.93, 1.08)),
            RandBiasField(degree=2, coeff_range=(-0.04, 0.04), prob=0.1),
            RandScaleIntensity(factors=0.05, prob=0.6),
            RandShiftIntensity(offsets=LARGEST_OFFSET_HU / WINDOW_WIDTH_HU, prob=0.8),
            RandGaussianNoise(prob=0.15, std=0.012),
        ]
    )


def _thicker(grey: Tensor) -> Tensor:
    """Slices that hold half of their neighbours."""
    padded = torch.cat([grey[:1], grey, grey[-1:]])
    return 0.5 * grey + 0.25 * (padded[:-2] + padded[2:])


def with_opacities(images: Tensor, lungs: Tensor, generator: torch.Generator) -> Tensor:
    """Random dense regions in the lungs, for the lung network: disease must not cut holes into its mask.

    Args:
        images: (N, C, H, W) in 0..1; the channels are slices near each other, which an opacity goes through.
        lungs: The same shape, 1 inside the right lung and 2 inside the left one.
        generator: Of the step.
    """
    inside = lungs > 0
    if chance(generator, ONE_SIDE_SHARE):
        inside = lungs == int(torch.randint(1, 3, (), generator=generator))
    pattern = _pattern_through(images, generator, (7, 25), 0.6)
    share = torch.sigmoid((pattern - uniform(generator, -1.4, 1.8)) * 8.0) * inside
    density = uniform(generator, 0.35, 0.86)
    shape = (images.shape[0], images.shape[-2], images.shape[-1])
    texture = 0.04 * smooth_noise(generator, shape, 40).unsqueeze(1)
    target = torch.maximum(images, density + texture)
    return torch.lerp(images, target, share).clamp(0.0, 1.0)


def with_gas(images: Tensor, lungs: Tensor, generator: torch.Generator) -> Tensor:
    """Random pockets of air in the soft tissue, for the lung network: bowel gas and airways are no lung.

    Args:
        images: (N, C, H, W) in 0..1; the channels are slices near each other, which a pocket goes through.
        lungs: The same shape, not 0 inside the lungs.
        generator: Of the step.
    """
    pattern = _pattern_through(images, generator, (14, 40), 0.3)
    tissue = (images > TISSUE_GREY) & (lungs == 0)
    share = torch.sigmoid((pattern - uniform(generator, 1.3, 2.0)) * 10.0) * tissue
    return torch.lerp(images, torch.tensor(AIR_GREY), share)


def _pattern_through(images: Tensor, generator: torch.Generator, cells: tuple[int, int], fine: float) -> Tensor:
    """Bumps, coarse and `fine` times as high fine ones, (N, C, H, W): alike in all channels, but not the same."""
    count, channels, rows, columns = images.shape
    pattern = smooth_noise(generator, (count, rows, columns), cells[0]).unsqueeze(1)
    pattern = pattern + fine * smooth_noise(generator, (count, rows, columns), cells[1]).unsqueeze(1)
    if channels == 1:
        return pattern
    own = smooth_noise(generator, (count * channels, rows, columns), cells[0])
    return (pattern + OWN_PATTERN * own.view(images.shape)) / math.hypot(1.0, OWN_PATTERN)


def regraded(images: Tensor, generator: torch.Generator) -> Tensor:
    """Another scanner's grey values and noise; a step of 0.01 is 16 HU."""
    gain, offset = uniform(generator, 0.94, 1.06), uniform(generator, -0.025, 0.025)
    deviation = LARGEST_LUNG_NOISE_HU / WINDOW_WIDTH_HU * uniform(generator, 0.0, 1.0) ** 1.5
    noise = torch.randn(images.shape, generator=generator)
    if chance(generator, 0.5):
        grain = GRAINS_PIXELS[int(torch.randint(len(GRAINS_PIXELS), (), generator=generator))]
        noise = functional.avg_pool2d(noise, grain, stride=1, padding=grain // 2) * grain
    graded: Tensor = (images - 0.2) * gain + 0.2 + offset + deviation * noise
    return graded.clamp(0.0, 1.0)
