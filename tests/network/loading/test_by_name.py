"""Every source has its prefix."""

import pytest

from captum_influence.network.loading.by_name import load_model


@pytest.mark.parametrize("spec", ["resnet18", "file.py:", ":build", ""])
def test_a_spec_without_source_or_name_is_refused(spec: str) -> None:
    with pytest.raises(ValueError, match="torchvision:NAME"):
        load_model(spec)
