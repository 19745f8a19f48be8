"""How a server for this machine listens: to trusted hosts, and to requests that are bounded.

Whatever a page of another site makes a browser ask is refused: by its `Host`, where a name of its
own leads here (DNS rebinding), and by its `Origin`.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import socket
from collections.abc import Sequence

import h11
import uvicorn
from starlette.datastructures import Headers
from starlette.middleware.body_limit import RequestBodyLimitMiddleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

LOOPBACK = ("localhost", "127.0.0.1")

# Connections at once; more are told to come again (503).
MAX_CONNECTIONS = 256

_MAX_HEADER_BYTES = 2**16


class ListenError(ValueError):
    """A port or a host name that cannot be used."""


def listen(port: int, flag: str) -> socket.socket:
    """A socket that takes connections to this machine.

    Args:
        port: 0 for any that is free.
        flag: that named it, for the message.

    Raises:
        ListenError: if the port is taken, or not for this user.
    """
    try:
        return socket.create_server(("127.0.0.1", port), backlog=MAX_CONNECTIONS)
    except OSError as error:
        reason = os.strerror(error.errno or 0)
        raise ListenError(f"--{flag}={port}: {reason}; 0 takes any") from error


def check_hosts(hosts: Sequence[str]) -> None:
    """Raises a ListenError for the first that is no name or IPv4 address, without port."""
    for host in hosts:
        if not re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?", host):
            raise ListenError(f"--host={host}: not the name of a host, such as gpu7.example.com")


def guard(app: ASGIApp, hosts: Sequence[str], max_body: int) -> ASGIApp:
    """`app`, for requests to `LOOPBACK` and `hosts` with a body of at most `max_body` bytes.

    A longer body is answered with 413, before it is read or when it has come so far.
    """
    limited = RequestBodyLimitMiddleware(app, max_body)
    return TrustedHostMiddleware(_SameOrigin(limited), [*LOOPBACK, *hosts], www_redirect=False)


def run_server(app: ASGIApp, listening: socket.socket) -> None:
    """Answers until it is interrupted.

    Args:
        app: what answers, see `guard`.
        listening: where clients come in, see `listen`.

    Raises:
        KeyboardInterrupt: when it is.
    """
    new_server(app).run(sockets=[listening])


def new_server(app: ASGIApp) -> uvicorn.Server:
    """The server of `run_server`."""
    config = uvicorn.Config(
        app,
        http=TimedProtocol,
        limit_concurrency=MAX_CONNECTIONS,
        h11_max_incomplete_event_size=_MAX_HEADER_BYTES,
        timeout_graceful_shutdown=5,
        proxy_headers=False,
        server_header=False,
        access_log=False,
        log_level="error",
    )
    return uvicorn.Server(config)


class _SameOrigin:
    """Refuses what a page of another origin asks."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] in ("http", "websocket"):
            headers = Headers(scope=scope)
            origin = headers.get("origin")
            if origin is not None and origin.partition("://")[2] != headers.get("host"):
                error = {"error": f"requests of the origin {origin[:200]} are refused"}
                await JSONResponse(error, status_code=403)(scope, receive, send)
                return
        with contextlib.suppress(ClientDisconnect):  # nobody is left to answer
            await self._app(scope, receive, send)


class TimedProtocol(H11Protocol):
    """Closes connections of clients that keep this server waiting: uvicorn has no such limit.

    One time for a whole request, not for each of its bytes, of which a client may send one a
    minute.

    Attributes:
        seconds: that a client has to send a request, or to take up an answer.
    """

    seconds = 60.0
    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A client is here: its time runs."""
        super().connection_made(transport)
        self._watch()

    def data_received(self, data: bytes) -> None:
        """Part of a request came."""
        super().data_received(data)
        self._watch()

    def pause_writing(self) -> None:
        """The client takes up the answer too slowly."""
        super().pause_writing()
        self._watch()

    def resume_writing(self) -> None:
        """It takes it up again."""
        super().resume_writing()
        self._watch()

    def on_response_complete(self) -> None:
        """The answer is on its way; the next request may come."""
        super().on_response_complete()
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        """Nobody is left to wait for."""
        super().connection_lost(exc)
        self._stop()

    def abort(self) -> None:
        """Closes the connection, whatever is on its way."""
        self.transport.abort()

    def _watch(self) -> None:
        """Begins to wait for the client, or goes on, or ends it."""
        is_here = self.transport.get_protocol() is self  # and no web socket by now
        is_sending = self.conn.their_state in (h11.IDLE, h11.SEND_BODY)
        if is_here and (is_sending or self.flow.write_paused):
            if self._deadline is None:
                self._deadline = self.loop.call_later(self.seconds, self.abort)
        else:
            self._stop()

    def _stop(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
