"""A web application served on this machine."""

import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import uvicorn
from fastapi import FastAPI

from builders.deadline import until
from builders.ports import free_port


@dataclass(frozen=True, slots=True)
class Answer:
    """What an address answered."""

    status: int
    text: str


@contextmanager
def web_server(app: FastAPI) -> Iterator[Callable[[str], Answer]]:
    """Serve an application for as long as the block lasts; asks one of its addresses."""
    port = free_port()
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=port, log_config=None, lifespan="off"))
    thread = threading.Thread(target=server.run, name="web server under test")
    thread.start()

    def get(address: str) -> Answer:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}{address}", timeout=10) as response:
                return Answer(response.status, response.read().decode())
        except urllib.error.HTTPError as error:
            with error:
                return Answer(error.code, error.read().decode())

    try:
        until(lambda: server.started or not thread.is_alive(), within_s=20, what="the web server answers")
        yield get
    finally:
        server.should_exit = True
        thread.join(20)
