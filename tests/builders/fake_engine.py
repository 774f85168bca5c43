"""An engine that finds the plain shapes of `builders.ct_series` by their grey values."""

from collections.abc import Sequence

import numpy as np
from scipy import ndimage

from builders.ct_series import LESION_HU, LUNG_HU
from pipeline.engine import Engine
from pipeline.findings import Algorithm
from pipeline.model_pack import Thresholds
from pipeline.patient_score import PatientScoreWeights
from pipeline.plug_points import Detection, SliceFinding, StudyDetection, StudyOnGrid
from pipeline.study import LEFT_LUNG, RIGHT_LUNG, Grid, Int16Array, UInt8Array


class ShapeSegmenter:
    """`LungSegmenter`: what is grey like lung or lesion; the half with lower x is the right lung."""

    def segment(self, volume_hu: Int16Array, spacing_mm: tuple[float, float, float]) -> UInt8Array:
        """See `LungSegmenter.segment`."""
        lungs = (volume_hu >= LUNG_HU - 20) & (volume_hu <= LESION_HU + 20)
        is_left = np.arange(volume_hu.shape[2]) >= volume_hu.shape[2] / 2
        return np.where(lungs, np.where(is_left, LEFT_LUNG, RIGHT_LUNG), 0).astype(np.uint8)


class ShapeDetector:
    """`LesionDetector`: what is grey like a lesion, with one box over each slice that shows it."""

    def detect(self, studies: Sequence[StudyOnGrid], grid: Grid, gaps_days: Sequence[float]) -> Detection:
        """See `LesionDetector.detect`."""
        return Detection(grid=grid, studies=tuple(self._study(study) for study in studies))

    def _study(self, study: StudyOnGrid) -> StudyDetection:
        # Opening removes the shell of in-between values that warping draws around the lungs.
        lesion = ndimage.binary_opening((abs(study.volume_hu - LESION_HU) <= 150) & (study.lung_mask > 0))
        found = lesion.any(axis=(1, 2))
        whole = (-0.5, -0.5, float(lesion.shape[1]), float(lesion.shape[2]))
        return StudyDetection(
            lesion_probability=lesion.astype(np.float32),
            consolidation_probability=np.zeros(lesion.shape, np.float32),
            slice_findings=tuple(SliceFinding(z=int(z), box=whole, score=0.9) for z in np.flatnonzero(found)),
            slice_logits=np.where(found, 4.0, -4.0).astype(np.float32),
        )


def shape_engine() -> Engine:
    """The engine for plain shapes."""
    return Engine(
        segmenter=ShapeSegmenter(),
        detector=ShapeDetector(),
        thresholds=Thresholds(
            lesion_probability=0.5,
            slice_probability=0.5,
            box_score=0.3,
            box_overlap=0.5,
            smallest_lesion_ml=0.1,
            patient_score=0.5,
        ),
        patient_score=PatientScoreWeights(bias=0.0, slice_weight=1.0, involvement_weight=0.5),
        algorithm=Algorithm(
            name="Shapes", version="1", weights_sha256="0" * 64, thresholds={}, synthetic_training_only=True
        ),
    )
