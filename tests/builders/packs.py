"""Model packs small enough for a test."""

from pathlib import Path

import torch

from builders.networks import TINY
from pipeline.lungs_net import LungNet
from pipeline.model_input import InputContract
from pipeline.model_pack import Thresholds, TrainingData
from pipeline.patient_score import PatientScoreWeights
from pipeline.space_time import SpaceTimeNet
from pipeline.training.pack_writer import PackDescription, write_pack


def tiny_description() -> PackDescription:
    """Of a pack that was trained on nothing."""
    thresholds = Thresholds(
        lesion_probability=0.4,
        slice_probability=0.6,
        box_score=0.3,
        box_overlap=0.5,
        smallest_lesion_ml=0.1,
        patient_score=0.5,
    )
    return PackDescription(
        name="tiny",
        version="1.2.3",
        contract=InputContract(pixel_mm=2.0),
        thresholds=thresholds,
        patient_score=PatientScoreWeights(bias=0.0, slice_weight=1.0, involvement_weight=1.0),
        training_data=(TrainingData(name="nothing", licence="none", attribution="nobody"),),
        model_card="# Tiny\n",
        licence="none\n",
    )


def tiny_pack(folder: Path, description: PackDescription | None = None, *, seed: int = 1) -> Path:
    """Random weights, the same for the same seed."""
    torch.manual_seed(seed)
    return write_pack(folder, LungNet((8, 8, 8)), SpaceTimeNet(TINY), description or tiny_description())
