"""The index is kept informed of the listener for as long as that runs."""

from dataclasses import dataclass, field
from pathlib import Path
from queue import SimpleQueue
from typing import Any, cast

import pytest

from builders.clock import FakeClock
from builders.deadline import until
from builders.index import build_index
from config.settings import NodeSettings, Settings
from dicom_node.listen.enduring import do_each
from dicom_node.listen.informing import Informer
from dicom_node.settings_file import SettingsFile

_WITHIN_S = 20


@dataclass(slots=True)
class FailingOnce:
    """Services whose first call ends in what nobody foresaw."""

    calls: SimpleQueue[int] = field(default_factory=SimpleQueue)
    count: int = 0

    def inform_index(self) -> None:
        """Count the call."""
        self.count += 1
        self.calls.put(self.count)
        if self.count == 1:
            raise ZeroDivisionError


def test_the_thread_that_informs_the_index_survives_what_nobody_foresaw(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Else the node is never ready again; the sign of life is left all the same, and the log has it."""
    index, services = build_index(tmp_path, FakeClock()), FailingOnce()
    file = SettingsFile(None, Settings(node=NodeSettings(data_dir=tmp_path)))
    informer = Informer(file, index, cast("Any", services))
    with informer.running():
        informer.note_answer()
        assert services.calls.get(timeout=_WITHIN_S) == 1
        until(index.heartbeats, within_s=_WITHIN_S, what="a sign of life")
        informer.note_answer()
        assert services.calls.get(timeout=_WITHIN_S) == 2
    assert "ZeroDivisionError" in caplog.text


def test_each_duty_is_done_whatever_the_one_before_met() -> None:
    """One is not at fault for another."""
    done: list[str] = []
    do_each(lambda: done.append("one"), lambda: [].pop(), lambda: done.append("three"))
    assert done == ["one", "three"]
