"""Files in object stores and on whatever else fsspec reads: s3://, gs://, az://, sftp:// … (`alexnet[remote]`)."""

import contextlib
import queue
import threading
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from alexnet.data.download import Answer, Beyond, Cut, Origin, Unavailable, Web, shown
from alexnet.errors import InputError

T = TypeVar("T")

_BLOCK = 8 * 2**20  # bytes of a request: of a few kilobytes, a request would take longer than its answer
_FORBIDDEN = ("Permission", "Credential", "Forbidden", "AccessDenied", "Unauthorized")
_ABSENT = 404


def origin(url: str, waits: bool) -> Origin:
    """The file at `url`. waits: that it is not there is taken for something that may pass."""
    if url.startswith(("http://", "https://")):
        web = Web(url)
        return Web(url, (*web.passing, _ABSENT)) if waits else web
    return Stored(url, waits)


class Stored:
    """A file that fsspec opens; no call waits longer than it is told to, whatever the file system does."""

    def __init__(self, url: str, waits: bool) -> None:
        self.url, self.shown, self.waits = url, shown(url), waits

    @contextlib.contextmanager
    def open(self, start: int, timeout: float) -> Iterator[Answer]:
        system, path = self._asked(timeout, lambda: _system(self.url))
        total = int(self._asked(timeout, lambda: system.size(path)) or 0)
        if start and start >= total:
            raise Beyond
        file = self._asked(timeout, lambda: system.open(path, "rb", block_size=_BLOCK, cache_type="none"))
        try:
            self._asked(timeout, lambda: file.seek(start))
            yield Answer(
                start, total, lambda: self._asked(timeout, lambda: file.read(min(_BLOCK, total - file.tell())))
            )
        finally:
            with contextlib.suppress(Exception):
                _within(timeout, file.close)

    def _asked(self, timeout: float, act: Callable[[], T]) -> T:
        """What `act` gives. Of errors the kind is told only: their texts may hold a key or a signed address."""
        try:
            return _within(timeout, act)
        except ImportError:
            raise InputError(f"{self.shown} needs another package: {_package(self.url)}") from None
        except FileNotFoundError:
            if self.waits:
                raise Cut("it is not there") from None
            raise Unavailable(self.shown, "it is not there") from None
        except (InputError, TimeoutError):
            raise
        except Exception as error:
            kind = type(error).__name__
            if isinstance(error, PermissionError) or any(part in kind for part in _FORBIDDEN):
                raise Unavailable(self.shown, f"no permission ({kind})") from None
            raise Cut(kind) from None


def _package(url: str) -> str:
    """What to install for this kind of address."""
    from fsspec.registry import known_implementations

    scheme = url.partition("://")[0]
    if scheme in ("s3", "s3a"):
        return "pip install 'alexnet[remote]'"
    return known_implementations.get(scheme, {}).get("err", "the one that fsspec reads it with")


def _system(url: str) -> tuple[Any, str]:
    from fsspec import available_protocols
    from fsspec.core import url_to_fs

    scheme = url.partition("://")[0]
    if scheme not in available_protocols():
        raise InputError(f"{scheme}:// is no address that is read here; https, http, s3, gs, az and sftp are some")
    return url_to_fs(url)


def _within(seconds: float, act: Callable[[], T]) -> T:
    """What `act` gives in a thread of its own; TimeoutError when it takes longer."""
    results = queue.SimpleQueue[tuple[T | None, BaseException | None]]()

    def run() -> None:
        try:
            results.put((act(), None))
        except BaseException as error:
            results.put((None, error))

    threading.Thread(target=run, daemon=True).start()
    try:
        result, error = results.get(timeout=seconds)
    except queue.Empty:
        raise TimeoutError from None
    if error is not None:
        raise error
    return result  # pyright: ignore[reportReturnType]  # None only where `act` gives it
