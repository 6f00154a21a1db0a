import sys
import types

import pytest


@pytest.fixture
def frames(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stands in for pandas: a DataFrame is the columns that it was given."""
    pandas = types.ModuleType("pandas")
    pandas.DataFrame = dict  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "pandas", pandas)
