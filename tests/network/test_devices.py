"""Where a network is, and in which precision."""

from pathlib import Path

import pytest
import torch
from torch import nn

from captum_influence.network.devices import bfloat16_products, device_of, dtype_of


def test_the_parameters_say_where_and_how_precise() -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(2, 2, device="meta", dtype=torch.float64))
    assert device_of(model) == torch.device("meta")
    assert dtype_of(model) == torch.float64


def test_without_parameters_it_is_the_cpu_in_single_precision() -> None:
    assert device_of(nn.ReLU()) == device_of(lambda x: x) == torch.device("cpu")
    assert dtype_of(nn.ReLU()) == torch.float32


def test_integers_are_no_precision() -> None:
    model = nn.Module()
    model.count = nn.Parameter(torch.zeros(2, dtype=torch.int64), requires_grad=False)
    model.weight = nn.Parameter(torch.zeros(2, dtype=torch.bfloat16))
    assert dtype_of(model) == torch.bfloat16


def test_bfloat16_products_are_the_processors_own() -> None:
    here = Path("/proc/cpuinfo")
    if not here.exists():
        pytest.skip("no list of what the processor can do")
    flags = here.read_text()
    expected = "avx512_bf16" in flags or "amx_tile" in flags
    assert bfloat16_products(torch.device("cpu")) == expected
    assert not bfloat16_products(torch.device("meta"))
