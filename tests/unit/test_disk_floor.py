"""The floor of free space below which no association is taken."""

import pytest

from config.storage import StorageSettings
from dicom_node.listen.disk_floor import DiskFloor
from storage.errors import DiskFailedError


def decisions(*free_bytes: int, floor: int = 100, margin: int = 10) -> list[bool]:
    """Whether the disk was low at each look."""
    seen = iter(free_bytes)
    storage = StorageSettings(free_floor_bytes=floor, association_margin_bytes=margin)
    disk = DiskFloor(storage, lambda: next(seen))
    return [disk.is_low() for _ in free_bytes]


def test_low_disk_stays_low_until_there_is_twice_the_margin() -> None:
    """Otherwise the node would refuse and take in turns."""
    assert decisions(111, 110, 109, 115, 119, 120, 115, 110, 109) == [
        *(False, False, True, True, True, False, False, False, True)
    ]


def test_without_a_floor_nothing_is_refused() -> None:
    """Zero switches it off."""
    assert decisions(0, floor=0) == [False]


def test_disk_that_cannot_be_asked_takes_nothing() -> None:
    """What cannot be looked at cannot be promised."""

    def broken() -> int:
        raise DiskFailedError("EIO")

    assert DiskFloor(StorageSettings(), broken).is_low()


def test_change_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    """Not with every caller."""
    with caplog.at_level("WARNING"):
        decisions(109, 109, 120, 120)
    assert [record.levelname for record in caplog.records] == ["ERROR", "WARNING"]
