"""Headers of the PROXY protocol, as a load balancer writes them."""

import struct
from ipaddress import ip_address


def header_of_version_1(source: str, port: int) -> bytes:
    """A line of text (2.1)."""
    version = ip_address(source).version
    return f"PROXY TCP{version} {source} {source} {port} 11112\r\n".encode()


def header_of_version_2(
    source: str, port: int, *, kind: int = 0x21, family: int = 0, further: bytes = b"", length: int = 0
) -> bytes:
    """Signature, numbers, addresses (2.2); a family or a length that is not 0 stands in the place of the right one."""
    address = ip_address(source)
    content = address.packed * 2 + struct.pack(">HH", port, 11112) + further
    numbers = (kind, family or (0x11 if address.version == 4 else 0x21), length or len(content))
    return b"\r\n\r\n\0\r\nQUIT\n" + struct.pack(">BBH", *numbers) + content
