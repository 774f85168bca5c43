"""Two `work` processes on one index: one is active, the other stands by."""

import json
import os
import socket
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from threading import Event, Thread

import pytest
from sqlalchemy import select

from builders.clock import FakeClock
from builders.deadline import until
from builders.engines import server_url
from builders.index import build_index, make_ready, received, state_of
from builders.node import NodeProcess
from config.settings import NodeSettings, Settings
from config.storage import StorageSettings
from dicom_node.standby import run_alone
from storage.active import ActiveLock, workers_of
from storage.database import open_engine
from storage.index import Index
from storage.lifecycle import State
from storage.locks import lock_data_dir
from storage.models import Attempt, Outcome
from storage.wake import Topic, WakeUps

pytestmark = pytest.mark.usefixtures("on_postgres")


@pytest.fixture
def lock(tmp_path: Path) -> Iterator[ActiveLock]:
    """Of a first process."""
    made = ActiveLock(server_url(tmp_path), name="first")
    yield made
    made.release()


def test_the_second_takes_over_when_the_first_ends(tmp_path: Path, lock: ActiveLock) -> None:
    """And everybody sees who is active."""
    second, engine = ActiveLock(server_url(tmp_path), name="second"), open_engine(server_url(tmp_path))
    assert lock.take()
    assert not second.take()
    assert [(worker.name, worker.is_active) for worker in workers_of(engine)] == [("first", True), ("second", False)]
    lock.release()
    until(second.take, within_s=10, what="the second becomes active")
    assert [(worker.name, worker.is_active) for worker in workers_of(engine)] == [("second", True)]
    second.release()


def test_who_loses_the_session_knows_it(tmp_path: Path, lock: ActiveLock) -> None:
    """It may be cut by an administrator, a restart, a network."""
    assert lock.take()
    assert lock.is_held()
    with open_engine(server_url(tmp_path)).begin() as connection:
        connection.exec_driver_sql(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'first'"
        )
    assert not lock.is_held()
    assert lock.take()


@pytest.mark.parametrize(
    ("machine", "shown"),
    [("node-a", "node-a"), ("", socket.gethostname()), ("m" * 64, "m" * 30)],
    ids=["named", "not named", "long"],
)
def test_a_work_is_shown_as_its_machine_is_called_in_the_configuration(
    tmp_path: Path, machine: str, shown: str
) -> None:
    """By the host name where it is not; of a name that is too long for the server the process stays."""
    node, storage = NodeSettings(data_dir=tmp_path, machine=machine), StorageSettings(database_url=server_url(tmp_path))
    stop, seen = Event(), list[str]()

    def work(_ends: Event) -> None:
        seen.extend(worker.name for worker in workers_of(open_engine(server_url(tmp_path))))
        stop.set()

    run_alone(Settings(node=node, storage=storage), work, stop=stop, on_standing_by=stop.set)
    (name,) = seen
    assert name.startswith(f"dicom-node work {shown}")
    assert name.endswith(f":{os.getpid()}")


def test_who_waits_for_the_data_folder_says_that_it_lives(
    tmp_path: Path, lock: ActiveLock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that took the session over, and whose folder another one still holds: systemd would end it after 90 s."""
    settings = Settings(
        node=NodeSettings(data_dir=tmp_path), storage=StorageSettings(database_url=server_url(tmp_path))
    )
    stop = Event()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager, lock_data_dir(tmp_path, "work"):
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(10)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        waiting = Thread(
            target=run_alone, args=(settings, Event.wait), kwargs={"stop": stop, "on_standing_by": stop.set}
        )
        waiting.start()
        try:
            assert {manager.recv(1000) for _ in range(3)} == {b"WATCHDOG=1"}
            assert not lock.take()
        finally:
            stop.set()
            waiting.join()


def test_a_ready_study_wakes(tmp_path: Path) -> None:
    """At the commit, by another connection."""
    ready = Event()
    index = build_index(tmp_path, FakeClock())
    index.record_received([received()])
    with WakeUps(open_engine(server_url(tmp_path)), {Topic.READY: ready.set}) as wake_ups:
        assert wake_ups.listens.wait(20)
        until(ready.is_set, within_s=20, what="the first call, for what was missed")
        ready.clear()
        make_ready(index)
        assert ready.wait(20)


def test_two_workers_at_once_claim_each_study_once(tmp_path: Path) -> None:
    """Without taking turns as writers."""
    index = build_index(tmp_path, FakeClock())
    studies = [f"1.2.{number}" for number in range(20)]
    index.record_received([received(study) for study in studies])
    for study in studies:
        make_ready(index, study)
    claimed: list[str] = []

    def work(owner: str) -> None:
        misses = 0
        while misses < 3:
            taken = index.claim_next(owner=owner, lease_s=60)
            misses = 0 if taken else misses + 1
            if taken:
                claimed.append(taken.study_instance_uid)

    threads = [Thread(target=work, args=(f"worker {number}",)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(claimed) == sorted(studies)


def test_listeners_that_receive_the_same_at_once_keep_it_once(tmp_path: Path) -> None:
    """Same patient, studies, series and instances, in other orders; every answer is given."""
    index = build_index(tmp_path, FakeClock())
    studies = [f"1.3.{number}" for number in range(4)]
    batch = [received(study, number) for study in studies for number in (1, 2, 3)]
    answers: list[int] = []

    def listen(turn: int) -> None:
        mine = batch[turn:] + batch[:turn]
        answers.append(len(index.record_received(mine if turn % 2 else mine[::-1])))

    threads = [Thread(target=listen, args=(turn,)) for turn in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [len(batch)] * 6
    for study in studies:
        view = index.study(study)
        assert view
        assert (view.instance_count, len(index.stored_instances(study))) == (3, 3)


@pytest.mark.slow
def test_the_stand_by_finishes_what_a_killed_worker_had(tmp_path: Path) -> None:
    """Exactly once: no study is left, none is finished twice; `status` shows who is active and who stands by."""
    url = server_url(tmp_path)
    studies = [f"1.4.{number}" for number in range(5)]
    first = NodeProcess(folder=tmp_path, parts=("listen", "work"), database_url=url)
    second = NodeProcess(folder=tmp_path, parts=(), database_url=url, port=first.port)
    engine = open_engine(url)

    def active() -> str:
        return next((worker.name for worker in workers_of(engine) if worker.is_active), "")

    with closing(build_index(tmp_path, FakeClock())) as index, first:
        until(active, within_s=60, what="the first is active")
        second.start("work")
        try:
            until(lambda: len(workers_of(engine)) == 2, within_s=60, what="the second stands by")
            shown = json.loads(first.command("status", "--json").stdout)["workers"]
            assert [worker["is_active"] for worker in shown] == [True, False]
            for study in studies:
                # Its file does not exist: every attempt fails, and the last one ends the study.
                index.record_received([received(study)])
                make_ready(index, study)
            first.kill("work")
            until(lambda: active().endswith(f":{second.pid('work')}"), within_s=60, what="the second takes over")
            until(lambda: not _unfinished(index, studies), within_s=200, what="every study ended")
        finally:
            second.stop("work")
    with engine.connect() as connection:
        counted = select(Attempt.study_id).where(Attempt.outcome.in_([Outcome.REFUSED, Outcome.FAILED]))
        finished = connection.execute(counted).scalars().all()
    assert len(finished) == len(set(finished)) == len(studies)


def _unfinished(index: Index, studies: list[str]) -> list[str]:
    ended = {State.SKIPPED, State.PIPELINE_FAILED}
    return [study for study in studies if state_of(index, study) not in ended]
