"""Passes that record layers' gradients, and whether these are the whole: compared with autograd."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from captum_influence.data.batch import Batch
from captum_influence.network.recording import Record, Recorder
from captum_influence.training.gradients import LayerGradient
from captum_influence.training.shared import gathered

__all__ = ["Comparison", "LayerRecorder"]

_ALONE = 4  # examples that are run alone
_BESIDE = [0, 1, 0]  # the example that is looked at stands first and last, beside another
_TOLERANCE = {torch.float64: 1e-6, torch.float32: 2e-3}


@dataclass(eq=False)
class Comparison:
    """Compares recorded gradients with autograd's, once per network.

    A parameter that a function uses beside its module, or a layer that does something else than its
    kind, would have half a gradient, and so would layers that mix examples.

    Attributes:
        layers: those whose gradients are recorded.
        done: whether they were found to be whole.
    """

    layers: Sequence[LayerGradient]
    done: bool = field(default=False, init=False)

    def check(self, recorder: Recorder, batch: Batch) -> None:
        """Compare one example of a batch.

        Raises:
            ValueError: if a gradient differs from autograd's.
        """
        if self.done:
            return
        places = _spread(len(batch))
        try:
            among = recorder.run(batch.arguments).detach()
            alone = [recorder.run(_rows(batch, [place])).detach() for place in places]
        except Exception as error:
            recorder.run(batch.arguments)  # which raises what the network says, if it does
            raise RuntimeError(
                "expected the network to run on one example alone as on a batch, since a training "
                f"example's gradient is its own; it raised {type(error).__name__}: {error}"
            ) from error
        for place, output in zip(places, alone, strict=True):
            if not _close(among[place : place + 1], output, 0.1 * _tolerance(output)):
                raise ValueError(
                    "expected the examples of a batch not to influence one another, but the "
                    "network's output for one differs when it runs alone: it draws at random, "
                    "normalises over the batch, or its first dimension doesn't count examples. "
                    "Give a network whose rows are independent"
                )
        self._check_gradients(recorder, _rows(batch, _BESIDE), _rows(batch, [0]))
        self.done = True

    def _check_gradients(self, recorder: Recorder, few: Sequence[Any], one: Sequence[Any]) -> None:
        output = recorder.run(few)
        vectors = _vectors(output)
        records = gathered(self.layers, recorder.pull_back(output, vectors, last=True))
        found = [_recorded(layer, records[layer.name]) for layer in self.layers]
        alone = recorder.run(one)
        parameters = [p for layer in self.layers for p in layer.parameters.values()]
        gradients = torch.autograd.grad(alone, parameters, vectors[:1], allow_unused=True)
        pieces = iter(
            torch.zeros_like(p) if g is None else g
            for p, g in zip(parameters, gradients, strict=True)
        )
        whole = [torch.cat([next(pieces).flatten() for _ in x.parameters]) for x in self.layers]
        largest = max(float(gradient.norm()) for gradient in whole)
        for layer, ours, theirs in zip(self.layers, found, whole, strict=True):
            if not all(_close(row, theirs, _tolerance(theirs), largest) for row in ours):
                _refuse(layer)


def _spread(count: int) -> list[int]:
    """Return a few places, the first and the last among them."""
    return sorted({(count - 1) * i // (_ALONE - 1) for i in range(_ALONE)})


def _recorded(layer: LayerGradient, record: Record) -> list[Tensor]:
    """Return the recorded gradients of the first and last example, parameter after parameter."""
    named = layer.unflatten(layer.flat(record)[:: len(_BESIDE) - 1])
    return list(torch.cat([named[name].flatten(1) for name in layer.parameters], 1))


def _rows(batch: Batch, rows: Sequence[int]) -> tuple[Any, ...]:
    """Return the network's arguments for some examples."""
    index = torch.tensor(rows).clamp(max=len(batch) - 1)
    return tuple(_taken(argument, index, len(batch)) for argument in batch.arguments)


def _taken(value: Any, index: Tensor, examples: int) -> Any:
    if isinstance(value, tuple | list):
        return type(value)([_taken(item, index, examples) for item in value])
    if isinstance(value, Mapping):
        return {key: _taken(item, index, examples) for key, item in value.items()}
    own = isinstance(value, Tensor) and value.ndim and len(value) == examples
    return value[index.to(value.device)] if own else value


def _vectors(output: Tensor) -> Tensor:
    """Return gradients at the output that nothing makes small, the same for the same example."""
    generator = torch.Generator().manual_seed(0)
    found = torch.randn(output.shape, generator=generator, dtype=torch.float64).to(output)
    return found[_BESIDE]


def _tolerance(like: Tensor) -> float:
    return _TOLERANCE.get(like.dtype, 0.1) * (10 if like.is_cuda else 1)


def _close(a: Tensor, b: Tensor, tolerance: float, largest: float = 0.0) -> bool:
    """Compare up to rounding; what is next to nothing beside the largest is nothing."""
    if not bool(a.isfinite().all() and b.isfinite().all()):
        return True  # it is no number either way
    error, size = float((a - b).norm()), float(b.norm())
    return error <= tolerance * size + tolerance**2 * largest


def _refuse(layer: LayerGradient) -> None:
    raise ValueError(
        f"expected layer '{layer.name}' to be all that uses its parameters, but the gradient "
        "recorded there isn't the whole one that autograd finds: a function shares a parameter "
        "with it, as F.linear(h, self.embed.weight) does, the module does something else than a "
        f"{type(layer.module).__name__} of torch, or its first dimension doesn't count examples. "
        "Use the parameter by modules only (tied ones are summed up), or leave the layer out of "
        "layers="
    )


@dataclass(frozen=True, eq=False)
class LayerRecorder:
    """Runs the network on batches and records the gradients of layers.

    Attributes:
        recorder: entered.
        comparison: made at the first batch.
    """

    recorder: Recorder
    comparison: Comparison

    def run(self, batch: Batch) -> Tensor:
        """Run the network once; afterwards ``pull_back`` may be called several times.

        Raises:
            ValueError: if the layers' gradients aren't whole.
        """
        self.comparison.check(self.recorder, batch)
        return self.recorder.run(batch.arguments)

    def read(self, name: str, batch: int) -> Tensor:
        """Return what a layer read in the last run, (batch, ...)."""
        return self.recorder.read(name, batch)

    def pull_back(self, output: Tensor, vectors: Tensor, *, last: bool) -> dict[str, Record]:
        """Return the records of all layers for ``vectors``, a gradient at the output."""
        records = self.recorder.pull_back(output, vectors, last=last)
        return gathered(self.comparison.layers, records)
