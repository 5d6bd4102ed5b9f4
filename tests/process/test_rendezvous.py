"""What the environment says is checked before anything waits for anybody."""

import re
import socket

import pytest
import torch
from torch import distributed

from alexnet.errors import InputError
from alexnet.process import rendezvous
from alexnet.process.group import ALONE
from alexnet.process.rendezvous import joined


def test_without_an_environment_there_is_one_process() -> None:
    with joined("cpu") as world:
        assert world == ALONE


def test_devices_that_cannot_be_shared_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"RANK": "0", "WORLD_SIZE": "2"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(InputError, match="--processes N trains"), joined("cuda"):
        pass


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"RANK": "x", "WORLD_SIZE": "2"}, "RANK is 'x', not a number"),
        ({"RANK": "0", "WORLD_SIZE": "two"}, "WORLD_SIZE is 'two', not a number"),
        ({"RANK": "-1", "WORLD_SIZE": "2"}, "RANK is '-1', not a number"),
        ({"RANK": "0", "WORLD_SIZE": "0"}, "RANK=0 of WORLD_SIZE=0"),
        ({"RANK": "2", "WORLD_SIZE": "2"}, "RANK=2 of WORLD_SIZE=2; the ranks are 0 to 1"),
        ({"RANK": "0", "WORLD_SIZE": "2", "LOCAL_RANK": ""}, "LOCAL_RANK is '', not a number"),
        ({"RANK": "0", "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "0"}, "LOCAL_WORLD_SIZE=0"),
        ({"RANK": "0", "WORLD_SIZE": "2"}, "MASTER_ADDR='' and MASTER_PORT=''"),
        ({"RANK": "0", "WORLD_SIZE": "2", "MASTER_ADDR": "localhost"}, "MASTER_PORT=''"),
        ({"RANK": "1", "WORLD_SIZE": "2", "MASTER_ADDR": "localhost", "MASTER_PORT": "99999"}, "MASTER_PORT='99999'"),
        ({"RANK": "1", "WORLD_SIZE": "2", "MASTER_ADDR": "no.such.host.invalid", "MASTER_PORT": "1"}, "not an address"),
        ({"RANK": "1", "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "1"}, "nobody answers at"),
    ],
)
def test_variables_that_make_no_sense_are_refused(
    variables: dict[str, str], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(rendezvous, "_ANSWER_SECONDS", 0.3)
    with pytest.raises(InputError, match=re.escape(said)), joined("cpu"):
        pass


def test_an_address_that_nobody_answers_is_said_within_half_a_minute() -> None:
    assert rendezvous._ANSWER_SECONDS < 30


def test_something_else_that_answers_is_told_from_the_first_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rendezvous, "_ANSWER_SECONDS", 1.0)
    monkeypatch.setenv("MASTER_ADDR", "127.0.0.1")

    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("MASTER_PORT", str(silent.getsockname()[1]))
        with pytest.raises(InputError, match="is not the process of rank 0"):
            rendezvous._check_address(1)
    first = distributed.TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
    monkeypatch.setenv("MASTER_PORT", str(first.port))
    rendezvous._check_address(1)
