"""The driver of the cluster, a process beside the worker.

Run as `python -m dicom_node.cluster.driver DESCRIPTOR`, with a socket whose other end the worker has. Lines go each way:

    worker: the plan as JSON, once; then `run FOLDER`, `end FOLDER`
    driver: `places N`, how many attempts it takes at a time; of an attempt `done FOLDER`, the outcome is in the folder if
            there is one, `back FOLDER`, it was not begun, or `refused-CODE FOLDER`, the disk refused (`disk_refusals`)
"""

import logging
import os
import socket
import sys
import time
from contextlib import suppress
from pathlib import Path
from threading import Event, Lock, Thread
from typing import NoReturn, TextIO

from config.settings import LogSettings
from dicom_node.clock import SystemClock
from dicom_node.cluster.attempt import Cluster, run_attempt
from dicom_node.cluster.connect import connect
from dicom_node.cluster.driver_log import PREVIOUS_LOG_NAME
from dicom_node.cluster.errors import ClusterError, UnreachableClusterError
from dicom_node.cluster.gate import ByteGate
from dicom_node.cluster.head import HeadWatch
from dicom_node.cluster.library import RayModule
from dicom_node.cluster.places import cluster_nodes
from dicom_node.cluster.plan import DriverPlan
from dicom_node.cluster.pool import ActorPool
from dicom_node.cluster.said import BACK, REFUSED
from dicom_node.cluster.shelf import PackShelf
from dicom_node.cluster.state import ClusterState
from dicom_node.disk_refusals import refusal_code
from dicom_node.log import setup_logging

logger = logging.getLogger(__name__)

_TEND_INTERVAL_S = 0.5
_CONNECT_AGAIN_S = 5.0
_STATE_INTERVAL_S = 2.0


class Driver:
    """Takes attempts from the worker, tends the actors."""

    def __init__(self, plan: DriverPlan, heard: TextIO, said: TextIO) -> None:
        """Not connected yet.

        Args:
            plan: Of the worker.
            heard: Lines of the worker.
            said: Lines to it.
        """
        self._plan = plan
        self._heard = heard
        self._said = said
        self._saying = Lock()
        self._ended: dict[str, Event] = {}
        self._cluster: Cluster | None = None
        self._places = 0
        self._state_at_s = 0.0

    def listen(self) -> None:
        """Take the worker's lines until it is gone, then end this process at once: it owns all actors."""
        for line in self._heard:
            word, _, folder = line.rstrip("\n").partition(" ")
            if word == "run":
                self._ended[folder] = Event()
                Thread(target=self._run, args=[Path(folder)], daemon=True).start()
            elif folder in self._ended:
                self._ended[folder].set()
        os._exit(0)

    def serve(self) -> NoReturn:
        """Stay connected to the cluster.

        Raises:
            UnreachableClusterError: The connection was lost: only a new process gets another one.
            MissingRayError: The extra is not installed.
        """
        ray = self._connected()
        pool = ActorPool(ray=ray, plan=self._plan)
        gate, head = ByteGate(), HeadWatch()
        self._cluster = Cluster(
            ray=ray, pool=pool, shelf=PackShelf(ray), gate=gate, head=head, time_limit_s=self._plan.time_limit_s
        )
        own_node = ray.get_runtime_context().get_node_id()
        while True:
            asked_at_s = time.monotonic()
            nodes = cluster_nodes(ray.nodes())
            if own_node not in nodes:
                raise UnreachableClusterError
            head.note(asked_at_s=asked_at_s)
            gate.limit_bytes = self._plan.ray.maximum_bytes_in_flight or nodes[own_node].object_store_bytes // 2
            pool.tend(nodes)
            self._offer(pool.ready + self._plan.ray.studies_ahead if pool.ready else 0)
            self._tell(
                ClusterState(
                    at=SystemClock().now(),
                    address=self._plan.ray.address,
                    problem=pool.problem,
                    nodes=tuple(nodes.values()),
                    actors=pool.actors(nodes),
                    bytes_in_flight=gate.held_bytes,
                )
            )
            time.sleep(_TEND_INTERVAL_S)

    def report(self, problem: str) -> None:
        """Leave word that the cluster does nothing, and why."""
        self._state_at_s = 0.0
        self._tell(ClusterState(at=SystemClock().now(), address=self._plan.ray.address, problem=problem))

    def _connected(self) -> RayModule:
        while True:
            try:
                return connect(self._plan.ray)
            except UnreachableClusterError as error:
                self.report(error.reason)
                time.sleep(_CONNECT_AGAIN_S)

    def _run(self, folder: Path) -> None:
        """Do one attempt; whatever becomes of it, the worker is told."""
        ended, word = self._ended[str(folder)], BACK
        try:
            if self._cluster:
                word = "done"
                run_attempt(self._cluster, folder, is_wanted=lambda: not ended.is_set())
        except OSError as error:
            if not refusal_code(error):
                raise
            word = f"{REFUSED}{refusal_code(error)}"
        finally:
            del self._ended[str(folder)]
            self._say(f"{word} {folder}")

    def _offer(self, places: int) -> None:
        if places != self._places:
            self._places = places
            self._say(f"places {places}")

    def _tell(self, state: ClusterState) -> None:
        if time.monotonic() - self._state_at_s >= _STATE_INTERVAL_S:
            self._state_at_s = time.monotonic()
            state.write(self._plan.data_dir)

    def _say(self, line: str) -> None:
        with self._saying:
            self._said.write(f"{line}\n")
            self._said.flush()


def main() -> None:
    """Be the driver at the other end of the socket named on the command line."""
    setup_logging(LogSettings())
    stream = socket.socket(fileno=int(sys.argv[1]))
    reading = stream.makefile("r", encoding="utf-8")
    plan = DriverPlan.from_json(reading.readline())
    driver = Driver(plan, reading, stream.makefile("w", encoding="utf-8"))
    Thread(target=driver.listen, name="worker", daemon=True).start()
    problem = _why_it_ends(driver)
    with suppress(OSError):
        driver.report(problem)
    # Ray's own end may wait for a cluster that is gone.
    os._exit(1)


def _why_it_ends(driver: Driver) -> str:
    """Serve, until that is at its end."""
    try:
        driver.serve()
    except ClusterError as error:
        logger.error("%s", error.reason)  # noqa: TRY400  # says what to do
        return error.reason
    except Exception as defect:
        logger.exception("the driver ended in an unexpected error")
        return f"its driver ended in an unexpected {type(defect).__name__}: see {PREVIOUS_LOG_NAME} in the data folder"


if __name__ == "__main__":
    main()
