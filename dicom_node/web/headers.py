"""What every answer says to the browser, and what is refused before a page sees it."""

from collections.abc import Iterable

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

LARGEST_FORM_BYTES = 64 * 1024
_LENGTH_DIGITS = 18
"""Of a Content-Length; a longer one is not even read."""

_SAID = {
    "Content-Security-Policy": "default-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'; object-src 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
}


ANSWERED_UNDER_EVERY_NAME = frozenset({"/health", "/ready"})
"""Load balancers ask by address, or name no host at all. What is said there names nobody, unlike /metrics, where a page
elsewhere whose name is resolved to this machine (DNS rebinding) would read the names of peers."""


class Guard:
    """Wraps the pages: checks the host and the length of a request, adds headers to the answer."""

    def __init__(self, app: ASGIApp, *, hosts: Iterable[str], is_secure: bool) -> None:
        """Let through what names one of these hosts; all where there are none."""
        self._app = app
        self._hosts = frozenset(host.lower() for host in hosts)
        self._said = _SAID | ({"Strict-Transport-Security": "max-age=31536000"} if is_secure else {})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.setdefault("Cache-Control", "no-store")
                for name, value in self._said.items():
                    headers[name] = value
            await send(message)

        refusal = self._refusal(scope, Headers(scope=scope))
        await (refusal or self._app)(scope, receive, send_with_headers)

    def _refusal(self, scope: Scope, headers: Headers) -> PlainTextResponse | None:
        is_question = scope["method"] in {"GET", "HEAD"}
        if is_question and scope["path"] in ANSWERED_UNDER_EVERY_NAME:
            return None
        if not self._is_known(headers.get("host", "").lower()):
            words = "This name is not one of these pages: add it to [web].names in the configuration of the node.\n"
            return PlainTextResponse(words, status_code=421)
        return None if is_question else _form_refusal(headers)

    def _is_known(self, host: str) -> bool:
        name = host if host.endswith("]") else host.rpartition(":")[0] or host
        return not self._hosts or name in self._hosts


def _form_refusal(headers: Headers) -> PlainTextResponse | None:
    """Why a form is not read."""
    length = headers.get("content-length", "")
    if not (length.isascii() and length.isdecimal()):
        return PlainTextResponse("The request has no length.\n", status_code=411)
    if len(length) > _LENGTH_DIGITS or int(length) > LARGEST_FORM_BYTES:
        return PlainTextResponse("The form is too large.\n", status_code=413)
    if headers.get("sec-fetch-site", "same-origin") not in {"same-origin", "none"}:
        return PlainTextResponse("The form is not of these pages.\n", status_code=403)
    return None
