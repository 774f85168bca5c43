"""The life of a study."""

from enum import StrEnum


class State(StrEnum):
    """Where a study stands."""

    RECEIVING = "receiving"
    WAITING_FOR_PRIORS = "waiting_for_priors"
    READY = "ready"
    PROCESSING = "processing"
    PROCESSED = "processed"
    SENDING = "sending"
    DELIVERED = "delivered"
    SKIPPED = "skipped"
    PIPELINE_FAILED = "pipeline_failed"
    DELIVERY_FAILED = "delivery_failed"


class Event(StrEnum):
    """What happens to a study."""

    INSTANCE_ARRIVED = "instance_arrived"
