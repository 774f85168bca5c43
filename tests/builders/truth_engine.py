"""An engine that knows the truth of one phantom study."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from builders.fake_engine import shape_engine
from pipeline.engine import Engine
from pipeline.phantom import PhantomStudy
from pipeline.phantom.lesions import CONSOLIDATION
from pipeline.plug_points import Detection, StudyDetection, StudyOnGrid
from pipeline.study import Grid, Int16Array, UInt8Array


class TruthSegmenter:
    """`LungSegmenter`: the lungs of the phantom."""

    def __init__(self, truth: PhantomStudy) -> None:
        """For the study this is the truth of."""
        self._truth = truth

    def segment(self, volume_hu: Int16Array, spacing_mm: tuple[float, float, float]) -> UInt8Array:
        """See `LungSegmenter.segment`."""
        assert volume_hu.shape == self._truth.lung_mask.shape
        return self._truth.lung_mask


class TruthDetector:
    """`LesionDetector`: the lesions of the phantom."""

    def __init__(self, truth: PhantomStudy) -> None:
        """For the study this is the truth of."""
        self._truth = truth

    def detect(self, studies: Sequence[StudyOnGrid], grid: Grid, gaps_days: Sequence[float]) -> Detection:
        """See `LesionDetector.detect`."""
        kind = self._truth.lesion_kind
        study = StudyDetection(
            lesion_probability=(kind > 0).astype(np.float32),
            consolidation_probability=(kind == CONSOLIDATION).astype(np.float32),
            slice_findings=(),
            slice_logits=np.zeros(grid.shape[0], np.float32),
        )
        return Detection(grid=grid, studies=(study,) * len(studies))


def truth_engine(truth: PhantomStudy) -> Engine:
    """The engine for one study, in patient order."""
    return replace(shape_engine(), segmenter=TruthSegmenter(truth), detector=TruthDetector(truth))
