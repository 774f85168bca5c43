"""A real node beside the model: what it needs for a study alone, then many of them, and what the model foretells."""

import random
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pydicom.dataset import Dataset
from scaling_model import SimulatedStudy, Station, run_through

from builders.ct_series import CtSeries, ct_images
from builders.faulty_node import FaultyNode
from builders.listener import send
from builders.node import AE_TITLE
from storage.lifecycle import Event, State
from storage.records import StudyView

SMALLEST, LARGEST = 20, 140
"""Images of a study, 128 x 128."""
_WITHIN_S = 600


@dataclass(frozen=True, slots=True, kw_only=True)
class Costs:
    """Seconds of a study that is alone, as lines over its number of images; the rule of completeness does not depend on it."""

    receive_s: tuple[float, float]
    """At no image, for each image."""
    complete_s: float
    analyse_s: tuple[float, float]

    def stations(self, studies: int) -> list[Station]:
        """The machine: one study is received and one analysed at a time; waiting takes no server."""
        return [
            Station(name="listener", servers=1, seconds=lambda one: _on_line(self.receive_s, one.images)),
            Station(name="completeness", servers=studies, seconds=lambda _: self.complete_s),
            Station(name="engine", servers=1, seconds=lambda one: _on_line(self.analyse_s, one.images)),
        ]


@contextmanager
def node_alone(solo: int) -> Iterator[tuple[FaultyNode, Costs]]:
    """A node with its costs, from so many studies of the smallest and of the largest size, one after the other."""
    with (
        tempfile.TemporaryDirectory() as folder,
        FaultyNode(folder=Path(folder), parts=("listen", "work"), quiet_period_s=1.0, by_interpreter=True) as node,
    ):
        # The first one finds nothing in any cache.
        _take_alone(node, "1.2.5.1.0", SMALLEST)
        small = [_take_alone(node, f"1.2.5.1.{number}", SMALLEST) for number in range(1, solo + 1)]
        large = [_take_alone(node, f"1.2.5.2.{number}", LARGEST) for number in range(1, solo + 1)]
        yield (
            node,
            Costs(
                receive_s=_line([one[0] for one in small], [one[0] for one in large]),
                complete_s=statistics.median(one[1] for one in (*small, *large)),
                analyse_s=_line([one[2] for one in small], [one[2] for one in large]),
            ),
        )


def burst_beside_model(node: FaultyNode, costs: Costs, count: int) -> dict[str, float]:
    """Studies of the middle size that come back to back: seconds until the last one is analysed."""
    images = (SMALLEST + LARGEST) // 2
    arrivals = [SimulatedStudy(at_s=0.0, images=images)] * count
    foretold = run_through(arrivals, costs.stations(count), random.Random(1)).last_end_s
    # One after the other, as the model has them come.
    prepared = [_study(f"1.2.5.3.{number}", images) for number in range(count)]
    began_s = time.time()
    for study in prepared:
        _send(node, study)
    ends = [_seconds_to_result(node, f"1.2.5.3.{number}", since_s=began_s) for number in range(count)]
    return _beside({"whole_s": max(ends)}, {"whole_s": foretold}, studies=count)


def stream_beside_model(node: FaultyNode, costs: Costs, count: int, *, load: float) -> dict[str, float]:
    """Studies of all sizes that come at random: seconds from the first image to the result.

    Args:
        node: At rest.
        costs: Of it.
        count: Of studies.
        load: Share of the engine's time that they need.
    """
    chance = random.Random(5)
    sizes = [chance.randint(SMALLEST, LARGEST) for _ in range(count)]
    between_s = statistics.mean(_on_line(costs.analyse_s, images) for images in sizes) / load
    at_s = 0.0
    arrivals = []
    for images in sizes:
        arrivals.append(SimulatedStudy(at_s=at_s, images=images))
        at_s += chance.expovariate(1 / between_s)
    foretold = run_through(arrivals, costs.stations(count), random.Random(1)).waits_s
    measured = _stream(node, arrivals, uid=f"1.2.5.4.{round(100 * load)}")
    return _beside(_told(measured), _told(foretold), studies=count, load=load)


def _stream(node: FaultyNode, arrivals: Sequence[SimulatedStudy], *, uid: str) -> list[float]:
    prepared = [_study(f"{uid}.{number}", one.images) for number, one in enumerate(arrivals)]
    began_s = time.time()
    with ThreadPoolExecutor(len(arrivals)) as senders:
        for study, arrival in zip(prepared, arrivals, strict=True):
            time.sleep(max(0.0, began_s + arrival.at_s - time.time()))
            senders.submit(_send, node, study)
    return [
        _seconds_to_result(node, f"{uid}.{number}", since_s=began_s + arrival.at_s)
        for number, arrival in enumerate(arrivals)
    ]


def _told(waits_s: Sequence[float]) -> dict[str, float]:
    return {"mean_s": statistics.mean(waits_s), "median_s": statistics.median(waits_s), "longest_s": max(waits_s)}


def _beside(measured: dict[str, float], foretold: dict[str, float], **about: float) -> dict[str, float]:
    found = dict(about)
    for name, value in measured.items():
        found[f"measured_{name}"] = round(value, 2)
        found[f"foretold_{name}"] = round(foretold[name], 2)
        found[f"foretold_over_measured_{name}"] = round(foretold[name] / value, 2)
    return found


def _take_alone(node: FaultyNode, uid: str, images: int) -> tuple[float, float, float]:
    """Seconds to receive a study, from its last image to the claim, to analyse it."""
    study = _study(uid, images)
    began_s = time.monotonic()
    _send(node, study)
    received_s = time.monotonic() - began_s
    view = _result_of(node, uid)
    claimed_at, ended_at = _at(view, Event.CLAIMED), _at(view, Event.ATTEMPT_SUCCEEDED)
    return received_s, claimed_at - view.last_instance_at.timestamp(), ended_at - claimed_at


def _study(uid: str, images: int) -> list[Dataset]:
    series = CtSeries(study_uid=uid, uid=f"{uid}.1", shape=(images, 128, 128), spacing_mm=(200 / images, 2.5, 2.5))
    made: list[Dataset] = list(ct_images(series))
    for image in made:
        image.SOPInstanceUID = image.file_meta.MediaStorageSOPInstanceUID = f"{uid}.1.{image.InstanceNumber}"
        image.PatientID = uid
    return made


def _send(node: FaultyNode, study: Sequence[Dataset]) -> None:
    if set(send(node.port, *study, called_aet=AE_TITLE)) != {0}:
        message = "the node refused an image"
        raise RuntimeError(message)


def _seconds_to_result(node: FaultyNode, uid: str, *, since_s: float) -> float:
    return _at(_result_of(node, uid), Event.ATTEMPT_SUCCEEDED) - since_s


def _result_of(node: FaultyNode, uid: str) -> StudyView:
    return node.wait_for(uid, State.PROCESSED, within_s=_WITHIN_S)


def _at(view: StudyView, event: Event) -> float:
    # Of the history, not of this loop, which looks at one study after the other.
    return max(entry.at for entry in view.history if entry.event is event).timestamp()


def _line(small: Sequence[float], large: Sequence[float]) -> tuple[float, float]:
    per_image = (statistics.median(large) - statistics.median(small)) / (LARGEST - SMALLEST)
    return statistics.median(small) - per_image * SMALLEST, per_image


def _on_line(line: tuple[float, float], images: int) -> float:
    return line[0] + line[1] * images
