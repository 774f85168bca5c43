"""What finds lungs and lesions in one run."""

from dataclasses import asdict, dataclass

import torch

from pipeline.detect import SpaceTimeDetector
from pipeline.findings import Algorithm
from pipeline.lungs import NetworkLungSegmenter
from pipeline.model_pack import ModelPack, Thresholds
from pipeline.patient_score import PatientScoreWeights
from pipeline.plug_points import LesionDetector, LungSegmenter

ALGORITHM_NAME = "Space-Time-Net"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Engine:
    """Both plug-points with the numbers that belong to them."""

    segmenter: LungSegmenter
    detector: LesionDetector
    thresholds: Thresholds
    patient_score: PatientScoreWeights
    algorithm: Algorithm


def build_engine(pack: ModelPack, device: torch.device) -> Engine:
    """The networks of a model pack on a device.

    Raises:
        ModelPackError: The weights do not fit.
    """
    return Engine(
        segmenter=NetworkLungSegmenter(pack.load_lung_net(device), device),
        detector=SpaceTimeDetector(
            pack.load_space_time_net(device), contract=pack.contract, thresholds=pack.thresholds
        ),
        thresholds=pack.thresholds,
        patient_score=pack.patient_score,
        algorithm=Algorithm(
            name=f"{ALGORITHM_NAME} {pack.name}",
            version=pack.version,
            weights_sha256=pack.sha256,
            thresholds=asdict(pack.thresholds),
            synthetic_training_only=pack.synthetic_training_only,
        ),
    )
