"""A discrete-event model of studies that pass stations one after the other, each station with servers of its own."""

import heapq
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

HOURLY = (1, 1, 1, 1, 1, 1, 2, 5, 9, 10, 10, 9, 8, 9, 9, 8, 6, 4, 3, 3, 2, 2, 1, 1)
"""Weights of arrivals by hour of day: an assumption, a day clinic with an emergency department."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatedStudy:
    """One study that arrives."""

    at_s: float
    images: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Station:
    """Where studies queue, first come first served."""

    name: str
    servers: int
    seconds: Callable[[SimulatedStudy], float]
    """That one server needs for a study."""
    failure: float = 0.0
    """Probability that a turn fails and is done again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Passed:
    """What a run gave."""

    waits_s: tuple[float, ...]
    """From the arrival of a study to its end, in the order of the ends."""
    last_end_s: float
    busiest_hour: dict[str, float]
    """Of each station, the share of its servers' time that what arrives in the busiest hour needs; above 1 it
    queues beyond that hour."""


def day_of_studies(count: int, chance: random.Random, *, median_images: int = 300) -> list[SimulatedStudy]:
    """The arrivals of a day, sizes log-normal about the median."""
    hours = chance.choices(range(24), HOURLY, k=count)
    at = sorted(3600 * (hour + chance.random()) for hour in hours)
    return [SimulatedStudy(at_s=one, images=max(int(median_images * chance.lognormvariate(0, 0.5)), 30)) for one in at]


def run_through(studies: Sequence[SimulatedStudy], stations: Sequence[Station], chance: random.Random) -> Passed:
    """Every study passes every station, in the order of the stations."""
    free = [[0.0] * station.servers for station in stations]
    demand = [[0.0] * 24 for _ in stations]
    events = [(study.at_s, number, 0) for number, study in enumerate(studies)]
    heapq.heapify(events)
    waits, last = [], 0.0
    while events:
        now, number, place = heapq.heappop(events)
        study = studies[number]
        if place == len(stations):
            waits.append(now - study.at_s)
            last = max(last, now)
            continue
        needed = _turns(stations[place], chance) * stations[place].seconds(study)
        demand[place][int(study.at_s // 3600) % 24] += needed
        end = max(now, free[place][0]) + needed
        heapq.heapreplace(free[place], end)
        heapq.heappush(events, (end, number, place + 1))
    busiest = {
        station.name: max(hours) / (3600 * station.servers) for station, hours in zip(stations, demand, strict=True)
    }
    return Passed(waits_s=tuple(waits), last_end_s=last, busiest_hour=busiest)


def _turns(station: Station, chance: random.Random) -> int:
    turns = 1
    while station.failure and chance.random() < station.failure:
        turns += 1
    return turns
