"""The fixed fields of an A-ASSOCIATE-RQ (PS3.8 9.3.2, table 9-11), before pynetdicom reads it."""

_VERSION = slice(6, 8)
# PDU header, version, reserved bytes, both titles, reserved bytes.
_FIXED_BYTES = 6 + 2 + 2 + 16 + 16 + 32
_VERSION_1 = 0x0001


def with_known_version(request: bytes) -> bytes:
    """The request with no other bit in its protocol version than that of version 1, which alone is to be tested.

    pynetdicom rejects a caller that speaks a further version as well.
    """
    if len(request) < _FIXED_BYTES:
        return request
    version = int.from_bytes(request[_VERSION], "big") & _VERSION_1
    return request[: _VERSION.start] + version.to_bytes(2, "big") + request[_VERSION.stop :]
