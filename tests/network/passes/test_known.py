import gc

from torch import nn

from captum_influence.network.passes.known import Known


class Finder:
    """Counts how often it is asked."""

    def __init__(self) -> None:
        self.times = 0

    def __call__(self) -> int:
        self.times += 1
        return self.times


def test_it_is_found_once_for_a_key_and_a_network() -> None:
    known, find, network = Known[int](), Finder(), nn.Linear(1, 1)
    assert [known.get(network, key, find) for key in ("a", "a", "b")] == [1, 1, 2]
    assert known.get(nn.Linear(1, 1), "a", find) == 3


def test_a_bound_method_is_asked_each_time() -> None:
    known, find, network = Known[int](), Finder(), nn.Linear(1, 1)
    assert [known.get(network.forward, "a", find) for _ in range(2)] == [1, 2]


def test_a_network_is_not_kept_alive() -> None:
    known, network = Known[int](), nn.Linear(1, 1)
    known.get(network, "a", Finder())
    del network
    gc.collect()
    assert not known._found
