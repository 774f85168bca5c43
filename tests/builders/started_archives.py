"""PACS with a script, each beside a node that asks it for earlier studies."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path

from pydicom.dataset import Dataset

from builders.archive import FetchingNode, earlier_study, earlier_uid, fetching_node
from builders.ports import free_port
from builders.scripted_archive import Script, scripted_archive, series_answer, study_answer

DAY = "20251201"
PRIOR = earlier_uid(DAY)

Start = Callable[..., FetchingNode]


@contextmanager
def started_archives(folder: Path) -> Iterator[Start]:
    """Start a PACS with a script and a node that asks it; both end with the block."""
    with ExitStack() as running:

        def begin(script: Script, *, query_retrieve: str = "move", **priors: object) -> FetchingNode:
            port = free_port()
            if script.destination == ("node", 0):
                script.destination = ("127.0.0.1", port)
            peer = running.enter_context(scripted_archive(script, query_retrieve=query_retrieve))
            node: AbstractContextManager[FetchingNode] = fetching_node(folder, peer, port=port, **priors)
            return running.enter_context(node)

        yield begin


def honest(study: list[Dataset] | None = None, **answer: object) -> Script:
    """A PACS that has one earlier study and sends it; `answer` changes what it says of the study."""
    images = study or earlier_study(DAY)
    return Script(
        studies=[study_answer(images, **answer)],
        series=[series_answer(images)],
        images=images,
        destination=("node", 0),
    )
