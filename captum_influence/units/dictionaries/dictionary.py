"""Dictionaries: units that are combinations of a layer's channels."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from captum_influence.attr.quantities import Quantity
from captum_influence.attr.run import Run
from captum_influence.data.files import read_tensors, write_tensors
from captum_influence.network.cuts import Cut
from captum_influence.reports.asked import Write, code_of_fields
from captum_influence.units.dictionaries.directions import Directions, channel_among
from captum_influence.units.dictionaries.fitting import Method, fitted

__all__ = ["Dictionary"]

_KIND = "dictionary"


@dataclass(frozen=True, eq=False)
class Dictionary:
    r"""Other units of a layer than its channels: concepts, each a combination of channels.

    ``Cut(layer, basis=dictionary)`` is taken wherever a layer is; its units are the concepts. With
    the codes :math:`c = E(z)` the network goes on with :math:`D(c)` *and the error term*
    :math:`z - D(c)`, so that it stays what it is. A concept's influence is
    :math:`\partial q / \partial c_j` with the error term held fast; its removal puts another code
    in its place.

    Args:
        encode: a layer's tensor to its codes, laid out alike: (examples, k, height, width) of
            (examples, channels, height, width); such as a sparse autoencoder's. Maps of concepts
            and prototypes differentiate it.
        decode: the way back, as far as it goes.
        axis: the dimension that counts channels, and codes; None: the last one of (examples,
            tokens, channels), else 1.
        about: what it is, in words, for pages.

    Example:
        >>> from captum_influence import explain
        >>> from captum_influence.demo import demo_scene, load_demo_network
        >>> halves = Dictionary(lambda z: z / 2, lambda codes: codes * 2)
        >>> cut = Cut("relu5", basis=halves)
        >>> explain(load_demo_network(), demo_scene().image, cut, 0, top=1).units[0].unit.axis
        'concept'
    """

    encode: Callable[[Tensor], Tensor]
    decode: Callable[[Tensor], Tensor]
    axis: int | None = field(default=None, kw_only=True)
    about: str = field(default="", kw_only=True)

    def __post_init__(self) -> None:
        for name in ("encode", "decode"):
            if not callable(getattr(self, name)):
                raise TypeError(
                    f"expected {name} as a function of a tensor, got "
                    f"{type(getattr(self, name)).__name__}; directions as a matrix: "
                    "Dictionary.of(vectors)"
                )

    @staticmethod
    def of(
        vectors: Tensor,
        *,
        offset: Tensor | None = None,
        nonnegative: bool = False,
        axis: int | None = None,
        about: str = "",
    ) -> Dictionary:
        r"""Return the concepts of given directions: probes, principal axes, class prototypes.

        The codes of a place are those for which :math:`\lVert z - m - \sum_j c_j d_j\rVert` is
        least.

        Args:
            vectors: (k, channels), a direction each.
            offset: (channels,) m, what codes of zero stand for; None: zero.
            nonnegative: whether codes are at least zero.
            axis: as in :class:`Dictionary`.
            about: likewise.

        Raises:
            ValueError: if they aren't directions.

        Example:
            >>> import torch
            >>> probe = Dictionary.of(torch.tensor([[1.0, 0.0, -1.0]]))
            >>> probe.encode(torch.tensor([[3.0, 5.0, 1.0]]))
            tensor([[1.]])
        """
        found = Directions(vectors=vectors, offset=offset, nonnegative=nonnegative, axis=axis)
        return Dictionary(found.encode, found.decode, axis=axis, about=about)

    @staticmethod
    def fit(
        model: nn.Module,
        layer: nn.Module | str | Cut,
        loader: Iterable[Any],
        k: int,
        *,
        method: Method = "nmf",
        quantity: Quantity | None = None,
        axis: int | None = None,
        samples: int = 10_000,
        run: Run | None = None,
    ) -> Dictionary:
        r"""Find the k concepts that tell a layer's activations best, on a sample of their places.

        ``"nmf"`` factorises activations that are at least zero into parts that add up; ``"pca"``
        finds the principal axes of any. With a ``quantity``, what raises it is factorised in place
        of the activations: gradient × activation, where that is positive. On pictures,
        fit on others than those that you explain.

        Args:
            model: the network, in eval mode.
            layer: a module, a dotted name or a Cut.
            loader: yields inputs, or (inputs, labels); also prompts, as a tokenizer returns them.
            k: how many.
            method: ``"nmf"`` or ``"pca"``, both by scikit-learn.
            quantity: such as :class:`PredictedClass`; None: the activations themselves.
            axis: the dimension that counts channels; None: as the network says.
            samples: how many places are drawn, evenly from all inputs.
            run: the seed, the progress bar, ...

        Raises:
            ImportError: if scikit-learn isn't installed.
            ValueError: if activations are negative where they mustn't be, or k is out of range.

        Example:
            >>> import torch
            >>> from captum_influence.demo import demo_scene, load_demo_network
            >>> loader = [demo_scene().image[None]]
            >>> concepts = Dictionary.fit(load_demo_network(), "relu5", loader, 4)
            >>> concepts.directions.vectors.shape
            torch.Size([4, 96])
        """
        found, about = fitted(
            model, Cut.ensure(layer), loader, k, method, quantity, axis, samples, run or Run()
        )
        return Dictionary.of(
            found.vectors,
            offset=found.offset,
            nonnegative=found.nonnegative,
            axis=found.axis,
            about=about,
        )

    @property
    def directions(self) -> Directions | None:
        """Its directions; None if it is made of functions of your own."""
        owner = getattr(self.encode, "__self__", None)
        return owner if isinstance(owner, Directions) else None

    def channel(self, ndim: int) -> int:
        """Return which of a tensor's dimensions counts channels, and codes.

        Raises:
            ValueError: if ``axis`` is none of them.
        """
        return channel_among(ndim, self.axis)

    def code(self, write: Write) -> str:
        """Return the Python that builds it; ``write`` returns that of an inner value."""
        found = self.directions
        if found is None:
            return code_of_fields(self, write)
        given = [write(found.vectors, "vectors")]
        given += [] if found.offset is None else [f"offset={write(found.offset, 'offset')}"]
        given += ["nonnegative=True"] if found.nonnegative else []
        given += [] if found.axis is None else [f"axis={found.axis}"]
        given += [f"about={self.about!r}"] if self.about else []
        return f"Dictionary.of({', '.join(given)})"

    def in_words(self) -> str:
        """Return what it is, for pages."""
        if self.about or self.directions is None:
            return self.about or "the codes of the dictionary that was given"
        return f"{len(self.directions.vectors)} given directions"

    def save(self, path: str | PathLike[str]) -> Path:
        """Write its directions to one file, whole or not at all; return where.

        Raises:
            ImportError: if safetensors isn't installed.
            ValueError: if it is made of two functions.
        """
        found = self.directions
        if found is None:
            raise ValueError(
                "expected a dictionary of directions, got one of two functions: save their own "
                "weights, as by torch.save(autoencoder.state_dict(), path)"
            )
        header = {"nonnegative": found.nonnegative, "axis": found.axis, "about": self.about}
        tensors = {"vectors": found.vectors}
        tensors |= {} if found.offset is None else {"offset": found.offset}
        return write_tensors(path, _KIND, header, tensors)

    @staticmethod
    def load(path: str | PathLike[str]) -> Dictionary:
        """Return the dictionary that :meth:`save` wrote.

        Raises:
            FileNotFoundError: if there is no such file.
            ValueError: if it was cut off or altered, or is something else.
        """
        header, tensors = read_tensors(path, _KIND)
        return Dictionary.of(tensors["vectors"], offset=tensors.get("offset"), **header)
