"""Directions fitted to a layer: a sample of its places, factorised by scikit-learn."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from captum_influence.attr.distributions import Point
from captum_influence.attr.influence import DistributionalInfluence
from captum_influence.attr.quantities import Quantity
from captum_influence.attr.run import Run
from captum_influence.data.bars import progress
from captum_influence.data.batches import images_of
from captum_influence.network.axes import channel_of
from captum_influence.network.cuts import Cut, refuse_basis
from captum_influence.network.devices import device_of
from captum_influence.network.inputs import network_of
from captum_influence.network.reading import activations, one_tensor
from captum_influence.reports.shown import Shown
from captum_influence.reports.words import counted
from captum_influence.units.dictionaries.directions import Directions, channel_among
from captum_influence.units.given_loader import GivenLoader
from captum_influence.visualization.numbers import percent

__all__ = ["Method", "fitted"]

Method = Literal["nmf", "pca"]

_WORDS = {"nmf": "a non-negative factorisation", "pca": "the principal axes"}
_STEPS = 1000  # at most


def fitted(
    model: nn.Module,
    cut: Cut,
    loader: Iterable[Any],
    k: int,
    method: Method,
    quantity: Quantity | None,
    axis: int | None,
    samples: int,
    run: Run,
) -> tuple[Directions, str]:
    """Return the directions, and how they were found in words; see :meth:`Dictionary.fit`."""
    refuse_basis(cut, "Dictionary.fit")
    _check(method, quantity, k, samples)
    sample = _sampled(network_of(model, run.output), cut, loader, quantity, axis, samples, run)
    _check_rows(sample, k, method)
    found = _factorised(sample, k, method, run.seed)
    return found, _in_words(found, sample, method, quantity)


@dataclass(frozen=True, eq=False, kw_only=True)
class _Sample:
    """Places of a layer, drawn at random.

    Attributes:
        rows: (places, channels) their activations.
        factorised: shaped alike, what is factorised: these, or what they contribute.
        inputs: of how many inputs.
        axis: the dimension that counts channels.
    """

    rows: Tensor
    factorised: Tensor
    inputs: int
    axis: int


def _sampled(
    model: nn.Module,
    cut: Cut,
    loader: Iterable[Any],
    quantity: Quantity | None,
    axis: int | None,
    samples: int,
    run: Run,
) -> _Sample:
    """Draw places evenly from all batches: those with the smallest of random keys, in one pass."""
    given = GivenLoader.of(model, loader, Shown(), labelled=False)
    model, loader = given.network, given.loader
    generator, inputs = torch.Generator().manual_seed(run.seed), 0
    keys, kept = torch.empty(0, dtype=torch.float64), torch.empty(0)
    for images in progress(
        images_of(loader, device_of(model)), "activations", unit="batch", show=run.show_progress
    ):
        here = activations(model, images, cut)
        if axis is None:
            axis = channel_of(model, cut, images) or channel_among(here.ndim, None)
        asked = here if quantity is None else _contributions(model, cut, images, quantity, run)
        both = torch.stack([_rows(here, axis), _rows(asked, axis)], dim=1)
        keys = torch.cat([keys, torch.rand(len(both), generator=generator, dtype=keys.dtype)])
        kept = torch.cat([kept, both]) if inputs else both
        keys, order = keys.topk(min(samples, len(keys)), largest=False)
        kept, inputs = kept[order], inputs + len(images)
    return _Sample(rows=kept[:, 0], factorised=kept[:, 1], inputs=inputs, axis=int(axis or 0))


def _rows(values: Tensor, axis: int) -> Tensor:
    """Return values of a layer (places, channels), on the CPU, in float32 or better."""
    rows = values.detach().movedim(channel_among(values.ndim, axis), -1)
    rows = rows.to(torch.promote_types(rows.dtype, torch.float32))
    return rows.reshape(-1, rows.shape[-1]).cpu()


def _contributions(
    model: nn.Module, cut: Cut, images: Tensor, quantity: Quantity, run: Run
) -> Tensor:
    """Return what raises the quantity: gradient times activation, where that is positive."""
    measure = DistributionalInfluence(
        model, cut, distribution=Point(), quantity=quantity, multiply_by_inputs=True
    )
    found = measure.attribute(images, internal_batch_size=run.internal_batch_size)
    return one_tensor(found if isinstance(found, tuple) else (found,), cut).clamp(min=0)


def _factorised(sample: _Sample, k: int, method: Method, seed: int) -> Directions:
    decomposition, rows = _decomposition(), sample.factorised.numpy()
    if method == "pca":
        fit = decomposition.PCA(k, random_state=seed).fit(rows)
        offset = torch.as_tensor(fit.mean_)
        return Directions(vectors=torch.as_tensor(fit.components_), offset=offset, axis=sample.axis)
    fit = decomposition.NMF(k, init="nndsvda", random_state=seed, max_iter=_STEPS)
    with warnings.catch_warnings():
        # Any factorisation is a basis: one that could be a little better still is no worse for it.
        warnings.simplefilter("ignore")
        codes = torch.as_tensor(fit.fit_transform(rows))
    vectors = torch.as_tensor(fit.components_)
    lengths = vectors.norm(dim=1)
    if not bool(lengths.all()):
        raise ValueError(
            f"expected {k} concepts, got {int((lengths == 0).sum())} that say nothing: lower k, or "
            "take inputs that the layer answers"
        )
    order = (codes.norm(dim=0) * lengths).argsort(descending=True, stable=True)  # most said first
    unit = (vectors / lengths[:, None])[order]
    return Directions(vectors=unit, nonnegative=True, axis=sample.axis)


def _decomposition() -> Any:
    try:
        import sklearn.decomposition
    except ImportError:
        raise ImportError(
            "Dictionary.fit factorises by scikit-learn, which isn't installed: pip install "
            "'captum_influence[concepts]'"
        ) from None
    return sklearn.decomposition


def _in_words(found: Directions, sample: _Sample, method: Method, quantity: Quantity | None) -> str:
    coding = Directions(vectors=found.vectors, offset=found.offset, nonnegative=found.nonnegative)
    rest = sample.rows - coding.decode(coding.encode(sample.rows))
    centred = sample.rows - (0 if found.offset is None else found.offset)
    held = 1 - float(rest.double().square().sum() / centred.double().square().sum())
    whole = "squares" if found.offset is None else "variance"
    of = "activations" if quantity is None else f"what raises {quantity.in_words()}"
    return (
        f"{len(found.vectors)} concepts, {_WORDS[method]} of {of} at "
        f"{counted(len(sample.rows), 'place')} of {counted(sample.inputs, 'input')}; they hold "
        f"{percent(held)} of the {whole} of the activations"
    )


def _check(method: str, quantity: Quantity | None, k: int, samples: int) -> None:
    if method not in _WORDS:
        raise ValueError(f'expected method="nmf" or method="pca", got {method!r}')
    if method == "pca" and quantity is not None:
        raise ValueError(
            'expected method="nmf" beside a quantity, whose positive parts are factorised, got '
            '"pca": leave one out'
        )
    if min(k, samples) < 1:
        raise ValueError(f"expected k and samples as positive numbers, got {k} and {samples}")


def _check_rows(sample: _Sample, k: int, method: Method) -> None:
    rows = sample.rows
    if method == "nmf" and float(rows.min()) < 0:
        raise ValueError(
            "expected activations of at least zero to factorise, got negative ones: take the layer "
            'behind a ReLU, or method="pca"'
        )
    if k > min(rows.shape):
        raise ValueError(
            f"expected k of at most {min(rows.shape)}, as there are {rows.shape[1]} channels and "
            f"{len(rows)} places in the sample, got {k}"
        )
