"""Space-Time-Net as a detector that is evaluated beside others."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from pipeline.boxes import BoxMaps, decode_boxes
from pipeline.evaluation.detector import BOX_OVERLAP, LEAST_SCORE, SliceBoxes, StudyReading
from pipeline.model_input import stacked_channels
from pipeline.space_time import MASK_STRIDE, SIZE_MULTIPLE, SpaceTimeNet, StudyOutput
from pipeline.study import Float32Array
from pipeline.training.cases import CaseStudy
from pipeline.window import hu_windowed

AIR_HU = -1000.0


class SpaceTimeDetector:
    """Space-Time1 or Space-Time2: the newest study is read with the earlier ones in view.

    Of the newest study, both have only earlier ones to look at; the bidirectional one never sees the future here.
    """

    looks_back = True

    def __init__(self, name: str, net: SpaceTimeNet) -> None:
        """The network computes where its weights are."""
        self.name = name
        self._net = net.eval()

    def read(self, studies: Sequence[CaseStudy]) -> StudyReading:
        """Boxes, slice logits, and the lesion probability within the lungs as found of the newest study."""
        output = newest_output(self._net, studies)
        lungs = studies[-1].lungs
        probability = kind_probabilities(output, lungs.shape[1:]).sum(axis=1) * lungs
        found = decode_boxes(output.box_maps, score_threshold=LEAST_SCORE, iou_threshold=BOX_OVERLAP)
        return StudyReading(
            boxes=tuple(SliceBoxes(boxes=each.boxes.numpy(), scores=each.scores.numpy()) for each in found),
            slice_logits=output.slice_logits.numpy(),
            lesion_probability=np.asarray(probability, np.float32),
        )


def newest_output(net: SpaceTimeNet, studies: Sequence[CaseStudy]) -> StudyOutput:
    """What the network says of the last of the studies, float32 on the CPU.

    Args:
        net: On any device; computes in bfloat16 where that is safe.
        studies: Of one patient on one grid, oldest first.
    """
    device = next(net.parameters()).device
    channels = [
        padded_with_air(stacked_channels(np.asarray(study.volume_hu, np.float32), study.lungs)) for study in studies
    ]
    sequence = torch.stack(channels)
    days = torch.tensor([study.day for study in studies])
    gaps = torch.cat([torch.zeros(1), days.diff()])
    with torch.inference_mode(), torch.autocast(device.type, torch.bfloat16):
        newest = net.stream(sequence, torch.ones_like(sequence[:, :, :1]), gaps)[-1]
    return StudyOutput(
        mask_logits=newest.mask_logits.cpu(),
        box_maps=tuple(_on_cpu(maps) for maps in newest.box_maps),
        slice_logits=newest.slice_logits.cpu(),
    )


def kind_probabilities(output: StudyOutput, shape: tuple[int, ...]) -> Float32Array:
    """(Z, 2, Y, X): ground-glass and consolidation at the size of the case, whose rows and columns are `shape`."""
    kinds = output.mask_logits.softmax(dim=1)[:, 1:]
    raised = functional.interpolate(kinds, scale_factor=float(MASK_STRIDE), mode="bilinear")
    probabilities: Float32Array = raised[..., : shape[0], : shape[1]].numpy()
    return probabilities


def padded_with_air(channels: Tensor) -> Tensor:
    """(Z, 4, Y, X) with rows and columns filled up to a multiple that the network takes."""
    height, width = channels.shape[-2:]
    padding = (0, -width % SIZE_MULTIPLE, 0, -height % SIZE_MULTIPLE)
    air = float(hu_windowed(torch.tensor(AIR_HU)))
    grey = functional.pad(channels[:, :3], padding, value=air)
    return torch.cat([grey, functional.pad(channels[:, 3:], padding)], dim=1)


def _on_cpu(maps: BoxMaps) -> BoxMaps:
    return BoxMaps(
        class_logits=maps.class_logits.cpu(),
        distances=maps.distances.cpu(),
        quality_logits=maps.quality_logits.cpu(),
    )
