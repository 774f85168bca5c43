"""The settings of the cluster that analyses studies, `[ray]`."""

from typing import Annotated

from pydantic import AfterValidator, Field

from config.names import host_problem, port_from
from config.table import Table
from config.tls import FileOrNone


def _address(value: str) -> str:
    host, _, port = value.rpartition(":")
    if host_problem(host) is not None or not 1 <= (port_from(port) or 0) <= 65535:
        problem = "must be host:port of the head of the cluster, not a ray:// address"
        raise ValueError(problem)
    return value


class RaySettings(Table):
    """Where the cluster is, and how much of it the node takes."""

    address: Annotated[str, AfterValidator(_address)] = "127.0.0.1:6379"
    cpus_per_actor: Annotated[int, Field(ge=1, le=256)] = 4
    maximum_actors: Annotated[int, Field(ge=0, le=1000)] = 0
    """0: as many as the cluster has room for."""
    studies_ahead: Annotated[int, Field(ge=0, le=16)] = 1
    maximum_bytes_in_flight: Annotated[int, Field(ge=0)] = 0
    """0: half of the object store of the worker's machine."""
    tls_certificate: FileOrNone = None
    """None: no TLS."""
    tls_key: FileOrNone = None
    tls_ca: FileOrNone = None
    token_file: FileOrNone = None

    @property
    def host(self) -> str:
        """Of the head of the cluster."""
        return self.address.rpartition(":")[0]

    @property
    def port(self) -> int:
        """Of the head of the cluster."""
        return int(self.address.rpartition(":")[2])
