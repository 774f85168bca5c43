"""The time."""

from datetime import UTC, timedelta

from builders.clock import FakeClock
from dicom_node.clock import Clock, SystemClock


def test_instants_are_aware_utc() -> None:
    """No naive instant leaves a clock."""
    clocks: list[Clock] = [SystemClock(), FakeClock()]
    assert [clock.now().tzinfo for clock in clocks] == [UTC, UTC]


def test_duration_is_immune_to_a_step_of_the_wall_clock() -> None:
    """Setting the wall clock leaves the monotonic clock alone."""
    clock = FakeClock()
    before_s = clock.monotonic()
    clock.set_wall_clock(clock.now() - timedelta(days=1))
    clock.advance(5)
    assert clock.monotonic() - before_s == 5
