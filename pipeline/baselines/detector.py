"""A baseline as a detector that is evaluated beside Space-Time-Net."""

from collections.abc import Sequence

import numpy as np
import torch

from pipeline.baselines.net import LEAST_CANDIDATE, BaselineNet
from pipeline.boxes import SliceBoxes as FoundBoxes
from pipeline.evaluation.detector import LEAST_SCORE, SliceBoxes, StudyReading
from pipeline.evaluation.readings import LEAST_LUNG_SHARE, lung_shares
from pipeline.evaluation.space_time_detector import padded_with_air
from pipeline.model_input import stacked_channels
from pipeline.study import BoolArray, Float32Array
from pipeline.training.cases import CaseStudy

CHUNK_SLICES = 16
"""Read at a time."""

NO_BOX_LOGIT = float(np.log(LEAST_CANDIDATE / (1.0 - LEAST_CANDIDATE)))
"""Of a slice without any box: the logit of the least score that is looked at, -6."""

SURE_SCORE = 1.0 - 1e-6
"""Higher scores would have no finite logit."""


class BaselineDetector:
    """Reads the newest study, slice by slice."""

    looks_back = False

    def __init__(self, name: str, net: BaselineNet) -> None:
        """The network computes where its weights are."""
        self.name = name
        self._net = net.eval()

    def read(self, studies: Sequence[CaseStudy]) -> StudyReading:
        """Boxes in the lungs of the newest study; the best of a slice, down to 0.0025, gives its logit."""
        newest = studies[-1]
        lungs = newest.lungs
        found = [_within_lungs(boxes, plane) for boxes, plane in zip(self._found(newest, lungs), lungs, strict=True)]
        return StudyReading(
            boxes=tuple(_likely(boxes) for boxes in found),
            slice_logits=np.array([_best_logit(boxes.scores) for boxes in found], np.float32),
            lesion_probability=None,
        )

    def _found(self, study: CaseStudy, lungs: BoolArray) -> list[FoundBoxes]:
        """Of all slices, on the CPU."""
        device = next(self._net.parameters()).device
        channels = padded_with_air(stacked_channels(np.asarray(study.volume_hu, np.float32), lungs))
        found: list[FoundBoxes] = []
        with torch.inference_mode(), torch.autocast(device.type, torch.bfloat16):
            for chunk in torch.split(channels, CHUNK_SLICES):
                found.extend(self._net.detect(chunk.to(device)))
        return [FoundBoxes(boxes=each.boxes.cpu(), scores=each.scores.cpu()) for each in found]


def _within_lungs(found: FoundBoxes, lungs: BoolArray) -> SliceBoxes:
    """Clipped to the slice, and at least a fifth in the lungs (Y, X)."""
    limits = np.array([lungs.shape[1], lungs.shape[0]] * 2, np.float32)
    boxes: Float32Array = np.clip(found.boxes.numpy(), 0.0, limits)
    inside = lung_shares(boxes, lungs) >= LEAST_LUNG_SHARE
    return SliceBoxes(boxes=boxes[inside], scores=found.scores.numpy()[inside])


def _likely(found: SliceBoxes) -> SliceBoxes:
    kept = found.scores >= LEAST_SCORE
    return SliceBoxes(boxes=found.boxes[kept], scores=found.scores[kept])


def _best_logit(scores: Float32Array) -> float:
    if not len(scores):
        return NO_BOX_LOGIT
    best = min(float(scores.max()), SURE_SCORE)
    return max(NO_BOX_LOGIT, float(np.log(best / (1.0 - best))))
