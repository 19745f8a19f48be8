"""Ctrl-C, which must neither be lost nor come at a bad moment."""

import contextlib
import signal

import pytest

from keras_retinanet.training.interruption import Interruption


@pytest.fixture(autouse=True)
def _ctrl_c_raises():
    """As in a terminal; the tests may run in a script's background, where it is ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_the_first_asks_and_is_not_lost(capfd):
    interruption = Interruption()
    with interruption:
        with contextlib.suppress(BaseException):  # as libraries do that guard their own clean-up
            signal.raise_signal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            interruption.check()
    assert "Ctrl-C again ends at once" in capfd.readouterr().err


def test_the_second_raises_at_once():
    with Interruption():
        signal.raise_signal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


def test_afterwards_all_is_as_before():
    before = signal.getsignal(signal.SIGINT)
    interruption = Interruption()
    with interruption:
        interruption.check()
        assert signal.getsignal(signal.SIGINT) != before
    assert signal.getsignal(signal.SIGINT) == before
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)


def test_a_process_that_ignores_it_goes_on_to():
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    interruption = Interruption()
    with interruption:
        signal.raise_signal(signal.SIGINT)
        interruption.check()
    assert signal.getsignal(signal.SIGINT) == signal.SIG_IGN
