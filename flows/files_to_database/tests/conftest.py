import pytest
from web import Web, serving


@pytest.fixture
def web():
    with serving(Web()) as server:
        yield server
