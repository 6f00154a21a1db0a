"""One thread at a time, nothing left behind, and children that don't wait for threads they lack."""

import os
import sys
import threading
import time
from collections.abc import Iterator
from functools import partial

import pytest
import torch
from torch import Tensor, nn

from captum_influence import DistributionalInfluence, LinearPath
from captum_influence.network.passes.holding import frozen, held, modules_of, noted


class Wrapper(nn.Module):
    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x)


def _network() -> nn.Sequential:
    torch.manual_seed(0)
    layers = nn.Linear(3, 8), nn.Tanh(), nn.Linear(8, 8), nn.Tanh(), nn.Linear(8, 2)
    return nn.Sequential(*layers).eval()


X = torch.sin(torch.arange(12.0)).reshape(4, 3)


def _influence(net: nn.Sequential, wrapper: nn.Module) -> Tensor:
    found: Tensor = DistributionalInfluence(
        wrapper, net[3], distribution=LinearPath(0.0, 6), sample_at=net[2]
    ).attribute(X, target=0)
    return found


@pytest.fixture
def hasty() -> Iterator[None]:
    """Threads that take turns as often as can be."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(interval)


def _run(*works: object) -> list[BaseException]:
    errors: list[BaseException] = []

    def guarded(work: object) -> None:
        try:
            work()  # type: ignore[operator]
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=guarded, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return errors


def test_two_wrappers_of_one_network_in_two_threads(hasty: None) -> None:
    net = _network()
    right = _influence(net, net)

    def work(wrapper: nn.Module) -> None:
        for _ in range(60):
            torch.testing.assert_close(_influence(net, wrapper), right)

    assert not _run(partial(work, Wrapper(net)), partial(work, Wrapper(net)), partial(work, net))
    assert not [name for name, module in net.named_modules() if "forward" in vars(module)]


def test_training_goes_on_beside_an_explanation() -> None:
    net, done = _network(), threading.Event()

    def train() -> None:
        while not done.is_set():
            net.zero_grad()
            net(X).sum().backward()
            assert all(p.grad is not None for p in net.parameters())

    def explain() -> None:
        try:
            for _ in range(40):
                _influence(net, net)
        finally:
            done.set()

    assert not _run(train, explain)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_child_forked_meanwhile_explains_too() -> None:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # OpenMP's own threads don't survive a fork
    net, done = _network(), threading.Event()
    right = _influence(net, net)

    def hold() -> None:
        while not done.is_set():
            _influence(net, net)

    thread = threading.Thread(target=hold)
    thread.start()
    try:
        for _ in range(5):
            child = os.fork()
            if child == 0:
                code = 1
                try:
                    alike = torch.allclose(_influence(net, net), right, atol=1e-5)
                    clean = not any("forward" in vars(m) or m._forward_hooks for m in net.modules())
                    trainable = all(p.requires_grad for p in net.parameters())
                    code = 0 if alike and clean and trainable else 2
                finally:
                    os._exit(code)
            until = time.time() + 30
            while not (ended := os.waitpid(child, os.WNOHANG))[0] and time.time() < until:
                time.sleep(0.01)
            if not ended[0]:
                os.kill(child, 9)
            assert ended[0], "the child hangs"
            assert os.waitstatus_to_exitcode(ended[1]) == 0
    finally:
        done.set()
        thread.join()
        torch.set_num_threads(threads)


def test_a_network_is_seen_behind_a_function() -> None:
    net = _network()
    other = Wrapper(net)

    def closing(x: Tensor) -> Tensor:
        return net(x)

    assert modules_of(net) == [net]
    assert modules_of(closing) == [net]
    assert modules_of(partial(closing)) == []  # what a function inside a partial closes over isn't
    assert modules_of(partial(torch.nn.functional.linear, net)) == [net]
    assert modules_of(other.forward) == [other]


def test_parameters_are_frozen_only_while_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    net = _network()
    with monkeypatch.context() as patched:
        # Tests that ran before may have left a thread that ends in its own time.
        patched.setattr(threading, "enumerate", lambda: [threading.current_thread()])
        with held(net), frozen(net):
            assert not any(p.requires_grad for p in net.parameters())
    assert all(p.requires_grad for p in net.parameters())
    waiting = threading.Event()
    thread = threading.Thread(target=waiting.wait)
    thread.start()
    with held(net), frozen(net):
        assert all(p.requires_grad for p in net.parameters())
    waiting.set()
    thread.join()


def test_what_is_noted_is_undone_once_also_after_an_error() -> None:
    undone: list[int] = []
    with pytest.raises(KeyError), noted(lambda: undone.append(1)):
        raise KeyError
    assert undone == [1]
