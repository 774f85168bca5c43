"""Whether a study waits for earlier ones from a PACS, and what became of them."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from config.settings import Settings
from storage.fetch_records import FoundState, PriorFetchView
from storage.index import Index

_IN_REPORT = frozenset(
    {FoundState.REFUSED, FoundState.NOT_NEEDED, FoundState.FAILED, FoundState.TIMED_OUT, FoundState.FETCHING}
)
"""What the report names among the studies that were not compared with. Not those without chest CT, which nobody would
compare with, nor those that are here: the pipeline says of these what became of them."""


class FetchWatch:
    """Plans the searches of a study, then looks at how they go."""

    def __init__(self, settings: Settings, index: Index) -> None:
        """Ask the peers that the configuration names."""
        self._peers = [peer.name for peer in settings.archives] if settings.priors.maximum_count else []
        self._maximum_wait = timedelta(seconds=settings.priors.maximum_wait_s)
        self._quiet_s = settings.completeness.quiet_period_s
        self._index = index

    def tidy(self) -> None:
        """Put away what came of earlier studies after their retrieval had ended, also where no PACS is asked any more."""
        self._index.fetches.end_strays(quiet_s=self._quiet_s)

    def look(self, study_instance_uid: str) -> tuple[PriorFetchView, ...]:
        """The searches of a study that is complete; planned when they are not yet."""
        if not self._peers:
            return ()
        searches = self._index.fetches.of_study(study_instance_uid)
        if {search.peer for search in searches} >= set(self._peers):
            return searches
        self._index.fetches.plan(study_instance_uid, peers=self._peers)
        return self._index.fetches.of_study(study_instance_uid)

    def waits(self, searches: Sequence[PriorFetchView], *, now: datetime) -> bool:
        """Whether something may still come in time, from a PACS that is still configured."""
        asked = [search for search in searches if search.peer in self._peers]
        return any(search.is_open and now < search.planned_at + self._maximum_wait for search in asked)


def searches_in_words(searches: Sequence[PriorFetchView]) -> str:
    """How the searches stand, one after the other."""
    return "; ".join(
        f"{search.peer}: not done in time, the study goes on without" if search.is_open else search.words
        for search in searches
    )


def not_fetched(searches: Sequence[PriorFetchView]) -> list[tuple[str, str]]:
    """Study Instance UID and reason of each earlier study that was found and is not here."""
    reasons: dict[str, str] = {}
    for search in searches:
        for found in search.found:
            if found.study_instance_uid and found.state in _IN_REPORT:
                words = "it did not come in time" if found.state is FoundState.FETCHING else found.words
                reasons.setdefault(found.study_instance_uid, f"at {search.peer}: {words}")
    return list(reasons.items())


def unfinished(searches: Sequence[PriorFetchView]) -> list[str]:
    """A sentence for each PACS whose earlier studies may be missing from the comparison."""
    return [
        f"The search for earlier studies at {search.peer} did not end in time or failed; studies may be missing from the "
        "comparison."
        for search in searches
        if search.state != "done"
    ]


def fetches_in_lines(searches: Sequence[PriorFetchView]) -> list[str]:
    """Each search, then each earlier study that it found, for people."""
    lines: list[str] = []
    for search in searches:
        words = f" ({search.words})" if search.words else ""
        lines.append(f"{search.state.replace('_', ' ')} at {search.peer}, {search.tries} tries{words}")
        lines += [
            f"  {found.state.replace('_', ' ')}  {found.study_instance_uid or '(no UID)'} of "
            f"{found.study_date or 'unknown date'}" + (f": {found.words}" if found.words else "")
            for found in search.found
        ]
    return lines
