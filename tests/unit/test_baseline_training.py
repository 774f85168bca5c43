"""Baselines are trained on the batches of Space-Time-Net, go on after a stop, and leave their epochs."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from scipy import ndimage

from builders.training_cases import small_case
from pipeline.baselines.build import BaselineKind, build_baseline
from pipeline.baselines.errors import BaselineError
from pipeline.baselines.yolo import LESION_ANCHORS, YoloNet
from pipeline.space_time import SpaceTimeConfig, SpaceTimeNet
from pipeline.training.checkpoints import step_generator
from pipeline.training.config import SpaceTimeTraining, TrainingConfig
from pipeline.training.epochs import load_epochs
from pipeline.training.sequences import SequenceBatch, sample_batch
from pipeline.training.train_baseline import BaselineTraining, slices_of, take_encoder, train_baseline

WIDTHS = (8, 8, 16, 16)

TINY = SpaceTimeTraining(steps=4, batch=1, slices=2, crop=(32, 32), learning_rate=2e-3, widths=WIDTHS, epoch_steps=2)

CASES = [small_case(seed) for seed in range(3)]


@pytest.fixture(autouse=True)
def _few_batches_of_cases_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the haze and the cuts that crops are given, whose lesions are of other sizes."""
    torch.set_num_threads(1)
    monkeypatch.setattr("pipeline.training.crop_changes.HAZY_SHARE", 0.0)
    monkeypatch.setattr("pipeline.training.crop_changes.CUT_SHARE", 0.0)
    monkeypatch.setattr("pipeline.training.train_baseline.ANCHOR_BATCHES", 12)
    monkeypatch.setattr("pipeline.training.train_baseline.VALIDATION_BATCHES", 2)


def training(kind: BaselineKind, cache: Path) -> BaselineTraining:
    """A run of seconds."""
    config = TrainingConfig(cache=cache, threads=1, device="cpu", checkpoint_every=2, space_time=TINY)
    return BaselineTraining(kind=kind, config=config)


def nobody_listens(what: str, share: float) -> None:
    """Progress that nobody reads."""


def stop_in_third_step(what: str, share: float) -> None:
    """A user who presses Ctrl+C after the checkpoint of step 2."""
    if share > 0.6:
        raise KeyboardInterrupt


def batch_of_three_studies() -> SequenceBatch:
    """One patient, nothing missing."""
    settings = replace(TINY, slices=4, no_prior_share=0.0)
    return next(
        batch
        for batch in (sample_batch(CASES, [], settings, step_generator(1, number)) for number in range(100))
        if len(batch.boxes) == 3 and batch.valid.all()
    )


@pytest.mark.parametrize("kind", list(BaselineKind))
def test_a_stopped_training_goes_on_as_if_it_had_not_stopped(kind: BaselineKind, tmp_path: Path) -> None:
    """From its checkpoint it comes to the same weights, and both leave their epochs."""
    straight = train_baseline(training(kind, tmp_path / "a"), CASES, [], CASES[:1], on_progress=nobody_listens)
    with pytest.raises(KeyboardInterrupt):
        train_baseline(training(kind, tmp_path / "b"), CASES, [], CASES[:1], on_progress=stop_in_third_step)
    resumed = train_baseline(training(kind, tmp_path / "b"), CASES, [], CASES[:1], on_progress=nobody_listens)
    for one, other in zip(straight.state_dict().values(), resumed.state_dict().values(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)
    saved = load_epochs(tmp_path / "b" / "epochs" / kind.value)
    assert [epoch.epoch for epoch in saved] == [1, 2]
    fresh = build_baseline(kind, SpaceTimeConfig(widths=WIDTHS))
    fresh.load_state_dict(torch.load(saved[-1].path, weights_only=True))


def test_all_slices_of_all_studies_are_learned_from() -> None:
    """With the boxes of the same batch, padded to the same number."""
    batch = batch_of_three_studies()
    slices = slices_of(batch)
    assert slices.images.shape == (12, 4, 32, 32)
    torch.testing.assert_close(slices.images[4:8], batch.sequence[1, 0])
    torch.testing.assert_close(slices.boxes[8:, : batch.boxes[2].shape[1]], batch.boxes[2], equal_nan=True)


def test_slices_that_show_nothing_or_are_not_labelled_are_left_out() -> None:
    """A missing slice is no healthy one, nor is one of which nobody said everything."""
    batch = batch_of_three_studies()
    batch.valid[0, 0, :2] = 0.0
    batch.kinds[1, 3, 5, 5] = 255
    slices = slices_of(batch)
    assert len(slices.images) == len(slices.boxes) == 9
    torch.testing.assert_close(slices.images[:2], batch.sequence[0, 0, 2:])


def test_a_slice_stays_where_only_the_faint_border_of_its_lesion_is_not_known() -> None:
    """Painted lesions have one in nearly every slice, and end in it; what touches no lesion may be one of its own."""
    batch = batch_of_three_studies()
    assert (batch.kinds[2, 1] == 1).any()
    whole = batch.kinds[2, 1] == 1
    inner = ndimage.binary_erosion(whole.numpy(), iterations=2)
    batch.kinds[2, 1][whole & ~torch.from_numpy(inner)] = 255
    assert (batch.kinds[2, 1] == 255).any()
    assert (batch.kinds[2, 1] == 1).any()
    assert len(slices_of(batch).images) == 12
    batch.kinds[2, 1][batch.kinds[2, 1] == 1] = 255
    assert len(slices_of(batch).images) == 12
    batch.kinds[2, 0], batch.kinds[2, 2] = 0, 0
    assert len(slices_of(batch).images) == 11


def test_a_step_without_any_slice_to_learn_from_passes(tmp_path: Path) -> None:
    """Where nobody said which voxels are lesion."""
    unlabelled = [small_case(1)]
    for study in unlabelled[0].studies:
        study.truth[2] = 255
    run = training(BaselineKind.SSD, tmp_path)
    train_baseline(run, unlabelled, [], [], on_progress=nobody_listens)


def test_the_anchors_of_yolov3_are_fitted_to_the_lesions(tmp_path: Path) -> None:
    """The blocks of these cases are squares of 6 to 14 pixels."""
    net = train_baseline(training(BaselineKind.YOLO_V3, tmp_path), CASES, [], [], on_progress=nobody_listens)
    assert isinstance(net, YoloNet)
    assert not torch.equal(net.anchors, torch.tensor(LESION_ANCHORS))
    assert net.anchors.max() < 18.0


@pytest.mark.parametrize("kind", list(BaselineKind))
def test_training_can_start_from_the_encoder_of_space_time_net(kind: BaselineKind, tmp_path: Path) -> None:
    """The same weights for all three."""
    teacher = SpaceTimeNet(SpaceTimeConfig(widths=WIDTHS, hidden=8))
    torch.save(teacher.state_dict(), tmp_path / "teacher.pt")
    net = build_baseline(kind, SpaceTimeConfig(widths=WIDTHS))
    take_encoder(net, tmp_path / "teacher.pt")
    encoder = net.shared_encoder()
    assert encoder is not None
    torch.testing.assert_close(encoder.state_dict(), teacher.encoder.state_dict())


def test_an_encoder_of_other_widths_is_refused(tmp_path: Path) -> None:
    """By the name of its file."""
    torch.save(SpaceTimeNet().state_dict(), tmp_path / "wide.pt")
    net = build_baseline(BaselineKind.YOLO_V3, SpaceTimeConfig(widths=WIDTHS))
    with pytest.raises(BaselineError, match=r"wide\.pt holds no encoder that fits"):
        take_encoder(net, tmp_path / "wide.pt")
