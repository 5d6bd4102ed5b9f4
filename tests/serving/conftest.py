"""A server in this process: the digits model behind the application."""

from collections.abc import Iterator

import pytest

pytest.importorskip("starlette", reason="serving needs: pip install 'alexnet[serve]'")
from requests_made import LIMITS
from starlette.testclient import TestClient

from alexnet.inference.model import Model
from alexnet.serving.app import create_app


@pytest.fixture(scope="module")
def client(opened: Model) -> Iterator[TestClient]:
    with TestClient(create_app([opened], LIMITS), raise_server_exceptions=False) as client:
        yield client
