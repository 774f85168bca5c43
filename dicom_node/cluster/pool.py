"""The actors of a node in its cluster: started, watched, lent to attempts one at a time."""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from threading import Condition
from typing import Any

from dicom_node.cluster.library import RayModule
from dicom_node.cluster.places import Room, room_in
from dicom_node.cluster.plan import DriverPlan
from dicom_node.cluster.records import ActorFacts, ActorPlan
from dicom_node.cluster.shell import ActorShell
from dicom_node.cluster.state import ClusterActor, ClusterNode
from dicom_node.cluster.versions import DISTRIBUTION, differences, own_versions
from dicom_node.job_records import JobProgress

logger = logging.getLogger(__name__)

_ANSWER_WITHIN_S = 10.0
_START_AGAIN_S = 20.0
_LOOK_GROUP = "look"


@dataclass(slots=True, kw_only=True, eq=False)
class Member:
    """An actor."""

    handle: Any
    device: str
    hello: Any
    """Its facts to come."""
    facts: ActorFacts | None = None
    """None while it starts."""
    attempt: str = ""
    """Number of the attempt that has it."""
    progress: JobProgress | None = None
    look: Any = None
    """Its progress to come."""

    @property
    def is_idle(self) -> bool:
        """Whether it can take an attempt."""
        return self.facts is not None and not self.attempt


@dataclass(slots=True, kw_only=True)
class ActorPool:
    """The actors; `tend` is called again and again by one thread, the rest by any."""

    ray: RayModule
    plan: DriverPlan
    problem: str = ""
    """What keeps actors from coming up."""
    _members: list[Member] = field(default_factory=list)
    _waiting: list[object] = field(default_factory=list)
    _turn: Condition = field(default_factory=Condition)
    _start_again_at_s: float = 0.0

    @property
    def ready(self) -> int:
        """How many actors are up."""
        with self._turn:
            return sum(1 for member in self._members if member.facts)

    def tend(self, nodes: dict[str, ClusterNode]) -> None:
        """Admit those that came up, drop those that are gone, start those that there is room for.

        Args:
            nodes: The machines that are up, by their IDs.
        """
        room = room_in(nodes.values(), self.plan.ray, device=self.plan.device)
        with self._turn:
            for member in tuple(self._members):
                self._look_after(member, nodes)
            self._fit(room)
            self._turn.notify_all()

    def take(self, attempt: str, *, is_wanted: Callable[[], bool]) -> Member | None:
        """The next free actor, in the order in which it was asked for; it answered a moment ago.

        Args:
            attempt: Who takes it.
            is_wanted: Asked a few times a second while it waits.

        Returns:
            None when it is wanted no longer.
        """
        ticket = object()
        with self._turn:
            self._waiting.append(ticket)
        try:
            while is_wanted():
                member = self._next(ticket, attempt)
                if member and self._answers(member):
                    return member
                if member:
                    self.give_back(member, is_sound=False)
        finally:
            with self._turn:
                self._waiting.remove(ticket)
                self._turn.notify_all()
        return None

    def give_back(self, member: Member, *, is_sound: bool) -> None:
        """End the loan; an actor that is not sound is ended, and another one is started in its place."""
        with self._turn:
            member.attempt, member.progress = "", None
            if not is_sound:
                self._drop(member)
            self._turn.notify_all()

    def actors(self, nodes: dict[str, ClusterNode]) -> tuple[ClusterActor, ...]:
        """What each of them does."""
        with self._turn:
            return tuple(_shown(member, nodes) for member in self._members)

    def _next(self, ticket: object, attempt: str) -> Member | None:
        with self._turn:
            free = next((member for member in self._members if member.is_idle), None)
            if free is None or self._waiting[0] is not ticket:
                self._turn.wait(0.2)
                return None
            free.attempt = attempt
            return free

    def _answers(self, member: Member) -> bool:
        """Whether it is alive: an attempt must not fail for an actor that died while it was idle."""
        try:
            self.ray.get(self._ask_progress(member), timeout=_ANSWER_WITHIN_S)
        except self.ray.exceptions.RayError:
            logger.warning("an idle actor was lost")
            return False
        return True

    def _ask_progress(self, member: Member) -> Any:
        return member.handle.progress.options(concurrency_group=_LOOK_GROUP).remote()

    def _look_after(self, member: Member, nodes: dict[str, ClusterNode]) -> None:
        """See what a member says; one that is lent is dropped by its attempt alone."""
        if member.facts is None:
            self._admit(member)
            return
        if member.facts.node_id not in nodes and not member.attempt:
            self._drop(member)
            return
        if member.look is None:
            member.look = self._ask_progress(member)
        if self._is_here(member.look):
            try:
                progress = self.ray.get(member.look)
                member.progress = progress if member.attempt else None
            except self.ray.exceptions.RayError:
                if not member.attempt:
                    self._drop(member)
            member.look = None

    def _admit(self, member: Member) -> None:
        """Take in an actor that came up, unless its machine has another dicom-node."""
        if not self._is_here(member.hello):
            return
        try:
            facts: ActorFacts = self.ray.get(member.hello)
        except self.ray.exceptions.RayError as error:
            self._refuse(member, f"an actor could not start ({_first_line(error)}): is dicom-node installed there?")
            return
        own = own_versions()
        if facts.versions[DISTRIBUTION] != own[DISTRIBUTION]:
            words = differences(own, facts.versions)
            self._refuse(member, f"a machine of the cluster has {words}: install the same there")
            return
        member.facts = facts
        self.problem = ""

    def _refuse(self, member: Member, problem: str) -> None:
        """Drop an actor that never came up, and wait a while before the next."""
        logger.error("%s", problem)
        self.problem = problem
        self._start_again_at_s = time.monotonic() + _START_AGAIN_S
        self._drop(member)

    def _fit(self, room: Room) -> None:
        """As many actors as there is room for; of more, those that are not up yet go."""
        if room.problem:
            self.problem = room.problem
        starting = [member for member in self._members if member.facts is None]
        for member in starting[: max(0, len(self._members) - room.count)]:
            self._drop(member)
        if time.monotonic() < self._start_again_at_s:
            return
        for _ in range(room.count - len(self._members)):
            self._members.append(self._start(room.device))

    def _start(self, device: str) -> Member:
        share = self.plan.ray.cpus_per_actor
        needs = {"num_gpus": 1, "num_cpus": 0} if device == "cuda" else {"num_cpus": share}
        remote_class = self.ray.remote(max_restarts=0, max_task_retries=0, concurrency_groups={_LOOK_GROUP: 1})(
            ActorShell
        )
        environment = {"OMP_NUM_THREADS": str(share)}
        handle = remote_class.options(runtime_env={"env_vars": environment}, **needs).remote(
            self.plan.actor, ActorPlan(threads=share, memory_limit_bytes=self.plan.memory_limit_bytes)
        )
        return Member(handle=handle, device=device, hello=handle.facts.remote())

    def _drop(self, member: Member) -> None:
        """End an actor, if it still runs."""
        if member in self._members:
            self._members.remove(member)
            self.ray.kill(member.handle, no_restart=True)

    def _is_here(self, reference: Any) -> bool:
        """Whether an answer came, be it an error."""
        done, _ = self.ray.wait([reference], timeout=0)
        return bool(done)


def _first_line(error: Exception) -> str:
    """What Ray says, without the traceback: the type of what was raised, nothing that it quotes."""
    cause = getattr(error, "cause", None)
    return type(cause or error).__name__


def _shown(member: Member, nodes: dict[str, ClusterNode]) -> ClusterActor:
    node = nodes.get(member.facts.node_id) if member.facts else None
    doing = f"attempt {member.attempt}" if member.attempt else "idle" if member.facts else "starting"
    return ClusterActor(
        node=node.address if node else "",
        device=member.device,
        doing=doing,
        stage=member.progress.stage if member.progress else "",
        fraction=member.progress.fraction if member.progress else 0.0,
    )
