"""Waiting with an end."""

import time
from collections.abc import Callable
from threading import Event
from typing import TypeVar

import pytest

Value = TypeVar("Value")
_POLL_S = 0.05
_LONGEST_REST_S = 1.0
_REST_PER_LOOK = 4
"""What is waited for runs on the same cores: looking is to leave it most of them."""


def until(look: Callable[[], Value | None], *, within_s: float, what: str) -> Value:
    """The first true answer of `look`; fails the test, naming `what`, when the deadline passes first.

    After a look that takes long there is a longer rest, though none beyond the deadline.
    """
    now_s = time.monotonic()
    ends_at_s = now_s + within_s
    never = Event()
    while True:
        began_at_s = now_s
        seen = look()
        if seen:
            return seen
        now_s = time.monotonic()
        if now_s > ends_at_s:
            pytest.fail(f"not within {within_s:g} s: {what}")
        rest_s = min(_REST_PER_LOOK * (now_s - began_at_s), _LONGEST_REST_S, ends_at_s - now_s)
        never.wait(max(rest_s, _POLL_S))
        now_s = time.monotonic()
