"""A profile equals the statistics of influences computed one by one, however the pass is cut up."""

import os
import signal
import socket
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from captum_influence import (
    Baselines,
    ClassScore,
    Cut,
    DistributionalInfluence,
    InfluenceProfile,
    Noise,
    Point,
    PredictedClass,
)
from captum_influence.attr import StratifiedPath
from captum_influence.data.batches import Batches
from captum_influence.data.sharding import Shard

COUNT = 30


def _model() -> nn.Sequential:
    torch.manual_seed(0)
    parts = [nn.Conv2d(2, 4, 3), nn.ReLU(), nn.Conv2d(4, 5, 3), nn.ReLU(), nn.Flatten()]
    return nn.Sequential(*parts, nn.Linear(20, 3)).double().eval()


def _data() -> TensorDataset:
    generator = torch.Generator().manual_seed(1)
    images = torch.randn(COUNT, 2, 6, 6, generator=generator, dtype=torch.float64)
    return TensorDataset(images, torch.randint(3, (COUNT,), generator=generator))


def _loader(batch: int = 8, **settings: Any) -> DataLoader[Any]:
    return DataLoader(_data(), batch_size=batch, **settings)


def _same(a: InfluenceProfile, b: InfluenceProfile, tolerance: float = 0.0) -> bool:
    return a.groups == b.groups and all(
        x.count == y.count
        and torch.allclose(x.mean, y.mean, rtol=0, atol=tolerance)
        and torch.allclose(x.squares, y.squares, rtol=0, atol=tolerance)
        for group in a.groups
        for x, y in zip(a.moments[group], b.moments[group], strict=True)
    )


def test_statistics_of_groups_layers_and_quantities() -> None:
    model, (images, labels) = _model(), _data().tensors
    quantities = [ClassScore(0), PredictedClass() - ClassScore(1)]
    influence = DistributionalInfluence(
        model, ["1", model[3]], distribution=Point(), quantity=quantities
    )
    profile = InfluenceProfile.over(influence, _loader(), group_by="label")
    assert profile.layers == ("1", "3")
    assert profile.groups == (0, 1, 2)
    for place, found in enumerate(influence.attribute(images)):
        units = found.sum(dim=(3, 4))  # (quantities, examples, channels)
        for group in profile.groups:
            mine = units[:, labels == group]
            assert profile.count(group) == int((labels == group).sum())
            for k in range(2):
                where = {"layer": place, "quantity": k}
                mean, variance = mine[k].mean(dim=0), mine[k].var(dim=0)
                error = (variance / len(mine[k])).sqrt()
                assert torch.allclose(profile.mean(group, **where), mean, atol=1e-13)
                assert torch.allclose(profile.variance(group, **where), variance, atol=1e-13)
                assert torch.allclose(profile.standard_error(group, **where), error, atol=1e-13)


@pytest.mark.parametrize("batch", [1, 7, 30])
def test_batches_do_not_matter(batch: int) -> None:
    influence = DistributionalInfluence(_model(), "1", distribution=Point())
    whole = InfluenceProfile.over(influence, _loader(30), group_by="label")
    parts = InfluenceProfile.over(influence, _loader(batch), group_by="label")
    assert _same(whole, parts, tolerance=1e-12)


def test_without_a_quantity_the_label_is_asked_for() -> None:
    model, (images, labels) = _model(), _data().tensors
    influence = DistributionalInfluence(model, "3", distribution=Point())
    profile = InfluenceProfile.over(influence, _loader())
    expected = influence.attribute(images, target=labels).sum(dim=(2, 3)).mean(dim=0)
    assert torch.allclose(profile.mean(), expected, atol=1e-13)


@pytest.mark.parametrize("how", ["sum", "mean", "max"])
def test_positions_are_summed_up(how: str) -> None:
    model, (images, _) = _model(), _data().tensors
    influence = DistributionalInfluence(model, "1", distribution=Point(), quantity=ClassScore(1))
    profile = InfluenceProfile.over(influence, _loader(), aggregate=how)
    flat = influence.attribute(images).flatten(2)
    expected = flat.amax(2) if how == "max" else getattr(flat, how)(2)
    assert torch.allclose(profile.mean(), expected.mean(dim=0), atol=1e-13)
    own = InfluenceProfile.over(influence, _loader(), aggregate=lambda flat: flat.abs().sum(dim=-1))
    assert torch.allclose(own.mean(), flat.abs().sum(2).mean(0), atol=1e-13)


def test_another_axis_counts_units() -> None:
    influence = DistributionalInfluence(_model(), "1", distribution=Point(), quantity=ClassScore(1))
    profile = InfluenceProfile.over(influence, _loader(), axis=2)
    expected = influence.attribute(_data().tensors[0]).sum(dim=(1, 3)).mean(dim=0)
    assert torch.allclose(profile.mean(), expected, atol=1e-13)
    with pytest.raises(ValueError, match="expected axis"):
        InfluenceProfile.over(influence, _loader(), axis=4)


def test_layers_without_positions_count_as_they_are() -> None:
    influence = DistributionalInfluence(
        _model(), ["4", "5"], distribution=Point(), quantity=ClassScore(1)
    )
    profile = InfluenceProfile.over(influence, _loader())
    for layer, found in zip(["4", "5"], influence.attribute(_data().tensors[0]), strict=True):
        assert torch.allclose(profile.mean(layer=layer), found.mean(dim=0), atol=1e-13)


def test_groups_by_prediction_and_by_a_function() -> None:
    model, (images, _) = _model(), _data().tensors
    influence = DistributionalInfluence(model, "1", distribution=Point(), quantity=PredictedClass())
    predicted = InfluenceProfile.over(influence, _loader(), group_by="predicted")
    counts = model(images).argmax(dim=1).bincount(minlength=3)
    assert [predicted.count(g) for g in predicted.groups] == counts[counts > 0].tolist()
    halves = InfluenceProfile.over(
        influence,
        _loader(),
        group_by=lambda inputs, labels: ["bright" if x.mean() > 0 else "dark" for x in inputs[0]],
    )
    assert halves.groups == ("bright", "dark")


def test_top_and_difference() -> None:
    influence = DistributionalInfluence(_model(), "1", distribution=Point(), quantity=ClassScore(1))
    profile = InfluenceProfile.over(influence, _loader(), group_by="label")
    top = profile.top(2, 1)
    assert [u.index for u in top] == profile.mean(1).argsort(descending=True)[:2].tolist()
    assert profile.top(1, 1, lowest=True)[0].index == int(profile.mean(1).argmin())
    difference = profile.difference(0, 2)
    assert torch.equal(difference.mean, profile.mean(0) - profile.mean(2))
    expected = (profile.standard_error(0) ** 2 + profile.standard_error(2) ** 2).sqrt()
    assert torch.equal(difference.standard_error, expected)
    assert profile.plot(3).axes[1].get_title().startswith("1 (n = ")


def test_draws_differ_from_batch_to_batch_and_stay_the_same_from_run_to_run() -> None:
    images = torch.zeros(8, 2, 6, 6, dtype=torch.float64)
    loader = DataLoader(TensorDataset(images), batch_size=4)
    for distribution in (Noise(1.0, 3), Baselines(torch.randn(5, 2, 6, 6), 3)):
        influence = DistributionalInfluence(
            _model(), Cut("0", "input"), distribution=distribution, quantity=ClassScore(1)
        )
        profiles = [InfluenceProfile.over(influence, loader) for _ in range(2)]
        assert _same(*profiles)
        first = InfluenceProfile.over(influence, [images[:4]])
        assert not torch.allclose(first.mean(), profiles[0].mean())


def test_shared_paths_count_through_the_data_set() -> None:
    model, (images, _) = _model(), _data().tensors
    influence = DistributionalInfluence(
        model, "1", distribution=StratifiedPath(0.0, 2), quantity=ClassScore(1)
    )
    profile = InfluenceProfile.over(influence, _loader(7))
    expected = influence.attribute(images).sum(dim=(2, 3)).mean(dim=0)
    assert torch.allclose(profile.mean(), expected, atol=1e-13)


# Saved, killed, taken up again --------------------------------------------------------------------


def test_a_saved_profile_loads_again(tmp_path: Path) -> None:
    influence = DistributionalInfluence(_model(), ["1", "3"], distribution=Point())
    profile = InfluenceProfile.over(influence, _loader(), group_by="label")
    profile.save(tmp_path / "profile.safetensors")
    loaded = InfluenceProfile.load(tmp_path / "profile.safetensors")
    assert _same(profile, loaded)
    assert (loaded.layers, loaded.settings) == (profile.layers, profile.settings)


class Interrupted(Exception):
    """Stands in for whatever ends a run."""


def _breaking(loader: DataLoader[Any], after: int) -> Iterator[Any]:
    for number, batch in enumerate(loader):
        if number == after:
            raise Interrupted
        yield batch


@pytest.mark.parametrize("after", [0, 1, 5, 9])
def test_an_interrupted_pass_is_taken_up_bit_by_bit(tmp_path: Path, after: int) -> None:
    influence = DistributionalInfluence(_model(), "1", distribution=Noise(0.3, 2))
    batches = list(_loader(3))
    whole = InfluenceProfile.over(influence, batches, group_by="label")
    path = tmp_path / "checkpoint"
    settings: dict[str, Any] = {"group_by": "label", "checkpoint": path, "checkpoint_every": 2}
    with pytest.raises(Interrupted):
        InfluenceProfile.over(influence, _breaking(_loader(3), after), **settings)
    assert path.exists() == (after >= 2)
    assert _same(whole, InfluenceProfile.over(influence, batches, **settings))
    assert not path.exists()


def test_a_shuffled_loader_is_taken_up_in_its_own_order(tmp_path: Path) -> None:
    class Falling(TensorDataset):
        reads = 0

        def __getitem__(self, index: int) -> Any:
            Falling.reads += 1
            if Falling.reads == 16:
                raise Interrupted
            return super().__getitem__(index)

    influence = DistributionalInfluence(_model(), "1", distribution=Point())
    path = tmp_path / "checkpoint"
    torch.manual_seed(4)
    loader = DataLoader(Falling(*_data().tensors), batch_size=5, shuffle=True)
    settings: dict[str, Any] = {"group_by": "label", "checkpoint": path, "checkpoint_every": 1}
    with pytest.raises(Interrupted):
        InfluenceProfile.over(influence, loader, **settings)
    resumed = InfluenceProfile.over(influence, loader, **settings)
    assert sum(resumed.count(group) for group in resumed.groups) == COUNT
    whole = InfluenceProfile.over(influence, _loader(), group_by="label")
    assert _same(whole, resumed, tolerance=1e-12)


def test_a_checkpoint_of_another_question_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint"
    influence = DistributionalInfluence(_model(), "1", distribution=Point())
    with pytest.raises(Interrupted):
        InfluenceProfile.over(
            influence, _breaking(_loader(3), 4), checkpoint=path, checkpoint_every=1
        )
    other = DistributionalInfluence(_model(), "3", distribution=Point())
    with pytest.raises(ValueError, match="another question: layers"):
        InfluenceProfile.over(other, _loader(3), checkpoint=path)


@pytest.mark.parametrize(
    ("then", "now", "differ"),
    [
        ({"quantity": ClassScore(0)}, {"quantity": ClassScore(1)}, "quantity"),
        ({"quantity": lambda y: y[:, 0]}, {"quantity": lambda y: y[:, 1]}, "quantity"),
        (
            {"distribution": Noise(0.1, 2, seed=0)},
            {"distribution": Noise(0.1, 2, seed=1)},
            "distribution",
        ),
        (
            {"distribution": Baselines(torch.zeros(1, 2, 6, 6), 2)},
            {"distribution": Baselines(torch.ones(1, 2, 6, 6), 2)},
            "distribution",
        ),
    ],
)
def test_a_checkpoint_is_not_mixed_with_another_quantity_or_distribution(
    tmp_path: Path, then: dict[str, Any], now: dict[str, Any], differ: str
) -> None:
    path, common = tmp_path / "checkpoint", {"quantity": ClassScore(0), "distribution": Point()}
    with pytest.raises(Interrupted):
        InfluenceProfile.over(
            DistributionalInfluence(_model(), "1", **{**common, **then}),
            _breaking(_loader(3), 4),
            checkpoint=path,
            checkpoint_every=1,
        )
    other = DistributionalInfluence(_model(), "1", **{**common, **now})
    with pytest.raises(ValueError, match=f"another question: {differ}"):
        InfluenceProfile.over(other, _loader(3), checkpoint=path)


SCRIPT = """
    import sys
    from pathlib import Path
    sys.path.insert(0, {tests!r})
    import torch
    torch.set_num_threads(1)
    from test_one_pass import _loader, _model
    from captum_influence import DistributionalInfluence, InfluenceProfile, Noise

    influence = DistributionalInfluence(_model(), ["1", "3"], distribution=Noise(0.3, 40))
    InfluenceProfile.over(influence, [next(iter(_loader(2)))])  # a second pass finds the group
    profile = InfluenceProfile.over(
        influence, _loader(2), group_by="label", checkpoint={checkpoint!r}, checkpoint_every=1
    )
    import os
    if os.environ.get("RANK", "0") == "0":
        profile.save({out!r})
"""


def _script(tmp_path: Path) -> tuple[Path, Path, Path]:
    checkpoint, out, script = tmp_path / "checkpoint", tmp_path / "out", tmp_path / "run.py"
    tests = str(Path(__file__).parent)
    text = SCRIPT.format(tests=tests, checkpoint=str(checkpoint), out=str(out))
    script.write_text(textwrap.dedent(text))
    return checkpoint, out, script


def _environment() -> dict[str, str]:
    root = str(Path(__file__).parents[3])
    return {**os.environ, "PYTHONPATH": root, "OMP_NUM_THREADS": "1"}


@pytest.mark.skipif(os.name == "nt", reason="SIGKILL is a word of POSIX")
def test_a_run_killed_outright_is_taken_up(tmp_path: Path) -> None:
    checkpoint, out, script = _script(tmp_path)
    run = subprocess.Popen([sys.executable, str(script)], env=_environment())
    while run.poll() is None and not checkpoint.exists():
        pass
    run.send_signal(signal.SIGKILL)
    run.wait()
    assert checkpoint.exists() or out.exists()
    subprocess.run([sys.executable, str(script)], env=_environment(), check=True)
    influence = DistributionalInfluence(_model(), ["1", "3"], distribution=Noise(0.3, 40))
    whole = InfluenceProfile.over(influence, _loader(2), group_by="label")
    assert _same(whole, InfluenceProfile.load(out))


@pytest.mark.parametrize("processes", [2, 4])
def test_processes_share_a_pass(tmp_path: Path, processes: int) -> None:
    _, out, script = _script(tmp_path)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    done = subprocess.run(
        [*command, f"--nproc-per-node={processes}", str(script)],
        env=_environment(),
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    influence = DistributionalInfluence(_model(), ["1", "3"], distribution=Noise(0.3, 40))
    whole = InfluenceProfile.over(influence, _loader(2), group_by="label")
    assert _same(whole, InfluenceProfile.load(out), tolerance=1e-12)


# A process that dies ------------------------------------------------------------------------------

FATE = """
import os, signal, sys, time
sys.path.insert(0, {tests!r})
import torch
torch.set_num_threads(1)
from test_one_pass import _model, _shuffled
from captum_influence import DistributionalInfluence, InfluenceProfile, Point

influence = DistributionalInfluence(_model(), ["1", "3"], distribution=Point())
fates = {{
    "killed": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "gone": lambda: os._exit(0),
    "stuck": lambda: time.sleep(600),
}}


def met(images, labels):
    met.batches += 1
    if met.batches == 3 and os.environ["RANK"] == "1" and "FATE" in os.environ:
        fates[os.environ["FATE"]]()
    return labels.tolist()


met.batches = 0
profile = InfluenceProfile.over(
    influence,
    _shuffled(int(os.environ["RANK"]) + len(os.environ.get("FATE", ""))),
    group_by=met,
    checkpoint={checkpoint!r},
    checkpoint_every=int(os.environ.get("EVERY", 1)),
    patience=float(os.environ.get("PATIENCE", 60)),
)
if os.environ["RANK"] == "0":
    profile.save({out!r})
"""


def _shuffled(seed: int) -> DataLoader[Any]:
    """Each process, and each run, would shuffle in an order of its own."""
    return _loader(3, shuffle=True, generator=torch.Generator().manual_seed(seed))


def _fate(tmp_path: Path) -> tuple[Path, Path]:
    out, script = tmp_path / "out", tmp_path / "run.py"
    checkpoint = str(tmp_path / "checkpoint")
    tests = str(Path(__file__).parent)
    script.write_text(FATE.format(tests=tests, checkpoint=checkpoint, out=str(out)))
    return out, script


def _two(script: Path, **words: str) -> list[subprocess.Popen[str]]:
    """Two processes as a cluster starts them: nobody watches over both."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    group = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, **words}
    return [
        subprocess.Popen(
            [sys.executable, str(script)],
            env={**_environment(), **group, "RANK": rank},
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in "01"
    ]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fate", "every"), [("killed", "1"), ("gone", "100"), ("stuck", "1")], ids=str
)
def test_the_others_say_what_happened_in_time_and_go_on_from_there(
    tmp_path: Path, fate: str, every: str
) -> None:
    out, script = _fate(tmp_path)
    first, second = _two(script, FATE=fate, EVERY=every, PATIENCE="3")
    try:
        _, said = first.communicate(timeout=60)  # a machine under load starts slowly
    finally:
        second.kill()
        second.communicate()
    assert first.returncode == 1
    assert "expected all 2 processes of the run to meet, and process 0 waited in vain" in said
    assert "What was checkpointed is kept" in said
    assert not out.exists()
    kept = {path.name for path in tmp_path.glob("checkpoint.*")}
    # who got through keeps all of its share; who dies, up to its last checkpoint
    assert kept == {"checkpoint.0of2", *(["checkpoint.1of2"] if every == "1" else [])}
    both = _two(script)
    said = "".join(process.communicate(timeout=60)[1] for process in both)
    assert [process.returncode for process in both] == [0, 0], said
    influence = DistributionalInfluence(_model(), ["1", "3"], distribution=Point())
    whole = InfluenceProfile.over(influence, _loader(3), group_by="label")
    assert _same(whole, InfluenceProfile.load(out), tolerance=1e-12)
    assert not list(tmp_path.glob("checkpoint.*"))


@pytest.mark.slow
def test_torchrun_fails_with_a_process_that_was_killed(tmp_path: Path) -> None:
    out, script = _fate(tmp_path)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    done = subprocess.run(
        [*command, "--nproc-per-node=2", str(script)],
        env={**_environment(), "FATE": "killed"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode != 0
    assert "SIGKILL" in done.stderr
    assert (tmp_path / "checkpoint.1of2").exists()
    assert not out.exists()


def test_checkpoints_of_two_runs_are_not_mixed() -> None:
    class Pair(Shard):
        def gather(self, value: Any) -> list[Any]:
            return [value, value[::-1]]

    with pytest.raises(ValueError, match="in another order: remove them"):
        Batches.of(_loader(), [[0, 1], [2, 3]], Pair(0, 2))


# Bad input ----------------------------------------------------------------------------------------


class Named(nn.Module):
    """A network that returns its scores by name."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        return {"scores": self.net(x)}


def test_bad_questions_are_refused() -> None:
    influence = DistributionalInfluence(_model(), "1", distribution=Point(), quantity=ClassScore(0))
    with pytest.raises(ValueError, match="patience as a positive number"):
        InfluenceProfile.over(influence, _loader(), patience=0)
    with pytest.raises(ValueError, match="the loader is empty"):
        InfluenceProfile.over(influence, [])
    with pytest.raises(ValueError, match="expected aggregate"):
        InfluenceProfile.over(influence, _loader(), aggregate="median")
    with pytest.raises(ValueError, match="expected group_by"):
        InfluenceProfile.over(influence, _loader(), group_by="class")
    with pytest.raises(ValueError, match="yields \\(inputs, labels\\)"):
        InfluenceProfile.over(influence, [_data().tensors[0]], group_by="label")
    with pytest.raises(ValueError, match="a group for each of 8"):
        InfluenceProfile.over(influence, _loader(), group_by=lambda inputs, labels: ["one"])
    columns = [(x, y[:, None]) for x, y in _loader()]
    with pytest.raises(ValueError, match="as each example's group, got list"):
        InfluenceProfile.over(influence, columns, group_by="label")
    halves = [(x, y + 0.5) for x, y in _loader()]
    with pytest.raises(ValueError, match=r"as each example's group, got 0\.5"):
        InfluenceProfile.over(influence, halves, group_by="label")
    named = DistributionalInfluence(
        Named(_model()), "net.1", distribution=Point(), quantity=lambda out: out["scores"][:, 0]
    )
    with pytest.raises(TypeError, match=r"scores \(examples, classes\), got dict"):
        InfluenceProfile.over(named, _loader(), group_by="predicted")
    with pytest.raises(TypeError, match="got a mapping"):
        InfluenceProfile.over(influence, [{"image": _data().tensors[0]}])
    profile = InfluenceProfile.over(influence, _loader(), group_by="label")
    with pytest.raises(ValueError, match="several groups"):
        profile.mean()
    with pytest.raises(ValueError, match="no group 7"):
        profile.mean(7)
    with pytest.raises(ValueError, match="no layer 'conv'"):
        profile.mean(0, layer="conv")


def test_a_layer_of_several_tensors_is_refused() -> None:
    class Two(nn.Module):
        def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
            return x, 2 * x

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.two = Two()

        def forward(self, x: Tensor) -> Tensor:
            a, b = self.two(x)
            return (a + b).flatten(1)

    influence = DistributionalInfluence(Net(), "two", distribution=Point(), quantity=ClassScore(0))
    with pytest.raises(TypeError, match="several tensors"):
        InfluenceProfile.over(influence, _loader())
