"""What stands in the way of relevance, seen by watching one pass."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from captum_influence import compare
from captum_influence.network.tracing import (
    Moved,
    Watch,
    obstacles,
    out_of_place,
    prepared,
    repeated,
    ruleless,
)
from captum_influence.testing.state import unchanged

IMAGES = torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))


class Mine(nn.Module):
    """A leaf that isn't of torch.nn."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.sin(x)


class Mixed(nn.Module):
    """Modules and functions, some of which only move values about."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.mine = nn.Conv2d(3, 2, 3), Mine()
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        x = self.relu(self.stem(x)).transpose(2, 3)
        x = functional.dropout(self.mine(x), training=self.training)
        return functional.relu(x + self.relu(x)).flatten(1)


def watched(model: nn.Module, *, into_foreign: bool = False) -> Watch:
    watch = Watch(into_foreign=into_foreign)
    with torch.no_grad(), watch.on(model), watch:
        model(IMAGES)
    return watch


def test_leaves_and_functions_are_seen_in_order_what_moves_values_is_not() -> None:
    watch = watched(Mixed().eval())
    assert watch.calls == ["stem", "relu", "mine", "relu"]
    assert watch.functions == ["add", "relu"]


def test_foreign_leaves_are_looked_into_if_asked() -> None:
    watch = watched(Mixed().eval(), into_foreign=True)
    assert watch.calls == ["stem", "relu", "relu"]
    assert watch.functions == ["sin", "add", "relu"]


def test_dropout_that_drops_is_a_change() -> None:
    assert "dropout" in watched(Mixed().train()).functions


def test_watching_leaves_no_hooks_also_after_an_error() -> None:
    model = Mixed().eval()
    with unchanged(model):
        watched(model)
        with pytest.raises(RuntimeError), Watch().on(model):
            model(torch.rand(2, 5, 8, 8))


def test_a_copy_changes_nothing_in_place_and_is_in_eval_mode() -> None:
    model = Mixed().train()
    with unchanged(model):
        copied = out_of_place(model)
    assert not copied.training
    assert not copied.relu.inplace
    assert model.relu.inplace
    assert copied.stem.weight is not model.stem.weight


def test_a_network_that_can_not_be_copied_is_refused() -> None:
    class Uncopied(nn.Module):
        def __deepcopy__(self, memo: object) -> nn.Module:
            raise RuntimeError("not this one")

    with pytest.raises(
        TypeError, match=r"got a Uncopied that can't be \(RuntimeError: not this one\): leave out"
    ):
        out_of_place(Uncopied())


def test_modules_that_only_move_values_become_invisible_and_answer_the_same() -> None:
    model = nn.Sequential(nn.Conv2d(3, 2, 3), nn.Flatten(), nn.Linear(72, 2))
    copied = prepared(out_of_place(model))
    assert isinstance(copied[1], Moved)
    assert torch.equal(copied(IMAGES), model(IMAGES))
    single = prepared(out_of_place(nn.Linear(3, 2)))
    assert isinstance(single, nn.Sequential)  # Captum looks at modules inside


def test_obstacles_are_named_once_and_modules_as_they_run() -> None:
    found, order = obstacles(prepared(out_of_place(Mixed())), IMAGES)
    assert found == (
        "module relu runs 2 times",
        "module mine is a Mine, for which there is no rule",
        "a sum of two branches, through which relevance would double",
        "a functional relu, which Captum's hooks don't see",
    )
    assert order == ("stem", "relu", "mine")


def test_a_chain_of_modules_has_none() -> None:
    model = nn.Sequential(nn.Conv2d(3, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(72, 2))
    assert obstacles(prepared(out_of_place(model)), IMAGES) == ((), ("0", "1", "3"))


def test_many_of_a_kind_are_counted() -> None:
    watch = Watch()
    watch.calls = ["a", "a", "b", "b", "c", "c", "c", "d"]
    assert repeated(watch, ["a", "b", "c", "d"]) == [
        "module a (and 1 more) runs 2 times",
        "module c runs 3 times",
    ]
    assert ruleless({"x": nn.GELU, "y": nn.GELU, "z": nn.Tanh}) == [
        "module x (and 1 more) is a GELU, for which there is no rule",
        "module z is a Tanh, for which there is no rule",
    ]


def test_a_sharded_network_is_refused_in_words(tmp_path) -> None:
    fsdp = pytest.importorskip("torch.distributed.fsdp")
    shard = getattr(fsdp, "fully_shard", None)
    if shard is None or torch.distributed.is_initialized():
        pytest.skip("torch.distributed is in use, or has no fully_shard")
    from torch.distributed.device_mesh import init_device_mesh

    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{tmp_path}/store", rank=0, world_size=1
    )
    try:
        model = nn.Sequential(nn.Conv2d(3, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(72, 3))
        shard(model, mesh=init_device_mesh("cpu", (1,)))
        with pytest.raises(TypeError, match="sharded by FSDP; load get_model_state_dict"):
            compare(model, IMAGES, "1", 0)
    finally:
        torch.distributed.destroy_process_group()
