"""Train the demo network: ``python -m captum_influence.demo.recipe --out weights.pt``.

Reproducible on a CPU from its seed; takes a few minutes. In each step pictures of nothing, black
and grey ones among them, are to score zero for every class, so that a path may start from them. The
weights in the package come from the defaults; those of the network that falls for a shortcut, which
was shown no such pictures, from ``--shortcut house --empty 0 --scenes 8000 --epochs 10 --half``.
"""

import argparse
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from importlib import import_module

import torch
from torch import Tensor, nn
from torch.nn import functional

from captum_influence.demo.nothing import backgrounds, clouds, plain
from captum_influence.demo.objects import CLASSES
from captum_influence.demo.scene_net import SceneNet
from captum_influence.demo.scenes import SceneDataset, Shortcut

HELD_OUT_SEED = 1_000_003
"""Seed of the scenes that no training sees."""

_BACKGROUNDS = 1000  # scenes whose backgrounds are shown without an object
_QUIET = 0.1  # weight of the squared scores of nothing, beside the scenes' cross-entropy


@dataclass(frozen=True)
class Recipe:
    """How to train: everything the weights depend on.

    Attributes:
        scenes: number of training scenes.
        epochs: passes over them.
        batch_size: scenes per step.
        learning_rate: peak step size of AdamW, reached after 30 % of the steps.
        weight_decay: decay of AdamW; keeps idle channels small.
        empty: pictures without an object in each step; 0: none, and then the network makes of
            them what it likes.
        seed: seed of the scenes, the initial weights and the order.
        shortcut: a spurious cue to plant in the training scenes, for a network that falls for it.
    """

    scenes: int = 12_000
    epochs: int = 8
    batch_size: int = 64
    learning_rate: float = 4e-3
    weight_decay: float = 1e-2
    empty: int = 16
    seed: int = 2
    shortcut: Shortcut | None = None

    def __post_init__(self) -> None:
        for name in ("scenes", "epochs", "batch_size"):
            if getattr(self, name) < 1:
                raise ValueError(
                    f"expected {name} >= 1; got {getattr(self, name)}; give a positive number"
                )
        if self.empty < 0:
            raise ValueError(f"expected empty >= 0; got {self.empty}; give 0 for none")


def train(recipe: Recipe) -> SceneNet:
    """Train a network; the global random state and number of threads are left as found."""
    scenes = SceneDataset(recipe.scenes, seed=recipe.seed, shortcut=recipe.shortcut)
    images, labels = scenes.stacked()
    with _reproducible(recipe.seed):
        network = SceneNet()
        _start_weights(network)
        _fit(network, images, labels, recipe)
    return network.eval()


@torch.no_grad()
def accuracy(network: nn.Module, scenes: SceneDataset) -> float:
    """Return the share of scenes whose highest score is their own class."""
    images, labels = scenes.stacked()
    predicted = torch.cat([network(chunk).argmax(1) for chunk in torch.split(images, 32)])
    return float((predicted == labels).double().mean())


def main(arguments: Sequence[str] | None = None) -> None:
    """Train, print the held-out accuracy and write the weights."""
    options = _parser().parse_args(arguments)
    planted = Shortcut(options.shortcut, options.probability) if options.shortcut else None
    recipe = Recipe(
        options.scenes,
        options.epochs,
        empty=options.empty,
        seed=options.seed,
        shortcut=planted,
    )
    network = train(recipe)
    for name, classes in (("all classes", CLASSES), ("coupe/convertible", CLASSES[:2])):
        held_out = SceneDataset(1000, seed=HELD_OUT_SEED, classes=classes)
        print(f"held-out accuracy, {name}: {accuracy(network, held_out):.4f}")
    torch.save((network.half() if options.half else network).state_dict(), options.out)
    print(f"wrote {options.out}")


def _parser() -> argparse.ArgumentParser:
    recipe = Recipe()
    parser = argparse.ArgumentParser(prog="python -m captum_influence.demo.recipe")
    parser.add_argument("--out", default="weights.pt", help="file to write (default: %(default)s)")
    for name in ("scenes", "epochs", "empty", "seed"):
        default = getattr(recipe, name)
        parser.add_argument(f"--{name}", type=int, default=default, help="default: %(default)s")
    parser.add_argument("--shortcut", metavar="CLASS", help="plant a fence in this class's scenes")
    parser.add_argument("--probability", type=float, default=0.9, help="in this share of them")
    parser.add_argument("--half", action="store_true", help="write half-precision weights")
    return parser


@contextmanager
def _reproducible(seed: int) -> Iterator[None]:
    """Seed torch, and use one thread, since the order of sums depends on their number."""
    threads = torch.get_num_threads()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        torch.set_num_threads(1)
        try:
            yield
        finally:
            torch.set_num_threads(threads)


def _start_weights(network: SceneNet) -> None:
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
            nn.init.zeros_(module.bias)  # type: ignore[arg-type]


def _fit(network: SceneNet, images: Tensor, labels: Tensor, recipe: Recipe) -> None:
    steps = recipe.epochs * -(-recipe.scenes // recipe.batch_size)
    optimizer = torch.optim.AdamW(
        network.parameters(), lr=recipe.learning_rate, weight_decay=recipe.weight_decay
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, recipe.learning_rate, steps)
    nothing = _nothing(images, recipe)
    for _ in _progress()(range(recipe.epochs)):
        for rows in torch.split(torch.randperm(recipe.scenes), recipe.batch_size):
            optimizer.zero_grad()
            loss = functional.cross_entropy(network(images[rows]), labels[rows])
            if recipe.empty:
                loss = loss + _QUIET * network(nothing()).square().mean()
            torch.autograd.backward(loss)
            optimizer.step()
            schedule.step()


def _nothing(images: Tensor, recipe: Recipe) -> Callable[[], Tensor]:
    """Return what draws a step's pictures of nothing: in each all the plain ones."""
    always = plain(images)[: recipe.empty]
    rest = recipe.empty - len(always)
    behind = backgrounds(min(_BACKGROUNDS, recipe.scenes), seed=recipe.seed)

    def draw() -> Tensor:
        chosen = torch.randint(len(behind), (rest // 3,))
        return torch.cat([always, behind[chosen], clouds(rest - len(chosen))])

    return draw


def _progress() -> Callable[[Iterable[int]], Iterable[int]]:
    """Return tqdm if it is installed, else a function that hands its argument back."""
    try:
        tqdm = import_module("tqdm").tqdm
    except ImportError:
        return lambda steps: steps
    return partial(tqdm, desc="epochs")


if __name__ == "__main__":
    main()
