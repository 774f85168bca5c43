"""Waiting with an end."""

import time
from collections.abc import Callable
from threading import Event
from typing import TypeVar

import pytest

Value = TypeVar("Value")
_POLL_S = 0.05


def until(look: Callable[[], Value | None], *, within_s: float, what: str) -> Value:
    """The first true answer of `look`; fails the test, naming `what`, when the deadline passes first."""
    ends_at_s = time.monotonic() + within_s
    never = Event()
    while True:
        seen = look()
        if seen:
            return seen
        if time.monotonic() > ends_at_s:
            pytest.fail(f"not within {within_s:g} s: {what}")
        never.wait(_POLL_S)
