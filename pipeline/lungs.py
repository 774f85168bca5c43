"""The lungs of a study, found by the network of the model pack."""

import numpy as np
import torch
from torch import Tensor

from pipeline.heap import trim_heap
from pipeline.lung_mask import refined_lungs
from pipeline.lungs_net import (
    CLASSES,
    FIELD_OF_VIEW_MM,
    INPUT_PIXELS,
    LungNet,
    lung_logits_on_image,
    lung_net_input,
    with_neighbours,
)
from pipeline.study import LEFT_LUNG, RIGHT_LUNG, Int16Array, UInt8Array
from pipeline.window import WINDOW_CENTRE_HU, WINDOW_WIDTH_HU

SLICES_PER_BATCH = 16
"""Enough to fill the cores, little enough for 8 GB."""

WIDEST_STEP_MM = 2.5
"""The network looks at slices this far apart at most; lungs change little in between."""

CERTAIN_LOGIT = 10.0
"""Where morphology overrules the network, its logits are replaced by plus and minus this."""

NET_PIXEL_MM = FIELD_OF_VIEW_MM / INPUT_PIXELS


class NetworkLungSegmenter:
    """`LungSegmenter` around the lung network."""

    def __init__(self, net: LungNet, device: torch.device) -> None:
        """The network lies on the device."""
        self._net = net
        self._device = device

    def segment(self, volume_hu: Int16Array, spacing_mm: tuple[float, float, float]) -> UInt8Array:
        """See `LungSegmenter.segment`."""
        step = max(1, int(WIDEST_STEP_MM / spacing_mm[0] + 1e-3))
        decided = self._decided(volume_hu[::step], (spacing_mm[0] * step, *spacing_mm[1:])).to(self._device)
        return _mask_on_volume(decided, volume_hu.shape, spacing_mm[1:], step=step)

    def _decided(self, slices_hu: Int16Array, spacing_mm: tuple[float, float, float]) -> Tensor:
        """Logits (Z, 3, 256, 256) of the slices, on the CPU, where morphology has its say."""
        net_spacing_mm = (spacing_mm[0], NET_PIXEL_MM, NET_PIXEL_MM)
        grey = _on_net_grid(slices_hu, spacing_mm[1:], self._device)
        logits = self._logits(grey, spacing_mm[0])
        trim_heap()
        seen_hu = grey.squeeze(1) * WINDOW_WIDTH_HU + (WINDOW_CENTRE_HU - WINDOW_WIDTH_HU / 2)
        _overrule(logits, refined_lungs(_classes(logits), seen_hu.numpy(), net_spacing_mm))
        return logits

    def _logits(self, grey: Tensor, slice_mm: float) -> Tensor:
        """(Z, 3, 256, 256), on the CPU, of slices (Z, 1, 256, 256) so far apart."""
        logits = torch.empty((len(grey), CLASSES, *grey.shape[2:]))
        with torch.inference_mode():
            for start in range(0, len(grey), SLICES_PER_BATCH):
                part = slice(start, start + SLICES_PER_BATCH)
                batch = with_neighbours(grey, slice_mm, self._net.neighbour_mm, part)
                logits[part] = self._net(batch.to(self._device)).float().cpu()
        return logits


def _on_net_grid(slices_hu: Int16Array, spacing_mm: tuple[float, float], device: torch.device) -> Tensor:
    """(Z, 1, 256, 256) on the CPU, in batches: at the image's own size all slices would take gigabytes in float32."""
    starts = range(0, len(slices_hu), SLICES_PER_BATCH)
    batches = (slices_hu[start : start + SLICES_PER_BATCH] for start in starts)
    return torch.cat([lung_net_input(batch, spacing_mm, device).cpu() for batch in batches])


def _overrule(logits: Tensor, refined: UInt8Array) -> None:
    """The network's logits stay where morphology agrees, else they say what morphology says.

    Edges that both agree on keep their place between the pixels.
    """
    decided = torch.from_numpy(refined)
    differs = torch.from_numpy(_classes(logits) != refined)
    for number, plane in enumerate(logits.unbind(dim=1)):
        plane.masked_fill_(differs, -CERTAIN_LOGIT)
        plane.masked_fill_(differs & (decided == number), CERTAIN_LOGIT)


def _mask_on_volume(
    logits: Tensor, shape: tuple[int, ...], spacing_mm: tuple[float, float], *, step: int
) -> UInt8Array:
    """Logits (Z, 3, 256, 256) of every `step`-th slice to a mask (z, y, x) of all slices; resampled where the logits lie."""
    mask = np.zeros(shape, np.uint8)
    for start in range(0, shape[0], SLICES_PER_BATCH):
        places = torch.arange(start, min(start + SLICES_PER_BATCH, shape[0]), device=logits.device) / step
        below = places.long().clamp(max=len(logits) - 1)
        above = (below + 1).clamp(max=len(logits) - 1)
        share = (places - below).clamp(max=1.0).view(-1, 1, 1, 1)
        between = logits[below] * (1.0 - share) + logits[above] * share
        native = lung_logits_on_image(between, (shape[1], shape[2]), spacing_mm)
        mask[start : start + len(places)] = _classes(native)
    return mask


def _classes(logits: Tensor) -> UInt8Array:
    """The likeliest class of (Z, 3, Y, X), in bytes: argmax, or whole numbers on the way, take ten times as long."""
    background, right, left = logits.unbind(dim=1)
    is_right = (right > background) & (right >= left)
    is_left = (left > background) & (left > right)
    classes: UInt8Array = (is_right.to(torch.uint8) * RIGHT_LUNG + is_left.to(torch.uint8) * LEFT_LUNG).cpu().numpy()
    return classes
