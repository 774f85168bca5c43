"""A real node in processes of its own."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

from builders.deadline import until
from builders.engines import server_url
from builders.forked import ForkedProcess, run_forked, start_forked
from builders.ports import free_port
from builders.program_server import QUICK_WORKER, TESTS
from config import Peer, load_settings
from dicom_node.index import open_index
from storage.index import Index
from storage.lifecycle import State
from storage.records import StudyView

Value = TypeVar("Value")
AE_TITLE = "TESTNODE"
_STOP_WITHIN_S = 60
_FOUND_IN = os.pathsep.join((str(TESTS.parent), str(TESTS)))
"""Packages of the node and of the tests."""
_ON_THE_WAY = frozenset(
    {State.RECEIVING, State.WAITING_FOR_PRIORS, State.READY, State.PROCESSING, State.PROCESSED, State.SENDING}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Destination:
    """Where the node sends its results."""

    name: str
    ae_title: str
    port: int
    query_retrieve: str = "none"
    """How the node gets earlier studies from it: move, get or none."""


@dataclass(slots=True, kw_only=True)
class NodeProcess:
    """A node with its own data folder and port; `parts` are the commands it consists of.

    `("run",)` is one machine's node, `("listen", "work")` are the two services as systemd starts them.
    """

    folder: Path
    destinations: Sequence[Destination] = ()
    parts: Sequence[str] = ("run",)
    quiet_period_s: float = 2.0
    sweep_interval_s: float = 0.2
    evidence: bool = True
    """Whether slices and released associations count as evidence of completeness."""
    count_peer: str = ""
    """Destination that is asked how many images it has."""
    more_configuration: str = ""
    """Blocks behind the peers, as TOML."""
    database_url: str = ""
    """Where its index is; empty: as the run of the tests says, by itself a file in its data folder."""
    machine: str = ""
    """Its name among several machines that share `shared_dir`."""
    shared_dir: Path | None = None
    """Data folder of all of them; None where it has one of its own."""
    by_interpreter: bool = False
    """Whether each part has an interpreter of its own, as services have: for who measures its start or its memory."""
    port: int = field(default_factory=free_port)
    _running: dict[str, ForkedProcess | subprocess.Popen[bytes]] = field(default_factory=dict)

    @property
    def config_path(self) -> Path:
        """Its configuration file."""
        return self.folder / "node.toml"

    @property
    def data_dir(self) -> Path:
        """Its data folder, of its own or shared."""
        return self.shared_dir or self.folder / "data"

    def __enter__(self) -> Self:
        """Write the configuration, start every part, wait until it takes associations."""
        self.data_dir.mkdir(parents=True, exist_ok=True)
        self.config_path.write_text(self._configuration())
        try:
            for part in self.parts:
                self.start(part)
            if self.parts:
                self.wait_until_it_listens()
        except BaseException:
            self._stop_all()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop every part, the last started first."""
        self._stop_all()

    def start(self, part: str) -> None:
        """Start one part."""
        self._launch(part)

    def pid(self, part: str) -> int:
        """Process ID of a part."""
        return self._running[part].pid

    def stop(self, part: str) -> int:
        """End one part as systemd would; returns its exit code."""
        process = self._running.pop(part)
        process.terminate()
        try:
            return process.wait(timeout=_STOP_WITHIN_S)
        except subprocess.TimeoutExpired:
            process.kill()
            raise

    def kill(self, part: str) -> None:
        """End one part by SIGKILL, without warning."""
        process = self._running.pop(part)
        process.send_signal(signal.SIGKILL)
        process.wait(timeout=_STOP_WITHIN_S)

    def wait_until_it_listens(self) -> None:
        """Return once the listener takes connections."""
        until(self._listens, within_s=60, what=f"the node listens; see {self.folder / 'listen.log'}")

    def command(self, *arguments: str, exit_code: int = 0) -> subprocess.CompletedProcess[str]:
        """Run a command of the node's command line against it; fails when it ends otherwise than expected."""
        done = run_dicom_node("--config", str(self.config_path), *arguments)
        assert done.returncode == exit_code, done.stderr
        return done

    def index(self) -> Index:
        """Its index, opened beside it."""
        return open_index(load_settings(self.config_path))

    def study(self, study_instance_uid: str) -> StudyView | None:
        """The study as its index has it; None while it is unknown."""
        with closing(self.index()) as index:
            return index.study(study_instance_uid)

    def wait_for(self, study_instance_uid: str, state: State, *, within_s: float) -> StudyView:
        """The study once it is in a state; fails as soon as it ends in another one."""

        def look(view: StudyView | None) -> StudyView | None:
            assert view is None or view.state in {state, *_ON_THE_WAY}, f"{view.state}: {view.reason}"
            return view if view and view.state is state else None

        return self.watch(study_instance_uid, look, within_s=within_s, what=f"study {state}")

    def watch(
        self,
        study_instance_uid: str,
        look: Callable[[StudyView | None], Value | None],
        *,
        within_s: float,
        what: str,
    ) -> Value:
        """The first true answer of `look` about a study; fails, naming `what`, when the deadline passes first."""
        # Opened once for all looks: most of a look's time is the opening.
        with closing(self.index()) as index:
            return until(
                lambda: look(index.study(study_instance_uid)),
                within_s=within_s,
                what=f"{what}; see the logs in {self.folder}",
            )

    def _launch(self, part: str, environment: Mapping[str, str] | None = None, *, is_quick: bool = False) -> None:
        arguments = ("--config", str(self.config_path), part)
        with (self.folder / f"{part}.log").open("ab") as log:
            if self.by_interpreter:
                program = [str(QUICK_WORKER)] if is_quick else ["-m", "dicom_node"]
                environment = {**(os.environ if environment is None else environment), "PYTHONPATH": _FOUND_IN}
                command = [sys.executable, *program, *arguments]
                self._running[part] = subprocess.Popen(command, stdout=log, stderr=log, env=environment)
            else:
                outputs = (log.fileno(), log.fileno())
                self._running[part] = start_forked(
                    *arguments, outputs=outputs, environment=environment, is_quick=is_quick
                )

    def _stop_all(self) -> None:
        for part in reversed(list(self._running)):
            self.stop(part)

    def _listens(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
        except OSError:
            ended = [part for part, process in self._running.items() if process.poll() is not None]
            assert not ended, f"{ended} ended early: {[(self.folder / f'{part}.log').read_text() for part in ended]}"
            return False
        return True

    def _configuration(self) -> str:
        database_url = self.database_url or server_url(self.data_dir)
        tables = [
            f'[node]\nae_title = "{AE_TITLE}"\ndata_dir = "{self.data_dir}"\nmachine = "{self.machine}"',
            f"[listen]\nport = {self.port}\naccept_unknown_callers = true",
            f'[storage]\nfree_floor_bytes = 0\ndatabase_url = "{database_url}"\nshared = {_toml(bool(self.machine))}',
            f"[completeness]\nquiet_period_s = {self.quiet_period_s}\nsweep_interval_s = {self.sweep_interval_s}"
            f"\nslice_positions = {_toml(self.evidence)}\nassociation_release = {_toml(self.evidence)}"
            f'\ncount_peer = "{self.count_peer}"',
            '[pipeline]\ndevice = "cpu"',
            "[outbox]\nfirst_retry_s = 0.5\nmaximum_retry_s = 2.0",
            *(_peer(destination) for destination in self.destinations),
            self.more_configuration,
        ]
        return "\n\n".join(tables) + "\n"


def node_peer(node: NodeProcess) -> Peer:
    """The node as a sender sees it."""
    return Peer(name="node", ae_title=AE_TITLE, host="127.0.0.1", port=node.port)


def run_dicom_node(*arguments: str, timeout_s: float = 300) -> subprocess.CompletedProcess[str]:
    """Run the command line in a process of its own to its end."""
    return run_forked(*arguments, timeout_s=timeout_s)


def _toml(value: bool) -> str:
    return "true" if value else "false"


def _peer(destination: Destination) -> str:
    return (
        f'[[peers]]\nname = "{destination.name}"\nae_title = "{destination.ae_title}"\nhost = "127.0.0.1"\n'
        f"port = {destination.port}\nreceives_results = true\n"
        f'query_retrieve = "{destination.query_retrieve}"'
    )
