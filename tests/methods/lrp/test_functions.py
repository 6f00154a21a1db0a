"""Names of functions are names that torch has, each with one meaning."""

import torch
from torch.nn import functional

from captum_influence.methods.lrp import functions
from captum_influence.network.tracing import MOVES

GROUPS = (
    functions.ELEMENTWISE,
    functions.POWERS,
    functions.PRODUCTS,
    functions.ADDED_PRODUCTS,
    functions.QUOTIENTS,
    functions.SCALES,
    functions.DENSE | functions.CONVOLUTIONS,
    functions.LINEAR,
)


def test_each_function_has_one_rule_but_addmm_which_may_be_a_layer_or_a_product():
    for place, group in enumerate(GROUPS):
        for other in GROUPS[place + 1 :]:
            assert group & other <= {"addmm"}


def test_all_are_names_of_torch():
    places = (torch, torch.Tensor, functional, torch._C._nn, torch._C._linalg)
    for group in GROUPS:
        ours = group - set(MOVES)
        assert not [n for n in ours if not any(hasattr(place, n) for place in places)]
