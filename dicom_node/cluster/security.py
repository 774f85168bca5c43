"""Whether strangers could use the cluster: who reaches it may run any code on its machines."""

import ipaddress
import socket

from config.ray import RaySettings


def open_cluster_warning(settings: RaySettings) -> str:
    """What is open, and what to do; empty where the cluster is on this machine alone, or has TLS."""
    if settings.tls_certificate or _is_loopback(settings.host):
        return ""
    return (
        f"the Ray cluster at {settings.address} is reached over the network without TLS: whoever reaches it can read "
        "patients' images and run programs on its machines: set tls_certificate, tls_key and tls_ca in [ray], see docs/ray.md"
    )


def _is_loopback(host: str) -> bool:
    """Whether every address of a host is of this machine; a name that is not known is not."""
    try:
        found = socket.getaddrinfo(host, None)
    except OSError:
        return False
    return all(ipaddress.ip_address(str(address[0])).is_loopback for *_, address in found)
