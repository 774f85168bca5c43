"""Places that a further receiving process asks the listener for: none is lost, whatever the listener does."""

from collections.abc import Iterator
from contextlib import closing
from threading import Thread

import pytest

from dicom_node.listen.channel import Channel, Said
from dicom_node.listen.limits import Shortage
from dicom_node.listen.places import PlacesOfListener

NOBODY = "192.0.2.1"


@pytest.fixture
def ends() -> Iterator[tuple[Channel, Channel]]:
    """Those of the process and of the listener."""
    process, theirs = Channel.pair()
    with closing(process), closing(Channel(theirs)) as listener:
        yield process, listener


def said(listener: Channel) -> list[tuple[Said, object]]:
    """What the listener hears, until there is nothing more."""
    heard = []
    while message := listener.receive(within_s=0):
        heard.append((message.said, message.values[0]))
    return heard


def test_a_place_is_given_back_once_its_association_has_ended(ends: tuple[Channel, Channel]) -> None:
    """Not before, and not twice."""
    process, listener = ends
    places, is_over = PlacesOfListener(process), False
    asking = Thread(target=lambda: places.take(NOBODY, is_over=lambda: is_over))
    asking.start()
    message = listener.receive(within_s=10)
    assert message is not None
    places.hear(message.values[0], None)
    asking.join()
    places.give_back()
    assert said(listener) == []
    is_over = True
    places.give_back()
    places.give_back()
    assert said(listener) == [(Said.LEFT, message.values[0])]


def test_without_an_answer_there_is_no_place_and_none_is_kept(ends: tuple[Channel, Channel]) -> None:
    """The listener may have given it, too late to be heard."""
    process, listener = ends
    places = PlacesOfListener(process, within_s=0.01)
    assert places.take(NOBODY, is_over=lambda: False) is Shortage.TOTAL
    places.give_back()
    assert said(listener) == [(Said.MAY_ENTER, 1), (Said.LEFT, 1)]


def test_a_listener_that_hears_nothing_now_is_told_later(ends: tuple[Channel, Channel]) -> None:
    """Too much is on its way to it."""
    process, listener = ends
    places = PlacesOfListener(process)
    with pytest.raises(BlockingIOError):
        while True:
            process.send(Said.ALIVE, 0)
    assert places.take(NOBODY, is_over=lambda: False) is Shortage.TOTAL
    with pytest.raises(BlockingIOError):
        places.give_back()
    said(listener)
    places.give_back()
    assert said(listener) == [(Said.LEFT, 1)]


def test_a_listener_that_is_gone_has_no_place(ends: tuple[Channel, Channel]) -> None:
    """The process is about to end."""
    process, listener = ends
    listener.close()
    assert PlacesOfListener(process).take(NOBODY, is_over=lambda: False) is Shortage.TOTAL
