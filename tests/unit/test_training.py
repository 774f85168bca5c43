"""Training learns, goes on after a stop, and ends in a pack that loads."""

import dataclasses
from pathlib import Path

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from builders.threads import threads_of_libraries, two_threads_each
from builders.training_cases import save_small_cases, small_case
from pipeline.boxes import cell_centres
from pipeline.errors import ModelPackError
from pipeline.lungs_net import LungNet
from pipeline.model_pack import load_model_pack
from pipeline.space_time import SpaceTimeNet
from pipeline.training.cases import load_cases
from pipeline.training.checkpoints import TrainingState, gradient_step, step_generator
from pipeline.training.config import (
    ComparisonTraining,
    DataConfig,
    LungTraining,
    SpaceTimeTraining,
    TrainingConfig,
    TrainingConfigError,
)
from pipeline.training.epochs import load_epochs
from pipeline.training.loop import new_state
from pipeline.training.losses import UNKNOWN_KIND, assigned_distances, labels_of_slices, mask_loss
from pipeline.training.run import train
from pipeline.training.sequences import SequenceBatch, boxes_of_slices, sample_batch
from pipeline.training.train_lungs import load_lung_slices, take_over, train_lungs
from pipeline.training.train_space_time import (
    TrainingStartError,
    batch_loss,
    mix_in,
    network_config,
    start_from_weights,
    train_space_time,
)

TINY = SpaceTimeTraining(steps=4, batch=1, slices=3, crop=(32, 32), learning_rate=5e-3, hidden=8, widths=(8, 8, 16, 16))


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def tiny_config(cache: Path) -> TrainingConfig:
    """A run of seconds on the cases that are already in the cache."""
    return TrainingConfig(
        cache=cache,
        threads=1,
        checkpoint_every=2,
        data=DataConfig(phantom_patients=0, validation_patients=0),
        lungs=LungTraining(steps=2, batch=1),
        space_time=TINY,
    )


def stepped(state: TrainingState, net: SpaceTimeNet, batch: SequenceBatch) -> float:
    """One step on a batch; the loss before it."""
    loss = batch_loss(net, batch)
    gradient_step(state, loss, 5e-3)
    return float(loss.detach())


def nobody_listens(what: str, share: float) -> None:
    """Progress that nobody reads."""


def stop_in_third_step(what: str, share: float) -> None:
    """A user who presses Ctrl+C after the checkpoint of step 2."""
    if share > 0.6:
        raise KeyboardInterrupt


def test_a_few_steps_lower_the_loss() -> None:
    """On one batch, seen again and again."""
    torch.manual_seed(0)
    net = SpaceTimeNet(network_config(TINY))
    state = new_state(net)
    batch = sample_batch([small_case(1)], [], TINY, step_generator(1, 1))
    losses = [stepped(state, net, batch) for _ in range(12)]
    assert min(losses[-3:]) < 0.8 * losses[0]


def test_a_stopped_training_goes_on_as_if_it_had_not_stopped(tmp_path: Path) -> None:
    """From its checkpoint it comes to the same weights."""
    save_small_cases(tmp_path, 2)
    cases = load_cases(tmp_path)
    straight = train_space_time(tiny_config(tmp_path / "a"), cases, [], cases, on_progress=nobody_listens)
    with pytest.raises(KeyboardInterrupt):
        train_space_time(tiny_config(tmp_path / "b"), cases, [], cases, on_progress=stop_in_third_step)
    resumed = train_space_time(tiny_config(tmp_path / "b"), cases, [], cases, on_progress=nobody_listens)
    for one, other in zip(straight.parameters(), resumed.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


def test_a_whole_run_ends_in_a_pack_that_loads(tmp_path: Path) -> None:
    """Data that are in the cache are used; the card says what was measured."""
    save_small_cases(tmp_path / "train", 2)
    save_small_cases(tmp_path / "validation", 2)
    pack = load_model_pack(train(tiny_config(tmp_path), out=tmp_path / "pack", on_progress=nobody_listens))
    assert pack.load_space_time_net("cpu").config == network_config(TINY)
    card = (pack.folder / "docs" / "README.md").read_text()
    assert "Not for diagnosis" in card
    assert "On 2 phantom patients" in card
    assert "stores" not in card


def test_a_run_computes_with_as_many_threads_as_its_configuration_says(tmp_path: Path) -> None:
    """In every library, from its beginning: others work on the same machine."""
    no_pack = dataclasses.replace(TINY, start_from=tmp_path / "none")
    config = dataclasses.replace(tiny_config(tmp_path), space_time=no_pack)
    with two_threads_each():
        with pytest.raises(ModelPackError):
            train(config, out=tmp_path / "pack", on_progress=nobody_listens)
        assert threads_of_libraries() == {1}


def test_the_lung_network_learns_without_real_lungs(tmp_path: Path) -> None:
    """A site without real CT can still train."""
    save_small_cases(tmp_path / "train", 2)
    slices = load_lung_slices(tmp_path / "train")
    nothing = load_lung_slices(tmp_path / "real")
    net = train_lungs(tiny_config(tmp_path), slices, nothing, on_progress=nobody_listens)
    assert net(torch.zeros((1, net.slices_seen, 256, 256))).shape == (1, 3, 256, 256)


def test_a_lung_network_goes_on_from_one_that_saw_slices_alone() -> None:
    """It says the same at first, whatever lies beside the slice."""
    known, net = LungNet(), LungNet(neighbour_mm=10.0)
    take_over(net, known)
    slices = torch.rand((2, 3, 64, 64), generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(net(slices), known(slices[:, 1:2]))
    again = LungNet(neighbour_mm=10.0)
    take_over(again, net)
    torch.testing.assert_close(again(slices), net(slices))


def test_batches_are_the_same_for_the_same_seed_and_step() -> None:
    """Other steps give other batches."""
    cases = [small_case(1), small_case(2)]
    first, again, other = (sample_batch(cases, [], TINY, step_generator(1, step)) for step in (5, 5, 6))
    assert torch.equal(first.sequence, again.sequence)
    assert first.sequence.shape != other.sequence.shape or not torch.equal(first.sequence, other.sequence)


def test_some_steps_have_no_earlier_study() -> None:
    """Without them the network fails where there is none."""
    cases = [small_case(1), small_case(2)]
    lengths = [len(sample_batch(cases, [], TINY, step_generator(1, step)).sequence) for step in range(30)]
    assert 3 <= lengths.count(1) <= 20
    assert max(lengths) == 3


def test_a_step_that_looks_further_back_than_the_chosen_pool_takes_a_phantom_that_does() -> None:
    """Whatever the real chests and the other phantoms have, no step asks for a study that is not there."""
    phantoms, real = [small_case(1, studies=1), small_case(2)], [small_case(3, studies=1)]
    lengths = [len(sample_batch(phantoms, real, TINY, step_generator(1, step)).sequence) for step in range(30)]
    assert max(lengths) == 3


def test_a_lesion_becomes_one_box_per_slice() -> None:
    """In pixels, where pixel i covers i to i + 1; a slice without lesion has a row of nan."""
    numbers = torch.zeros((2, 8, 8), dtype=torch.int64)
    numbers[1, 2:5, 1:7] = 4
    boxes = boxes_of_slices(numbers)
    assert boxes[0].isnan().all()
    assert boxes[1].tolist() == [[1.0, 2.0, 7.0, 5.0]]


def test_even_the_smallest_box_has_a_cell_that_answers_for_it() -> None:
    """A box of two pixels between the middles of all cells is not lost."""
    centres = cell_centres(4, 4, 8).flatten(0, 1)
    targets = assigned_distances(torch.tensor([[[15.0, 15.0, 17.0, 17.0]]]), centres, 0)
    assert (~targets[0, :, 0].isnan()).any()


def test_a_right_mask_costs_less_than_a_wrong_one() -> None:
    """Cross-entropy and Dice agree."""
    kind = torch.zeros((1, 8, 8), dtype=torch.int64)
    kind[:, 2:6, 2:6] = 1
    right = torch.nn.functional.one_hot(kind[:, ::2, ::2], 3).movedim(-1, 1) * 10.0
    assert mask_loss(right, kind) < 0.1 * mask_loss(right.roll(1, dims=1), kind)


def test_the_last_five_epochs_are_kept_with_their_validation_loss(tmp_path: Path) -> None:
    """The paper averages over five epochs and draws its curve from the best."""
    save_small_cases(tmp_path, 2)
    cases = load_cases(tmp_path)
    settings = dataclasses.replace(TINY, steps=7, epoch_steps=1)
    config = dataclasses.replace(tiny_config(tmp_path / "a"), space_time=settings)
    train_space_time(config, cases, [], cases, on_progress=nobody_listens)
    epochs = load_epochs(tmp_path / "a" / "epochs" / "space-time-1")
    assert [saved.epoch for saved in epochs] == [3, 4, 5, 6, 7]
    assert all(saved.path.is_file() and saved.validation_loss > 0.0 for saved in epochs)
    assert len(list((tmp_path / "a" / "epochs" / "space-time-1").glob("*.pt"))) == 5


def test_a_training_leaves_curves_for_tensorboard(tmp_path: Path) -> None:
    """One event file with the loss."""
    save_small_cases(tmp_path, 2)
    cases = load_cases(tmp_path)
    train_space_time(tiny_config(tmp_path / "a"), cases, [], [], on_progress=nobody_listens)
    events = EventAccumulator(str(tmp_path / "a" / "logs" / "space-time-1")).Reload()
    assert "loss" in events.Tags()["scalars"]


def test_space_time_2_begins_by_answering_as_the_space_time_1_it_starts_from() -> None:
    """Its backward branch says nothing until it has learned."""
    torch.manual_seed(0)
    one = SpaceTimeNet(network_config(TINY)).eval()
    both = SpaceTimeNet(network_config(dataclasses.replace(TINY, bidirectional_time=True))).eval()
    start_from_weights(both, one.state_dict())
    batch = sample_batch([small_case(1)], [], TINY, step_generator(1, 2))
    with torch.inference_mode():
        answers = [net.forward_batch(batch.sequence, batch.valid, batch.gap_days)[-1] for net in (one, both)]
    torch.testing.assert_close(answers[0].mask_logits, answers[1].mask_logits)


def test_the_mean_with_the_weights_of_the_start_lies_between_both() -> None:
    """A share of 0 leaves what was learned, 1 gives back the start."""
    start, learned = (SpaceTimeNet(network_config(TINY)) for _ in range(2))
    name = next(iter(start.state_dict()))
    before = learned.state_dict()[name].clone()
    mix_in(learned, start.state_dict(), 0.0)
    assert torch.equal(learned.state_dict()[name], before)
    mix_in(learned, start.state_dict(), 0.5)
    assert torch.allclose(learned.state_dict()[name], (before + start.state_dict()[name]) / 2, atol=1e-6)
    mix_in(learned, start.state_dict(), 1.0)
    assert torch.allclose(learned.state_dict()[name], start.state_dict()[name])


def test_weights_of_another_network_are_no_start() -> None:
    """The message names the first weight that does not fit."""
    net = SpaceTimeNet(network_config(TINY))
    with pytest.raises(TrainingStartError, match=r"encoder\.stem"):
        start_from_weights(net, {})


def test_nothing_is_learned_where_the_truth_is_not_known() -> None:
    """Whatever the network says there, the loss of the mask stays."""
    kind = torch.zeros((1, 16, 16), dtype=torch.int64)
    kind[:, :, 8:] = UNKNOWN_KIND
    quiet = torch.zeros((1, 3, 8, 8))
    loud = quiet.clone()
    loud[:, 1, :, 4:] = 9.0
    torch.testing.assert_close(mask_loss(quiet, kind), mask_loss(loud, kind))


def test_a_slice_of_unknown_truth_has_no_label() -> None:
    """A lesion that is known makes it positive all the same."""
    kinds = torch.zeros((3, 16, 16), dtype=torch.int64)
    kinds[1:, :8] = UNKNOWN_KIND
    kinds[2, 8:] = 1
    assert labels_of_slices(kinds).tolist() == [0, -1, 1]


def test_the_compared_models_leave_their_epochs(tmp_path: Path) -> None:
    """Trained on the same cases, from what Space-Time1 has learned."""
    save_small_cases(tmp_path / "train", 2)
    save_small_cases(tmp_path / "validation", 2)
    settings = dataclasses.replace(TINY, steps=2, epoch_steps=1)
    comparison = ComparisonTraining(models=("space-time-2", "yolov3"), steps=2)
    config = dataclasses.replace(tiny_config(tmp_path), space_time=settings, comparison=comparison)
    train(config, out=tmp_path / "pack", on_progress=nobody_listens)
    for name in ("space-time-1", "space-time-2", "yolov3"):
        assert [saved.epoch for saved in load_epochs(tmp_path / "epochs" / name)] == [1, 2]


def test_a_model_that_nobody_knows_is_refused_before_training(tmp_path: Path) -> None:
    """The message names those that are known."""
    config = dataclasses.replace(tiny_config(tmp_path), comparison=ComparisonTraining(models=("yolov9",)))
    with pytest.raises(TrainingConfigError, match="yolov3"):
        train(config, out=tmp_path / "pack", on_progress=nobody_listens)


def test_a_step_whose_gradients_are_no_numbers_changes_nothing() -> None:
    """One bad batch must not end a training of hours."""
    net = torch.nn.Linear(2, 1)
    state = new_state(net)
    before = net.weight.detach().clone()
    gradient_step(state, net(torch.full((1, 2), torch.nan)).sum(), 1e-2)
    assert torch.equal(net.weight, before)
    assert state.step == 1
