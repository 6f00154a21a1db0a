"""zennit, where it is installed."""

import sys

import pytest


@pytest.fixture
def zennit():
    composites = pytest.importorskip("zennit.composites", reason="zennit is the [lrp] extra")
    pytest.importorskip("zennit.rules")
    assert composites
    return sys.modules["zennit"]
