"""`/health`, `/ready` and `/metrics`: for load balancers and Prometheus; none of them opens an association."""

from collections.abc import Callable

from fastapi import APIRouter, Response
from prometheus_client import CONTENT_TYPE_LATEST
from pydantic_core import to_json
from sqlalchemy import Engine

from config.settings import Settings
from dicom_node.clock import Clock
from dicom_node.watching.metrics import exposition, registry_of
from dicom_node.watching.readiness import readiness
from storage.index import Index


def router_of(settings: Callable[[], Settings], engine: Engine, *, clock: Clock) -> APIRouter:
    """The three addresses; none of them needs a login, none says anything about a patient or a study.

    Args:
        settings: Those of the node that are in force; asked for each answer.
        engine: Of its index; whoever opened it closes it.
        clock: For ages.
    """
    index = Index(engine, now=clock.now)
    router = APIRouter(include_in_schema=False)

    def health() -> Response:
        return Response(b'{"status": "alive"}', media_type="application/json")

    def ready() -> Response:
        found = readiness(settings(), index, clock=clock)
        return Response(to_json(found), status_code=200 if found.ready else 503, media_type="application/json")

    router.add_api_route("/health", health, methods=["GET"])
    router.add_api_route("/ready", ready, methods=["GET"])
    if settings().watching.metrics:
        registry = registry_of(settings, engine, clock=clock)

        def metrics() -> Response:
            return Response(exposition(registry), media_type=CONTENT_TYPE_LATEST)

        router.add_api_route("/metrics", metrics, methods=["GET"])
    return router
