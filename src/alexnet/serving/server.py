"""Runs the application under uvicorn until it is asked to stop."""

import gc
import logging
import socket

import uvicorn
from starlette.applications import Starlette

from alexnet.errors import InputError


def bound(host: str, port: int) -> socket.socket:
    """A listening socket. Raises InputError when the address cannot be had."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
        listening.listen(1024)
    except (OSError, OverflowError) as error:
        listening.close()
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(
            f"cannot listen on {host} port {port}: {reason}; choose another with --host and --port"
        ) from None
    return listening


def run(app: Starlette, listening: socket.socket, connections: int = 512) -> None:
    """Serves until SIGINT or SIGTERM; what was accepted is finished first."""
    config = uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,  # names of files and queries of users stay out of the log
        server_header=False,
        limit_concurrency=connections,
        timeout_keep_alive=15,
        timeout_graceful_shutdown=30,
    )
    # It would warn of each broken form, with what the client sent; who sent it is told.
    logging.getLogger("python_multipart").setLevel(logging.CRITICAL)
    gc.freeze()  # what lives until the end: to look through all of it took 180 ms, in which nobody was answered
    try:
        uvicorn.Server(config).run(sockets=[listening])
    finally:
        gc.unfreeze()
