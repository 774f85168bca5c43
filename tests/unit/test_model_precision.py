"""bfloat16 is used where it changes nothing; the same input gives the same answer every time."""

import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from builders.packs import tiny_pack
from pipeline.detect import SpaceTimeDetector
from pipeline.engine import Engine, EngineParts, build_engine
from pipeline.golden import GoldenCase, GoldenNetworks, decision_flips
from pipeline.lesions import lesion_maps, slices_with_lung
from pipeline.model_pack import DecisionFlips, ModelPack, load_model_pack
from pipeline.patient_score import patient_score
from pipeline.plug_points import Detection, StudyOnGrid
from pipeline.precision import Precision, choose_precision, computes_in_bfloat16, running_in
from pipeline.training.golden_case import render_golden_case

CPU = torch.device("cpu")
NONE = DecisionFlips(
    lung_pixels=1000, lung_pixel_flips=0, lesion_voxels=1000, lesion_voxel_flips=0, slices=50, slice_flips=0
)


@pytest.fixture(scope="module")
def case() -> GoldenCase:
    """A phantom with an earlier study."""
    return render_golden_case()


@pytest.fixture(scope="module")
def pack() -> ModelPack:
    """The weights that come with the package."""
    return load_model_pack(None)


def detected(engine: Engine, case: GoldenCase) -> Detection:
    """Both studies of the case."""
    valid = np.ones(case.volumes_hu[0].shape, np.bool_)
    studies = [
        StudyOnGrid(volume_hu=volume, lung_mask=lungs, valid=valid)
        for volume, lungs in zip(case.volumes_hu, case.lung_masks, strict=True)
    ]
    return engine.detector.detect(studies, case.grid, [0.0, case.gap_days])


def is_diseased(detection: Detection, case: GoldenCase, pack: ModelPack) -> bool:
    """The decision on the patient."""
    newest, lungs = detection.studies[-1], case.lung_masks[-1]
    maps = lesion_maps(detection, newest, lungs, case.grid, threshold=pack.thresholds.lesion_probability)
    involvement = 100.0 * float(maps.lesion.sum()) / float((lungs > 0).sum())
    logits = newest.slice_logits[slices_with_lung(lungs, case.grid, detection.grid)]
    return patient_score(torch.from_numpy(logits), involvement, pack.patient_score) >= pack.thresholds.patient_score


def test_bfloat16_turns_at_most_one_decision_in_a_thousand(pack: ModelPack, case: GoldenCase) -> None:
    """Of the bundled weights, on a phantom: lung pixels, lesion voxels within the lungs, slices, and the patient."""
    networks = GoldenNetworks(
        lung_net=pack.load_lung_net(CPU),
        detector=SpaceTimeDetector(pack.load_space_time_net(CPU), contract=pack.contract, thresholds=pack.thresholds),
        device=CPU,
    )
    flips = decision_flips(networks, case, pack.thresholds)
    assert flips.lesion_voxels > 20_000
    assert flips.lung_pixels > 20_000
    assert flips.lesion_voxel_flips <= flips.lesion_voxels / 1000
    assert flips.lung_pixel_flips <= flips.lung_pixels / 1000
    assert flips.slice_flips <= flips.slices / 1000
    exact, coarse = (
        detected(build_engine(pack, CPU, EngineParts(precision=precision)), case)
        for precision in (Precision.FLOAT32, Precision.BFLOAT16)
    )
    assert not np.array_equal(exact.studies[-1].slice_logits, coarse.studies[-1].slice_logits)
    assert is_diseased(exact, case, pack) == is_diseased(coarse, case, pack)


@pytest.mark.parametrize("precision", [Precision.FLOAT32, Precision.BFLOAT16])
def test_the_same_input_gives_the_same_answer(pack: ModelPack, case: GoldenCase, precision: Precision) -> None:
    """Bit for bit, from engines that were made anew."""
    parts = EngineParts(precision=precision)
    first, second = (build_engine(pack, CPU, parts) for _ in range(2))
    masks = [engine.segmenter.segment(case.volumes_hu[-1], case.spacing_mm) for engine in (first, second)]
    assert np.array_equal(*masks)
    one, other = (detected(engine, case) for engine in (first, second))
    for study, again in zip(one.studies, other.studies, strict=True):
        assert np.array_equal(study.lesion_probability, again.lesion_probability)
        assert np.array_equal(study.slice_logits, again.slice_logits)
        assert study.slice_findings == again.slice_findings


@pytest.mark.parametrize(
    "flips",
    [
        None,
        replace(NONE, lesion_voxel_flips=2),
        replace(NONE, lung_pixel_flips=2),
        replace(NONE, slice_flips=1),
    ],
)
def test_auto_does_not_take_bfloat16_unless_it_was_measured_to_be_harmless(flips: DecisionFlips | None) -> None:
    """More than one decision in a thousand of any kind, or no measurement, means float32."""
    assert choose_precision(Precision.AUTO, CPU, flips) is torch.float32


def test_auto_takes_bfloat16_where_the_device_computes_with_it() -> None:
    """And float32 where it would only be emulated."""
    expected = torch.bfloat16 if computes_in_bfloat16(CPU) else torch.float32
    assert choose_precision(Precision.AUTO, CPU, NONE) is expected


def test_what_the_configuration_says_is_done() -> None:
    """Whatever was measured."""
    assert choose_precision(Precision.FLOAT32, CPU, NONE) is torch.float32
    assert choose_precision(Precision.BFLOAT16, CPU, None) is torch.bfloat16


def test_a_written_pack_says_what_bfloat16_does_to_it(tmp_path: Path) -> None:
    """So that the choice costs nothing when a study comes."""
    flips = load_model_pack(tiny_pack(tmp_path / "pack")).bfloat16
    assert flips is not None
    assert flips.lesion_voxels > 20_000
    assert flips.slices > 20


def test_a_thread_that_leaves_does_not_take_the_flags_from_one_that_stays() -> None:
    """cuDNN's flags are one for the process: the first sets them, the last puts them back."""
    before = flags()
    ready, left = threading.Event(), threading.Event()

    def leave_first() -> None:
        with running_in(torch.float32, CPU):
            assert ready.wait(30)
        left.set()

    first = threading.Thread(target=leave_first)
    first.start()
    with running_in(torch.float32, CPU):
        ready.set()
        assert left.wait(30)
        assert flags() == (True, False, False)
    first.join()
    assert flags() == before


def flags() -> tuple[bool, bool, bool]:
    """Deterministic, any algorithm, TF32."""
    cudnn = torch.backends.cudnn
    return cudnn.deterministic, cudnn.benchmark, cudnn.allow_tf32
