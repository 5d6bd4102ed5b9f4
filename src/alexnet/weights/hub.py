"""Model hubs: `hub://OWNER/NAME` is fetched as files of a model folder, and a folder is pushed to OWNER/NAME.

The extra `hub` (huggingface_hub) talks to the hub at $HF_ENDPOINT and keeps what it fetched in its own cache
($HF_HOME). Of a repository the files of our folder form alone are fetched: whatever code lies there stays there.
"""

import os
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from alexnet.artifacts.store import CARD, HUB_WEIGHTS
from alexnet.data.public_sets import offline
from alexnet.errors import InputError

FILES = ("README.md", "config.json", CARD, "card.mean.safetensors", HUB_WEIGHTS)
"""What `alexnet export --format hub` writes."""
_NAME = re.compile(r"hub:/{1,2}([^/@]+/[^/@]+?)(?:@([^@]+))?/?")  # a Path has one slash where its user typed two
_REPOSITORY = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}")
_CODE = (".py", ".pkl", ".pickle", ".bin", ".so", ".ipynb", ".sh")
_SHOWN = 5


def is_hub(name: object) -> bool:
    """Whether MODEL names a repository on a hub."""
    return str(name).startswith("hub:/")


def pulled(name: object) -> tuple[Path, str | None]:
    """The folder of `hub://OWNER/NAME` or `hub://OWNER/NAME@REVISION`, fetched where it is not in the cache, and a line
    on the code that lies in the repository, if any.

    InputError for a name that is none, without the extra, for a repository that is not there, or is no model of ours.
    """
    found = _NAME.fullmatch(str(name))
    if found is None or not _REPOSITORY.fullmatch(found[1]):
        raise InputError(
            f"{'hub://' + str(name)[4:].lstrip('/')!r} is no repository on a hub; write hub://OWNER/NAME or hub://OWNER/NAME@REVISION"
        )
    repository, revision = found[1], found[2]
    hub = _hub()
    with _told(f"hub://{repository}"):
        if offline() or hub.constants.is_offline_mode():
            kept = {"allow_patterns": list(FILES), "local_files_only": True}
            return Path(hub.snapshot_download(repository, revision=revision, **kept)), None
        about = hub.HfApi().model_info(repository, revision=revision)
        names = [each.rfilename for each in about.siblings or ()]
        if HUB_WEIGHTS not in names:
            listed = ", ".join(names[:_SHOWN]) or "nothing"
            raise InputError(f"hub://{repository} is no model of alexnet: it has no {HUB_WEIGHTS}, but {listed}")
        folder = hub.snapshot_download(repository, revision=revision, allow_patterns=list(FILES))
    return Path(folder), remark(f"hub://{repository}", names)


def code_in(folder: Path) -> str | None:
    """A line on the code in a model's folder, if there is any: other programs run it, this one never does."""
    try:
        return remark(repr(str(folder)), (each.name for each in folder.iterdir() if each.is_file()))
    except OSError:
        return None


def remark(what: str, names: Iterable[str]) -> str | None:
    """The line; None for names of which none is that of code."""
    code = sorted(name for name in names if name.endswith(_CODE))
    if not code:
        return None
    shown = ", ".join(code[:_SHOWN]) + (", …" if len(code) > _SHOWN else "")
    return f"{what} holds code ({shown}), which alexnet never runs"


def check_repository(name: str) -> None:
    """InputError for a name that is not OWNER/NAME, and without the extra: before anything is written."""
    if not _REPOSITORY.fullmatch(name):
        raise InputError(f"--push takes OWNER/NAME on a hub, not {name!r}")
    _hub()


def push(folder: Path, repository: str, public: bool = False) -> str:
    """Uploads the files of a model's folder to `repository` (OWNER/NAME), which is made, private unless `public`, where
    it is not there; returns its address. InputError when the hub refuses."""
    check_repository(repository)
    hub = _hub()
    if offline():
        raise InputError("$ALEXNET_OFFLINE is set: nothing is pushed")
    with _told(repository):
        api = hub.HfApi()
        address = str(api.create_repo(repository, private=not public, exist_ok=True))
        api.upload_folder(
            repo_id=repository, folder_path=folder, allow_patterns=list(FILES), commit_message="alexnet export"
        )
    return address


def _hub() -> Any:
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    try:
        import huggingface_hub
        import huggingface_hub.constants
    except ImportError:
        raise InputError("hub:// and --push need huggingface_hub: pip install 'alexnet[hub]'") from None
    return huggingface_hub


@contextmanager
def _told(what: str) -> Iterator[None]:
    """The hub's errors in one line each."""
    from huggingface_hub import errors

    try:
        yield
    except InputError:
        raise
    except errors.RevisionNotFoundError:
        raise InputError(f"{what} has no such revision") from None
    except errors.RepositoryNotFoundError:
        raise InputError(
            f"{what} is not there, or is private: check its name, or log in (hf auth login, or $HF_TOKEN)"
        ) from None
    except errors.LocalEntryNotFoundError:
        raise InputError(f"{what} is not on this machine, and the hub is not reached") from None
    except errors.HfHubHTTPError as error:
        status = getattr(error.response, "status_code", None)
        hint = "; log in (hf auth login, or $HF_TOKEN) with a token that may write" if status in (401, 403) else ""
        raise InputError(f"{what}: the hub answers {status}{hint}") from None
    except (errors.HFValidationError, OSError, RuntimeError, ValueError) as error:
        raise InputError(f"{what}: {' '.join(str(error).split())[:200]}") from None
    except Exception as error:  # of the HTTP library, whichever the hub's is
        if type(error).__module__.partition(".")[0] not in ("httpx", "httpx2", "httpcore", "httpcore2", "requests"):
            raise
        raise InputError(f"{what}: the hub is not reached ({type(error).__name__})") from None
