"""Several processes that receive on one port."""

import os
import queue
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import pysqlite3.dbapi2
import pytest
from pynetdicom.association import Association

from builders.deadline import until
from builders.instances import ct_instance, encoded
from builders.listener import (
    STARTED_WITHIN_S,
    association,
    listener_settings,
    running_listener,
    send,
)
from builders.raw_peer import P_DATA, RawPeer, p_data, status_of, store_command
from builders.receiving_processes import (
    CONTEXTS,
    children_of,
    further_than,
    listener_of_two,
    rest,
    serves,
    sockets_of,
    spread,
)
from config.settings import Settings
from dicom_node.clock import SystemClock
from dicom_node.listen.limits import AssociationPlaces
from dicom_node.listen.process import BEAT_S
from dicom_node.listen.processes import ReceivingProcesses, count_of
from dicom_node.listen.server import run_listener

WITHIN_S = 60.0


@contextmanager
def associations(port: int, count: int) -> Iterator[Sequence[Association]]:
    """Associations that are open at the same time."""
    with ExitStack() as stack:
        yield [stack.enter_context(association(port, CONTEXTS)) for _ in range(count)]


def test_senders_at_the_same_time_are_served_by_all_processes(tmp_path: Path) -> None:
    """Each has its share, and all of one study ends in one index."""
    with listener_of_two(listener_settings(tmp_path)) as (running, child):
        images = [[ct_instance(10 * which + number) for number in range(10)] for which in range(4)]
        openers = [lambda: association(running.port, CONTEXTS)] * 4
        with spread(child, *openers) as opened, ThreadPoolExecutor(4) as senders:
            done = senders.map(lambda one, its: [int(one.send_c_store(image).Status) for image in its], opened, images)
            assert [status for statuses in done for status in statuses] == [0x0000] * 40
        until(lambda: sockets_of(child) == 0, within_s=WITHIN_S, what="its connections are closed")
        assert len(running.stored()) == 40


def test_a_process_that_dies_takes_only_its_own_associations_along(tmp_path: Path) -> None:
    """What was acknowledged is there; another process takes its place."""
    with listener_of_two(listener_settings(tmp_path)) as (running, child):
        known = children_of(os.getpid())
        with spread(child, *[lambda: association(running.port, CONTEXTS)] * 2) as opened:
            assert [one.send_c_store(ct_instance(number)).Status for number, one in enumerate(opened)] == [0, 0]
            os.kill(child, signal.SIGKILL)
            until(lambda: not all(one.is_established for one in opened), within_s=WITHIN_S, what="one is over")
            (left,) = [one for one in opened if one.is_established]
            assert left.send_c_store(ct_instance(7)).Status == 0x0000
        assert send(running.port, ct_instance(8)) == [0x0000]
        until(lambda: further_than(known), within_s=WITHIN_S, what="another one is started")
        (other,) = further_than(known)
        until(lambda: serves(running.port, other), within_s=WITHIN_S, what="the other one serves")
        assert len(running.stored()) == 4


def test_limits_count_the_associations_of_all_processes(tmp_path: Path) -> None:
    """One too many is refused wherever it lands; a place that is given back in one process is free in the other."""
    with listener_of_two(listener_settings(tmp_path, maximum_associations=3)) as (running, _):
        with associations(running.port, 3) as opened:
            assert all(one.is_established for one in opened)
            with association(running.port, CONTEXTS) as one_too_many:
                assert one_too_many.is_rejected
            opened[1].release()
            until(lambda: _is_accepted(running.port), within_s=WITHIN_S, what="the place is free again")
        until(lambda: all(_is_accepted(running.port) for _ in range(3)), within_s=WITHIN_S, what="all places are free")


@pytest.mark.sqlite
def test_an_index_that_somebody_holds_keeps_no_caller_waiting(tmp_path: Path) -> None:
    """For longer than the processes go without writing to it, each of them takes associations."""
    settings = listener_settings(tmp_path, maximum_associations=200, maximum_associations_per_address=200)
    with (
        listener_of_two(settings) as (running, child),
        spread(child, *[lambda: association(running.port, CONTEXTS)] * 2),
        closing(pysqlite3.dbapi2.connect(tmp_path / "index.sqlite", isolation_level=None)) as holder,
    ):
        holder.execute("BEGIN IMMEDIATE")
        ends_at_s = time.monotonic() + 2 * BEAT_S
        while time.monotonic() < ends_at_s:
            with associations(running.port, 2) as opened:
                assert all(one.is_established for one in opened)


def _is_accepted(port: int) -> bool:
    with association(port, CONTEXTS) as opened:
        return opened.is_established


@contextmanager
def _associated(port: int) -> Iterator[RawPeer]:
    with RawPeer(port) as peer:
        peer.associate()
        yield peer


def test_an_object_that_arrives_in_a_further_process_is_finished_before_the_stop(tmp_path: Path) -> None:
    """The listener ends after it."""
    data, ports, stop = encoded(ct_instance()), queue.SimpleQueue[int](), threading.Event()
    settings = listener_settings(tmp_path, processes=2)
    before = children_of(os.getpid())
    with ThreadPoolExecutor(1) as executor:
        ended = executor.submit(run_listener, settings, stop=stop, on_ready=ports.put)
        port = ports.get(timeout=STARTED_WITHIN_S)
        (child,) = further_than(before)
        until(lambda: serves(port, child), within_s=WITHIN_S, what="the further process serves")
        rest(port)
        with spread(child, lambda: association(port, CONTEXTS), lambda: _associated(port)) as (_, peer):
            peer.send(p_data(store_command(str(ct_instance().SOPInstanceUID)), is_command=True, is_last=True))
            peer.send(p_data(data[:100], is_command=False, is_last=False))
            until(lambda: list(tmp_path.glob("incoming/*.part")), within_s=WITHIN_S, what="the object is arriving")
            stop.set()
            peer.send(p_data(data[100:], is_command=False, is_last=True))
            kind, answer = peer.receive_pdu()
            assert (kind, status_of(answer)) == (P_DATA, 0x0000)
            ended.result(timeout=WITHIN_S)
    assert set(children_of(os.getpid())) == set(before)


def test_further_processes_end_with_the_listener(tmp_path: Path) -> None:
    """However it ends; the data folder is free for the next one."""
    script = (
        "import sys, threading\n"
        "from pathlib import Path\n"
        "sys.path.insert(0, sys.argv[2])\n"
        "from builders.listener import listener_settings\n"
        "from dicom_node.listen.server import run_listener\n"
        "settings = listener_settings(Path(sys.argv[1]), processes=3)\n"
        "run_listener(settings, stop=threading.Event(), on_ready=lambda port: print(port, flush=True))\n"
    )
    tests = Path(__file__).resolve().parents[1]
    command = [sys.executable, "-c", script, str(tmp_path), str(tests)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert int(process.stdout.readline())
        children = children_of(process.pid)
        assert len(children) == 2
        process.kill()
        process.wait(WITHIN_S)
    until(lambda: not any(_lives(child) for child in children), within_s=WITHIN_S, what="its processes are gone")
    with running_listener(listener_settings(tmp_path)) as running:
        assert send(running.port, ct_instance()) == [0x0000]


def _lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.parametrize(("asked", "count"), [(1, 1), (5, 5)])
def test_as_many_processes_as_the_configuration_says(asked: int, count: int) -> None:
    """Zero leaves it to the cores."""
    assert count_of(Settings.model_validate({"listen": {"processes": asked}})) == count
    assert 1 <= count_of(Settings()) <= 4


def test_a_configuration_that_cannot_be_handed_on_is_said_and_ends_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A disk that is full or gone; the processes keep what they have."""
    folder = tmp_path / "own"
    folder.mkdir()
    settings = listener_settings(tmp_path)
    processes = ReceivingProcesses(
        settings, AssociationPlaces(total=1, per_address=1), clock=SystemClock(), folder=folder
    )
    shutil.rmtree(folder)
    processes.follow(settings)
    assert "go by the configuration before" in caplog.text
