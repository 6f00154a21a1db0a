import pytest
import torch

from captum_influence.network.modes import with_graph, without_graph


@pytest.mark.parametrize("outer", [torch.no_grad, torch.inference_mode, torch.enable_grad])
def test_a_graph_is_kept_whatever_the_caller_switched(outer) -> None:
    with outer(), with_graph():
        x = torch.ones(2, requires_grad=True)
        assert not x.is_inference()
        assert (2 * x).requires_grad
    assert torch.is_grad_enabled()


def test_no_graph_is_kept_and_the_mode_comes_back_after_an_error() -> None:
    x = torch.ones(2, requires_grad=True)
    with pytest.raises(ValueError, match="unpack"), without_graph():
        (_,) = [(2 * x).requires_grad] * 2
    with without_graph():
        assert not (2 * x).requires_grad
    assert (2 * x).requires_grad
