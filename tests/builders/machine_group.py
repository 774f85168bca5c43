"""Two machines on one PostgreSQL and one data folder, a Ray cluster that analyses, senders, and kills."""

import os
import random
import signal
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

from pydicom.dataset import Dataset

from builders.ct_series import CtSeries, ct_images
from builders.deadline import until
from builders.ledger_scp import LedgerScp, ledger_scp
from builders.master_check import Checked, master_check
from builders.node import NodeProcess
from builders.postgres import running_server
from builders.ray_cluster import RayCluster
from builders.sender_ledger import SenderLedger
from storage.index import Index
from storage.lifecycle import State

RAY_MACHINES = 3
_STUDIES_ON_THE_WAY = 24
"""Senders wait for results where more than so many are not delivered, as a department does not send all its day at once."""
_OFF_FOR_S = 3.0
"""Between a kill and the start that systemd would make."""
_QUIET_S = 40.0
"""Longer than a sender takes to see that its listener is gone: half of a study is not taken for the whole."""
_DELIVERED_WITHIN_S = 600
_ENDED_BADLY = frozenset({State.SKIPPED, State.PIPELINE_FAILED, State.DELIVERY_FAILED})
KINDS = ("listener", "Ray node", "actor", "active work")


class GroupMachine(NodeProcess):
    """A machine of the group: listener, and a worker that is active or stands by."""

    ray_address = ""

    def start_again(self, part: str) -> None:
        """As systemd does."""
        self.start(part)
        if part == "listen":
            self.wait_until_it_listens()

    def is_among(self, workers: Sequence[str]) -> bool:
        """Whether its work is among these, each with its process ID behind a colon."""
        return "work" in self._running and any(name.endswith(f":{self.pid('work')}") for name in workers)

    def _configuration(self) -> str:
        ray = f'engine = "ray"\n[ray]\naddress = "{self.ray_address}"\ncpus_per_actor = 1\n'
        return super()._configuration().replace('device = "cpu"\n', f'device = "cpu"\n{ray}')


@dataclass(slots=True, kw_only=True)
class MachineGroup:
    """Everything that runs, what was sent, and a log of what was done to it."""

    machines: Sequence[GroupMachine]
    index: Index
    cluster: RayCluster
    pacs: LedgerScp
    sent: SenderLedger = field(default_factory=SenderLedger)
    log: list[str] = field(default_factory=list)
    began_at_s: float = field(default_factory=time.monotonic)
    resent: Counter[str] = field(default_factory=Counter)
    """Objects that a sender sent once more, by study."""

    def say(self, what: str) -> None:
        """Into the log, with the seconds since the beginning."""
        self.log.append(f"{time.monotonic() - self.began_at_s:7.1f} s  {what}")

    def states(self) -> Counter[State]:
        """Studies in each state."""
        return Counter({state: number for state, number in self.index.counts_by_state().items() if number})

    def send_study(self, uid: str) -> None:
        """Half to each machine at the same time; what one does not take goes to the other."""
        images = study_of(uid)
        with ThreadPoolExecutor(2) as senders:
            halves = [senders.submit(self._send, uid, images[half::2], first=half) for half in range(2)]
            for half in halves:
                half.result()

    def _send(self, uid: str, images: Sequence[Dataset], *, first: int) -> None:
        left = list(images)
        for attempt in count():
            machine = self.machines[(first + attempt) % len(self.machines)]
            try:
                left = self.sent.send(machine.port, left)
            except (AssertionError, OSError, RuntimeError):
                # Nobody listens: the load balancer gives the next association to another machine.
                time.sleep(0.2)
            if not left:
                return
            assert attempt < 100, f"{uid}: {len(left)} images were not taken"
            self.resent[uid] += 1

    def kill(self, kind: str, chance: random.Random) -> None:
        """Kill one of a kind, at random, and start it again."""
        if kind == "listener":
            machine = chance.choice(self.machines)
            machine.kill("listen")
            self.say(f"killed the listener of {machine.machine}")
            time.sleep(_OFF_FOR_S)
            machine.start_again("listen")
        elif kind == "active work":
            machine = self._active()
            machine.kill("work")
            self.say(f"killed the active work, on {machine.machine}")
            until(lambda: self._active() is not machine, within_s=60, what="the stand-by is active")
            self.say(f"the work on {self._active().machine} is active")
            machine.start_again("work")
        elif kind == "Ray node":
            number = chance.randrange(RAY_MACHINES)
            self.cluster.kill(f"node {number}")
            self.say(f"killed node {number} of the Ray cluster")
            time.sleep(_OFF_FOR_S)
            self.cluster.start_node(number)
        else:
            pid = until(lambda: self._an_actor(chance), within_s=120, what="an actor runs")
            os.kill(pid, signal.SIGKILL)
            self.say("killed an actor")

    def wait_until_delivered(self, uids: Sequence[str]) -> None:
        """Return when the result of every study is delivered."""

        def are_delivered() -> bool:
            states = self.states()
            assert not _ENDED_BADLY & states.keys(), states
            return states[State.DELIVERED] >= len(uids)

        until(are_delivered, within_s=_DELIVERED_WITHIN_S, what="all studies are delivered")

    def check(self, uids: Sequence[str]) -> Checked:
        """Nothing is lost, no study has two results, the PACS has each object with the same bytes however often it came."""
        node = self.machines[0]
        checked = master_check(node.data_dir, self.sent, self.pacs, database_url=node.database_url)
        views = [self.index.study(uid) for uid in uids]
        assert [view.state for view in views if view] == [State.DELIVERED] * len(uids)
        assert {view.revision for view in views if view} == {1}
        assert checked.studies_delivered == len(uids)
        return checked

    def repeats(self) -> int:
        """How many result objects the PACS took more than once, each time with the same bytes."""
        times = Counter(arrival.sop_instance_uid for arrival in self.pacs.arrivals)
        return sum(one > 1 for one in times.values())

    def _active(self) -> GroupMachine:
        """Whose work is active."""

        def look() -> GroupMachine | None:
            active = [worker.name for worker in self.index.workers() if worker.is_active]
            return next((one for one in self.machines if one.is_among(active)), None)

        return until(look, within_s=60, what="a work is active")

    def _an_actor(self, chance: random.Random) -> int | None:
        pids = [pid for number in range(RAY_MACHINES) for pid in self.cluster.actor_pids(f"node {number}")]
        return chance.choice(pids) if pids else None


@contextmanager
def machine_group(folder: Path) -> Iterator[MachineGroup]:
    """Start everything; it runs as long as the block lasts."""
    with ExitStack() as stack:
        database_url = stack.enter_context(running_server()).url
        pacs = stack.enter_context(ledger_scp())
        cluster = stack.enter_context(RayCluster(nodes=RAY_MACHINES))
        machines = []
        for name in ("one", "two"):
            own = folder / name
            own.mkdir()
            machine = GroupMachine(
                folder=own,
                destinations=[pacs.destination],
                parts=("listen", "work"),
                quiet_period_s=_QUIET_S,
                evidence=False,
                database_url=database_url,
                machine=name,
                shared_dir=folder / "data",
            )
            machine.ray_address = cluster.address
            machines.append(stack.enter_context(machine))
        index = stack.enter_context(closing(machines[0].index()))
        yield MachineGroup(machines=machines, index=index, cluster=cluster, pacs=pacs)


def run_with_kills(group: MachineGroup, *, studies: int, kills: Sequence[str], seed: int) -> Checked:
    """Send studies, kill meanwhile, wait for all results, look at everything.

    Args:
        group: That runs.
        studies: How many.
        kills: Of which kinds, in order; each when so many studies are delivered that they are spread over the run.
        seed: For which process of a kind dies, and when.
    """
    chance = random.Random(seed)  # repeatable, hides nothing
    uids = [f"1.2.826.0.1.3680043.8.498.{seed}.{number}" for number in range(studies)]
    group.say(f"{studies} studies, half of each to each machine")
    due = sorted(chance.randrange(studies) for _ in kills)

    def send() -> None:
        for number, uid in enumerate(uids):
            until(
                lambda number=number: number - group.states()[State.DELIVERED] < _STUDIES_ON_THE_WAY,
                within_s=_DELIVERED_WITHIN_S,
                what="room for a further study",
            )
            group.send_study(uid)

    with ThreadPoolExecutor(1) as sender:
        sending = sender.submit(send)
        for kind, after in zip(kills, due, strict=True):
            until(
                lambda after=after: group.states()[State.DELIVERED] >= after,
                within_s=_DELIVERED_WITHIN_S * 4,
                what=f"{after} studies are delivered",
            )
            time.sleep(chance.uniform(0.0, 4.0))
            group.kill(kind, chance)
        sending.result()
    group.wait_until_delivered(uids)
    checked = group.check(uids)
    group.say(
        f"{checked.studies_delivered} studies delivered, {checked.objects} images found, {checked.result_objects} objects "
        f"of results in the PACS, {group.repeats()} of them came twice with the same bytes"
    )
    return checked


def study_of(uid: str) -> list[Dataset]:
    """Images of plain shapes, of a patient of its own."""
    images = ct_images(CtSeries(study_uid=uid, uid=f"{uid}.1"))
    for image in images:
        image.PatientID = uid.rpartition("498.")[2]
    return list(images)
