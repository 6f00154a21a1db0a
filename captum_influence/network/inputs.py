"""The network and the one input, as users give them."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn

from captum_influence.data.items import Accepts, leading_names
from captum_influence.network.devices import device_of
from captum_influence.network.outputs import (
    Output,
    Standing,
    answering,
    named_alike,
    scores_in,
    tensor_of,
)
from captum_influence.network.reading import output_of

__all__ = [
    "behind_embedding",
    "beside_others",
    "examples_of",
    "network_of",
    "none_of",
    "noun_of",
    "one_by_name",
    "one_input",
    "takes_prompts",
    "taking_prompts",
]


def network_of(model: nn.Module, output: Output = None) -> nn.Module:
    """Return the network inside torch.compile or DataParallel, which own no layers.

    Args:
        model: the network, as a user has it.
        output: which tensor of what it returns is meant; None: it is returned as it is.

    Raises:
        TypeError: if it is no network.
    """
    if not isinstance(model, nn.Module):
        raise TypeError(f"expected the network as a torch.nn.Module, got {type(model).__name__}")
    if output is not None:
        return answering(network_of(model), output)
    if isinstance(model, nn.DataParallel):
        return network_of(model.module)
    inner = getattr(model, "_orig_mod", None)
    return network_of(inner) if isinstance(inner, nn.Module) else model


def one_input(model: nn.Module, image: Tensor) -> Tensor:
    """Return one input as a batch of one, without a history.

    A picture may come as (channels, height, width) or (1, channels, height, width), a series as
    (1, channels, steps), a row of features as (features,) or (1, features).

    Raises:
        TypeError: if it is no tensor of floats.
        ValueError: if it is a batch, is empty, or holds NaN.
    """
    if not isinstance(image, Tensor) or not image.is_floating_point():
        came = image.dtype if isinstance(image, Tensor) else type(image).__name__
        raise TypeError(
            "expected the image as a tensor of floats, as the network takes it, got "
            f"{came}: preprocess it first, an array by torch.from_numpy(array).float(), a picture "
            "by Preprocessing(224, ...)(picture)"
        )
    if image.ndim >= 4 and len(image) > 1:
        raise ValueError(
            f"expected one picture, got a batch of {len(image)}: pass image[i], one at a time"
        )
    if image.ndim not in (1, 2, 3, 4) or 0 in image.shape or (image.ndim == 2 and len(image) > 1):
        raise ValueError(
            "expected an image of shape (channels, height, width) or (1, channels, height, width), "
            f"or a series (1, channels, steps), got {tuple(image.shape)}"
            f"{': image[None] is a picture of one channel' if image.ndim == 2 else ''}"
        )
    if not bool(image.isfinite().all()):
        raise ValueError(f"the image of shape {tuple(image.shape)} holds NaN or infinite pixels")
    inputs = image.detach()
    if inputs.ndim == 1 or (inputs.ndim == 3 and len(inputs) > 1):
        return inputs[None]
    return inputs if inputs.ndim != 3 else _batch_of_one(model, inputs)


def one_by_name(network: nn.Module, given: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """Return which tensor of one input is explained, and all that the network is given by name.

    Explained are the floats, such as a picture beside its question; else the token ids. Tensors
    have a row for the one example, and lie where the network does.

    Args:
        network: the network.
        given: tensors by the names of its arguments, such as a ``BatchEncoding``.

    Raises:
        TypeError: if there is no tensor to explain, or several.
        ValueError: if it is more than one example, is empty, or holds NaN.
    """
    tensors = {name: value for name, value in given.items() if isinstance(value, Tensor)}
    if not tensors:
        kinds = {name: type(value).__name__ for name, value in given.items()}
        raise TypeError(
            f'expected tensors by name, got {kinds}: say return_tensors="pt" to the tokenizer'
        )
    name, *more = leading_names(tensors, Accepts.of(getattr(network, "stands_for", network)))
    if more:
        raise TypeError(
            f"expected one input of floats to explain, got {[name, *more]}: ask "
            "DistributionalInfluence, which takes several"
        )
    alone = tensors[name].ndim == 1  # token ids without a batch
    if not alone and len(tensors[name]) > 1:
        raise ValueError(
            f"expected one example, got a batch of {len(tensors[name])}: pass them one at a time, "
            "as {name: tensor[:1] for name, tensor in inputs.items()}"
        )
    device = device_of(network)
    placed = {n: (x[None] if alone and x.ndim else x).to(device) for n, x in tensors.items()}
    if placed[name].numel() == 0 or not bool(placed[name].isfinite().all()):
        raise ValueError(
            f"the input {name!r} of shape {tuple(placed[name].shape)} is empty, or holds NaN or "
            "infinity"
        )
    return name, {**given, **placed}


def beside_others(network: nn.Module, name: str, others: Mapping[str, Any]) -> nn.Module:
    """Return a network that takes one tensor, and is given the rest by name, the same for all rows.

    Args:
        network: the network.
        name: of the tensor.
        others: of one example; tensors have a row for it.
    """
    return named_alike(_Beside, network)(network, name, others)


class _Beside(Standing):
    def __init__(self, network: nn.Module, name: str, others: Mapping[str, Any]) -> None:
        super().__init__(network)
        self.__dict__["name"], self.__dict__["others"] = name, dict(others)

    def standing_for(self, network: nn.Module) -> nn.Module:
        return beside_others(network, self.__dict__["name"], self.__dict__["others"])

    def forward(self, inputs: Tensor) -> Any:
        others = {name: _for_rows(x, len(inputs)) for name, x in self.__dict__["others"].items()}
        return self.stands_for(**{self.__dict__["name"]: inputs}, **others)


def behind_embedding(network: nn.Module, name: str, ids: Tensor) -> nn.Module:
    """Return a copy of a network that takes what embeds its token ids, (rows, tokens, features).

    Args:
        network: takes token ids.
        name: of the module that embeds them.
        ids: (1, tokens), of which a network may read more than their embedding, such as the pads.
    """
    copied = copy.deepcopy(network)
    above, _, own = name.rpartition(".")
    setattr(copied.get_submodule(above), own, _Handed(copied.get_submodule(name)))
    return named_alike(_Embedded, network)(copied, name, ids)


class _Handed(nn.Module):
    """In the place of an embedding, whose weight may have other readers: hands on what it gets."""

    def __init__(self, embedding: nn.Module) -> None:
        super().__init__()
        self.weight = embedding.weight
        self.value: Tensor | None = None

    def forward(self, ids: Tensor) -> Tensor | None:
        return self.value


class _Embedded(Standing):
    def __init__(self, network: nn.Module, name: str, ids: Tensor) -> None:
        super().__init__(network)
        self.__dict__["name"], self.__dict__["ids"] = name, ids

    def standing_for(self, network: nn.Module) -> nn.Module:
        return named_alike(_Embedded, network)(network, self.__dict__["name"], self.__dict__["ids"])

    def forward(self, embedded: Tensor) -> Any:
        handed = cast("_Handed", self.stands_for.get_submodule(self.__dict__["name"]))
        handed.value = embedded
        try:
            return self.stands_for(_for_rows(self.__dict__["ids"], len(embedded)))
        finally:
            handed.value = None  # a tensor of a graph would keep the network from being copied


def taking_prompts(
    network: nn.Module, names: Sequence[str], *, masked: bool = False, last: bool = False
) -> nn.Module:
    """Return a network that takes prompts of equally many tokens as one tensor.

    That is int64 (examples, fields, tokens), without pads.

    Args:
        network: the network.
        names: of its arguments, one for each field.
        masked: whether it is given an attention mask, of ones.
        last: whether it answers with the scores of the last token alone.
    """
    return named_alike(_Prompted, network)(network, names, masked, last)


def takes_prompts(network: nn.Module) -> bool:
    """Return whether it is one that :func:`taking_prompts` returned."""
    return isinstance(network, _Prompted)


def noun_of(network: nn.Module) -> str:
    """Return what one of a network's inputs is called: a prompt, or a picture."""
    return "prompt" if takes_prompts(network) else "picture"


def none_of(network: nn.Module, target: int) -> str:
    """Return that a loader holds no input of a class, and what to do."""
    noun = "prompt" if takes_prompts(network) else "image"
    return f"the loader holds no {noun} of class {target}: give one that does"


class _Prompted(Standing):
    def __init__(self, network: nn.Module, names: Sequence[str], masked: bool, last: bool) -> None:
        super().__init__(network)
        self.__dict__["told"] = tuple(names), masked, last

    def standing_for(self, network: nn.Module) -> nn.Module:
        return named_alike(_Prompted, network)(network, *self.__dict__["told"])

    def forward(self, prompts: Tensor) -> Any:
        names, masked, last = self.__dict__["told"]
        given = dict(zip(names, prompts.unbind(1), strict=True))
        mask = {"attention_mask": torch.ones_like(prompts[:, 0])} if masked else {}
        returned = self.stands_for(**given, **mask)
        return tensor_of(returned)[:, -1] if last else returned


def _for_rows(value: Any, rows: int) -> Any:
    """Return a row for each of several rows; what is for all stays so."""
    if not isinstance(value, Tensor) or value.ndim == 0 or len(value) != 1:
        return value
    return value.expand(rows, *value.shape[1:])


def examples_of(model: nn.Module, inputs: Tensor) -> Tensor:
    """Return inputs with their examples first: one picture without a batch gets one.

    What has three dimensions is taken for a batch (examples, steps, features) where the network
    answers it with a row for each; else for a picture (channels, height, width) where it does that.
    """
    if inputs.ndim != 3 or _fit(model, inputs) == 2 or _fit(model, inputs[None]) < 2:
        return inputs
    return inputs[None]


def _batch_of_one(model: nn.Module, inputs: Tensor) -> Tensor:
    """Return (1, n, m) as the network takes it: a picture of one colour, or one series.

    Many layers take both, so that it isn't enough that the network runs: one that scores classes
    returns a single row of scores for what it was made for.
    """
    as_picture = _fit(model, inputs[None])
    return inputs[None] if as_picture and as_picture >= _fit(model, inputs) else inputs


def _fit(model: nn.Module, inputs: Tensor) -> int:
    """Return 0 if the network doesn't take it, 2 if it answers each example with a row, else 1."""
    try:
        output = output_of(model, inputs)  # which leaves the network as it was, also if it fails
    except Exception:  # whatever a network says of a shape that it doesn't take
        return 0
    scores = scores_in(output)
    return 2 if scores is not None and len(scores) == len(inputs) else 1
