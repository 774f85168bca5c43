"""The device that the configuration names is there, or the error says what is."""

import pytest
import torch

from builders.threads import threads_of_libraries, two_threads_each
from pipeline.device import NoSuchDeviceError, choose_device, limit_threads


def with_gpus(monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    """A machine with so many."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: count > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: count)


def test_auto_is_the_gpu_where_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else the CPU."""
    with_gpus(monkeypatch, 1)
    assert choose_device("auto").type == "cuda"
    with_gpus(monkeypatch, 0)
    assert choose_device("auto").type == "cpu"


@pytest.mark.parametrize(("count", "name"), [(1, "cuda"), (1, "cuda:0"), (4, "cuda:3"), (0, "cpu")])
def test_a_device_that_is_there_is_chosen(monkeypatch: pytest.MonkeyPatch, count: int, name: str) -> None:
    """By its name."""
    with_gpus(monkeypatch, count)
    assert str(choose_device(name)) == name


@pytest.mark.parametrize(
    ("count", "name", "words"),
    [
        (0, "cuda", "is not there"),
        (0, "cuda:1", "is not there"),
        (1, "cuda:3", "no GPU cuda:3: cuda:0 is the only one"),
        (2, "cuda:2", "no GPU cuda:2: they are cuda:0 to cuda:1"),
        (1, "gpu", "is not there"),
    ],
)
def test_a_device_that_is_not_there_is_refused(
    monkeypatch: pytest.MonkeyPatch, count: int, name: str, words: str
) -> None:
    """Before weights are loaded, with the setting to change."""
    with_gpus(monkeypatch, count)
    with pytest.raises(NoSuchDeviceError, match=words) as refusal:
        choose_device(name)
    assert "[pipeline].device" in refusal.value.reason


@pytest.mark.parametrize(("limit", "expected"), [(1, 1), (0, 2)])
def test_threads_are_limited_in_every_library(limit: int, expected: int) -> None:
    """Of the networks, of the filters that align studies, and of numpy; 0 leaves them as they are."""
    with two_threads_each():
        limit_threads(limit)
        assert threads_of_libraries() == {expected}
