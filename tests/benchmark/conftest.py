"""Ceilings that are measured in no time."""

import pytest

from alexnet.benchmark import machine


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(machine._SIDES, "cpu", (128,))
    monkeypatch.setitem(machine._COPY_BYTES, "cpu", 2**20)
