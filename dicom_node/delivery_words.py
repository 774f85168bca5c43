"""What the destinations of a study got and what they declined, in words."""

from collections.abc import Iterator, Sequence

from dicom_node.destinations import class_name, role_in_words
from storage.records import DeliveryView


def deliveries_in_words(deliveries: Sequence[DeliveryView]) -> tuple[str, ...]:
    """One line for each destination of the newest result: `pacs: report as Comprehensive SR`."""
    newest = max((delivery.revision for delivery in deliveries), default=0)
    of_result = [delivery for delivery in deliveries if delivery.revision == newest]
    names = dict.fromkeys(delivery.destination for delivery in of_result)
    return tuple(_destination(name, [one for one in of_result if one.destination == name]) for name in names)


def _destination(name: str, deliveries: Sequence[DeliveryView]) -> str:
    roles = dict.fromkeys(delivery.role for delivery in deliveries)
    parts = [_role(role, [one for one in deliveries if one.role == role]) for role in roles]
    return f"{name}: {'; '.join(parts)}"


def _role(role: str, deliveries: Sequence[DeliveryView]) -> str:
    """What became of one role, best first: what was declined, then what goes in its place."""
    ranks = sorted({delivery.rank for delivery in deliveries})
    said = [words for rank in ranks for words in _rank([one for one in deliveries if one.rank == rank])]
    return f"{role_in_words(role)} {', '.join(said)}"


def _rank(deliveries: Sequence[DeliveryView]) -> Iterator[str]:
    """What became of the objects of one rank; nothing is said of what is held."""
    named = " and ".join(dict.fromkeys(class_name(one.sop_class_uid) for one in deliveries))
    words = _WORDS if deliveries[0].rank == 0 else _WORDS | _WORDS_INSTEAD
    for state, sentence in words.items():
        there = [one for one in deliveries if one.state == state]
        if there:
            count = f"{len(there)} of {len(deliveries)} " if len(there) < len(deliveries) else ""
            yield count + sentence.format(named=named, status=there[0].last_status)


_WORDS = {
    "delivered": "as {named}",
    "waiting": "waiting to be sent as {named}",
    "declined": "declined ({named} not accepted)",
    "failed": "failed as {named} ({status})",
    "superseded": "superseded as {named}",
}
_WORDS_INSTEAD = {"delivered": "{named} sent instead", "waiting": "{named} waiting to be sent instead"}
