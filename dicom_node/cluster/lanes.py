"""Runs attempts side by side, as many as the engine takes."""

import logging
from contextlib import closing
from threading import Event, Lock, Thread

from dicom_node.cluster.engine import RayEngine
from dicom_node.dispatch import Dispatcher
from storage.errors import StorageError
from storage.records import Claim

logger = logging.getLogger(__name__)

_LOOK_INTERVAL_S = 0.5
_REFUSED_WAIT_S = 10


class Lanes:
    """Each lane has one attempt at a time; the lanes take turns to claim, so that only one asks the index."""

    def __init__(self, dispatcher: Dispatcher, engine: RayEngine, stop: Event) -> None:
        """No lane yet."""
        self._dispatcher = dispatcher
        self._engine = engine
        self._stop = stop
        self._turn = Lock()
        self._lanes: list[Thread] = []

    def run(self) -> None:
        """Until told to stop; must run in a thread that outlives the engine's process, such as the main thread."""
        with closing(self._engine):
            while not self._stop.is_set():
                self._engine.tend()
                while len(self._lanes) < self._engine.places:
                    self._open_lane()
                self._stop.wait(_LOOK_INTERVAL_S)
            for lane in self._lanes:
                lane.join()

    def _open_lane(self) -> None:
        number = len(self._lanes)
        lane = Thread(target=self._serve, args=[number], name=f"lane {number}")
        self._lanes.append(lane)
        lane.start()

    def _serve(self, number: int) -> None:
        while not self._stop.is_set():
            if number >= self._engine.places:
                self._stop.wait(_LOOK_INTERVAL_S)
                continue
            try:
                claim = self._claim(number)
                if claim:
                    self._dispatcher.run(claim, self._stop)
            except StorageError as error:
                words = "no attempt is run for %d s: %s"
                logger.error(words, _REFUSED_WAIT_S, error)  # noqa: TRY400  # says what to do
                self._stop.wait(_REFUSED_WAIT_S)

    def _claim(self, number: int) -> Claim | None:
        """The next study; None after a moment when there is none, or where this lane is in want of a place."""
        with self._turn:
            # It may have waited for its turn for longer than the cluster was there.
            if self._stop.is_set() or number >= self._engine.places:
                return None
            claim = self._dispatcher.claim()
            if claim is None:
                self._stop.wait(_LOOK_INTERVAL_S)
            return claim
