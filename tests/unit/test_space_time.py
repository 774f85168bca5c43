"""What Space-Time-Net guarantees whatever its weights are."""

import pytest
import torch
from torch import Tensor

from builders.networks import random_study, tiny_space_time_net
from pipeline.model_input import stacked_channels
from pipeline.space_time import SpaceTimeNet, StudyOutput


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def read(
    net: SpaceTimeNet, studies: list[Tensor], *, gaps: tuple[float, ...], valid: Tensor | None = None
) -> tuple[StudyOutput, ...]:
    """The network on some studies; all of every study is valid unless said otherwise."""
    sequence = torch.stack(studies)
    valid = torch.ones_like(sequence[:, :, :1]) if valid is None else valid
    with torch.inference_mode():
        return net(sequence, valid, torch.tensor(gaps))


def tensors(output: StudyOutput) -> list[Tensor]:
    """Everything the network says of a study."""
    maps = [part for level in output.box_maps for part in (level.class_logits, level.distances, level.quality_logits)]
    return [output.mask_logits, output.slice_logits, *maps]


def assert_same(first: StudyOutput, second: StudyOutput) -> None:
    """Equal up to the rounding of a convolution over another number of slices."""
    for one, other in zip(tensors(first), tensors(second), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("chunk_slices", [1, 2, 3, 16])
def test_chunks_along_z_give_what_the_whole_gives(chunk_slices: int) -> None:
    """Streaming is exact, whatever the chunk."""
    net = tiny_space_time_net()
    sequence = torch.stack([random_study(1), random_study(2)])
    valid, gaps = torch.ones_like(sequence[:, :, :1]), torch.tensor([0.0, 6.0])
    valid[0, 3:] = 0.0
    with torch.inference_mode():
        whole = net(sequence, valid, gaps)
        chunked = net.stream(sequence, valid, gaps, chunk_slices=chunk_slices)
    for one, other in zip(whole, chunked, strict=True):
        assert_same(one, other)


def test_what_is_encoded_again_to_save_memory_gives_the_same_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Features that were not kept, gates that were not computed at once."""
    net, sequence = tiny_space_time_net(), torch.stack([random_study(1), random_study(2)])
    valid, gaps = torch.ones_like(sequence[:, :, :1]), torch.tensor([0.0, 6.0])
    with torch.inference_mode():
        kept = net.stream(sequence, valid, gaps, chunk_slices=2)
        monkeypatch.setattr("pipeline.space_time.FINE_FEATURES_BYTES", 0)
        again = net.stream(sequence, valid, gaps, chunk_slices=2)
        monkeypatch.setattr("pipeline.conv_gru.GATES_AT_ONCE", 2)
        in_parts = net.stream(sequence, valid, gaps, chunk_slices=2)
    for one, other, third in zip(kept, again, in_parts, strict=True):
        assert all(torch.equal(*pair) for pair in zip(tensors(one), tensors(other), strict=True))
        assert_same(one, third)


@pytest.mark.parametrize("studies", [1, 2, 4])
def test_any_number_of_earlier_studies_is_read(studies: int) -> None:
    """One output per study, the mask at half size, boxes at strides 8, 16, 32."""
    outputs = read(tiny_space_time_net(), [random_study(seed) for seed in range(studies)], gaps=(3.0,) * studies)
    assert len(outputs) == studies
    assert outputs[-1].mask_logits.shape == (5, 3, 16, 32)
    assert outputs[-1].slice_logits.shape == (5,)
    assert [maps.distances.shape for maps in outputs[-1].box_maps] == [(5, 4, 4, 8), (5, 4, 2, 4), (5, 4, 1, 2)]


def test_every_slice_sees_every_other() -> None:
    """The spatial layers carry the first slice to the last and back."""
    net, study = tiny_space_time_net(), random_study(1)
    changed = study.clone()
    changed[0] = 0.5
    (before,), (after,) = read(net, [study], gaps=(0.0,)), read(net, [changed], gaps=(0.0,))
    assert not torch.equal(before.mask_logits[-1], after.mask_logits[-1])


def test_a_later_study_never_changes_an_earlier_output() -> None:
    """With time one way, what was said of a study stands."""
    net, first, second = tiny_space_time_net(), random_study(1), random_study(2)
    alone = read(net, [first], gaps=(0.0,))[0]
    followed = read(net, [first, second], gaps=(0.0, 5.0))[0]
    assert_same(alone, followed)


def test_both_ways_in_time_a_later_study_informs_an_earlier_one() -> None:
    """Space-Time2 reads back."""
    net, first, second = tiny_space_time_net(bidirectional_time=True), random_study(1), random_study(2)
    alone = read(net, [first], gaps=(0.0,))[0]
    followed = read(net, [first, second], gaps=(0.0, 5.0))[0]
    assert not torch.allclose(alone.mask_logits, followed.mask_logits, atol=1e-5)


def test_an_earlier_study_informs_the_newest() -> None:
    """The time layers are connected."""
    net, newest = tiny_space_time_net(), random_study(9)
    one, other = (read(net, [random_study(seed), newest], gaps=(0.0, 5.0))[-1] for seed in (1, 2))
    assert not torch.allclose(one.mask_logits, other.mask_logits, atol=1e-5)


def test_the_gap_in_days_matters() -> None:
    """The same two studies mean something else three weeks apart."""
    net, studies = tiny_space_time_net(), [random_study(1), random_study(2)]
    near, far = (read(net, studies, gaps=(0.0, gap))[-1] for gap in (1.0, 21.0))
    assert not torch.allclose(near.mask_logits, far.mask_logits, atol=1e-6)


def test_what_an_invalid_voxel_holds_changes_nothing() -> None:
    """Where a prior was not scanned, its fill value is never looked at, not even through the neighbouring slices."""
    net, newest = tiny_space_time_net(), random_study(9)
    valid = torch.ones((2, 5, 1, 32, 64))
    valid[0, 2, :, :16] = 0.0
    valid[0, 4] = 0.0
    outputs = []
    for fill_hu in (-1000.0, 250.0):
        volume_hu = torch.full((5, 32, 64), -800.0)
        volume_hu[valid[0, :, 0] == 0] = fill_hu
        prior = stacked_channels(volume_hu.numpy(), (volume_hu < -500).numpy())
        prior[:, 3] *= valid[0, :, 0]
        outputs.append(read(net, [prior, newest], gaps=(0.0, 5.0), valid=valid)[-1])
    assert_same(*outputs)


def test_a_prior_that_is_invalid_everywhere_is_as_good_as_none() -> None:
    """Its update gates are shut, so the newest study is read as if it came alone."""
    net, newest = tiny_space_time_net(), random_study(9)
    valid = torch.ones((2, 5, 1, 32, 64))
    valid[0] = 0.0
    alone = read(net, [newest], gaps=(0.0,))[-1]
    with_prior = read(net, [random_study(1), newest], gaps=(0.0, 0.0), valid=valid)[-1]
    assert_same(alone, with_prior)
