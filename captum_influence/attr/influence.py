"""Captum's face of the measure: a question in Captum's words in, Captum's shapes out."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

from captum.attr import GradientAttribution, LayerAttribution
from captum.log import log_usage
from torch import Tensor, nn

from captum_influence.attr.calls import Call, Given
from captum_influence.attr.distributions import Distribution
from captum_influence.attr.inputs import Inputs
from captum_influence.attr.integral.answers import (
    Answer,
    Question,
    Start,
    StartAtLayer,
    answer,
    by_cut,
)
from captum_influence.attr.integral.execution import Computation, Execution, LastChosen
from captum_influence.attr.integral.last_scores import last_scores_only
from captum_influence.attr.integral.problem import Options, Problem
from captum_influence.attr.paths import LinearPath
from captum_influence.attr.points import Tensors, Values
from captum_influence.attr.quantities import ClassScore, Quantity
from captum_influence.attr.sampling import Sampling
from captum_influence.attr.through import Step, gates
from captum_influence.data.items import Accepts
from captum_influence.network.captum_private import format_additional_forward_args, format_output
from captum_influence.network.cuts import Cut, Forward, Side
from captum_influence.network.inputs import network_of
from captum_influence.network.slices import Slice

__all__ = ["DistributionalInfluence"]

Layer = nn.Module | str | Cut


class _Steps(int):
    """A number of steps that nobody gave, told from the same number by its identity."""


class _Method(str):
    """A method that nobody gave."""


_N_STEPS, _METHOD = _Steps(50), _Method("gausslegendre")  # Captum's defaults


class DistributionalInfluence(LayerAttribution, GradientAttribution):  # type: ignore[misc]
    r"""Distributional internal influence :math:`\chi_j = E_{x\sim P}[\partial q/\partial z_j]`.

    A drop-in for Captum's ``InternalInfluence``, which is the case of a straight path from a
    baseline and a class score.

    Args:
        forward_func: the network, or a function that runs it.
        layer: a module, a dotted name, a :class:`Cut`, or a list of these, also upstream of one
            another: all are answered from one pass, as a list in the same order.
        device_ids: as in Captum; more than one device is refused.
        distribution: P; None: the path that ``attribute``'s ``baselines`` and ``n_steps`` describe.
        quantity: q, or a list of them (results gain a leading dimension); None: the class score
            that ``attribute``'s ``target`` names.
        sample_at: the layer where P lives; None: the inputs, or, of token ids between which
            there is nothing, the first module that embeds them.
        measure_at: the layer that q reads; None: the output of ``forward_func``.
        multiply_by_inputs: multiply by the displacement z(x) - z(reference).
        reference: an input, or :class:`Inputs`, where displacements start, in place of the
            distribution's own (the baseline of a path; zero activation for ``Point``, ``Noise``
            and ``Samples``).
        displacement: ``"end"``, z(x) - z(reference); a :class:`Replacement`, z(x) less what a
            removal would put there, which is what :func:`explain` ranks by (of several layers also
            one for each); or ``"along"``: E[∂q/∂z · dz/dα] along a path, which multiplies by
            itself and adds up to q(x) - q(baseline) at every layer that all must pass.
        through: pairs of a layer and some of its units, in the order in which the network comes to
            them: only what passes these units counts, and nothing that goes round the layer.
        execution: how it is computed; see :class:`Execution`.

    Source: Leino et al. 2018, arXiv 1802.03788.

    Example:
        >>> model = torch.nn.Sequential(
        ...     torch.nn.Linear(3, 4), torch.nn.ReLU(), torch.nn.Linear(4, 2)
        ... )
        >>> DistributionalInfluence(model, "1").attribute(torch.rand(5, 3), target=1).shape
        torch.Size([5, 4])
    """

    def __init__(
        self,
        forward_func: Callable[..., Any],
        layer: Layer | Sequence[Layer],
        device_ids: list[int] | None = None,
        *,
        distribution: Distribution | None = None,
        quantity: Quantity | Sequence[Quantity] | None = None,
        sample_at: Layer | None = None,
        measure_at: Layer | None = None,
        multiply_by_inputs: bool = False,
        reference: Values | Inputs | Mapping[str, Any] | None = None,
        displacement: Literal["end", "along"] | StartAtLayer | Sequence[StartAtLayer] = "end",
        through: Sequence[tuple[Any, Any]] | None = None,
        execution: Execution | None = None,
    ) -> None:
        LayerAttribution.__init__(self, forward_func, layer, device_ids)
        GradientAttribution.__init__(self, forward_func)
        if distribution is not None and not isinstance(distribution, Distribution):
            raise TypeError(
                f"expected a Distribution, got {type(distribution).__name__}; e.g. Noise(0.1)"
            )
        self.distribution = distribution
        self.quantity = quantity
        self.sample_at = None if sample_at is None else Cut.ensure(sample_at)
        self.measure_at = None if measure_at is None else Cut.ensure(measure_at)
        self.reference, self.displacement = reference, displacement
        self._starts()  # what is none is refused at once
        self.through = Step.all_of(through)
        self.execution = execution or Execution()
        self._compiled: dict[nn.Module, Callable[..., Any]] = {}
        self._last = LastChosen()
        self._multiply_by_inputs = multiply_by_inputs or self._along

    def __getstate__(self) -> dict[str, Any]:
        """Leave out what was compiled: it belongs to this network in this process."""
        return {**self.__dict__, "_compiled": {}}

    @property
    def multiplies_by_inputs(self) -> bool:
        """Whether influences are multiplied by displacements (Captum's word for it)."""
        return self._multiply_by_inputs

    @property
    def _along(self) -> bool:
        return isinstance(self.displacement, str) and self.displacement == "along"

    @property
    def chosen(self) -> Computation | None:
        """How this thread's last call of ``attribute`` was computed, and why; None before it."""
        return self._last.value

    def _starts(self) -> Sequence[StartAtLayer] | None:
        """Return where displacements start at each layer; None: at an input."""
        said, layers = self.displacement, self.layer
        if self._along or (isinstance(said, str) and said == "end"):
            return None
        many = len(layers) if isinstance(layers, list | tuple) else 1
        starts: list[Any] = list(said) if isinstance(said, list | tuple) else [said] * many
        wrong = [type(one).__name__ for one in starts if not isinstance(one, StartAtLayer)]
        if wrong or len(starts) != many:
            raise TypeError(
                'expected displacement="end", "along" or a Replacement, as '
                f"MeanActivation.of([other]), or a list of one for each of {many} layers, got "
                f"{', '.join(wrong) or len(starts)}"
            )
        return starts

    def has_convergence_delta(self) -> bool:
        """Return whether there is a completeness to fall short of: only with displacements."""
        return self._multiply_by_inputs

    def attribute_future(self, *args: Any, **kwargs: Any) -> None:
        """Refuse: the network is differentiated, which futures don't allow."""
        raise NotImplementedError(
            "DistributionalInfluence has no asynchronous form: call attribute with the same "
            "arguments"
        )

    @log_usage(part_of_slo=True)
    def attribute(
        self,
        inputs: Given,
        baselines: Values | Inputs | Mapping[str, Any] | None = None,
        target: Any = None,
        additional_forward_args: Any = None,
        n_steps: int = _N_STEPS,
        method: str = _METHOD,
        internal_batch_size: int | None = None,
        attribute_to_layer_input: bool = False,
        grad_kwargs: Mapping[str, Any] | None = None,
        *,
        forward_kwargs: Mapping[str, Any] | None = None,
        return_convergence_delta: bool = False,
        return_standard_error: bool = False,
        return_error_estimate: bool = False,
        return_points: bool = False,
        show_progress: bool = False,
    ) -> Any:
        """Return the influence of every unit of the layer, for each example.

        The first nine arguments are those of Captum's ``InternalInfluence.attribute``.

        Args:
            inputs: a tensor (examples, ...), a tuple of these, or a mapping such as a
                ``BatchEncoding``, whose tensors go to the network by name.
            baselines: where the path starts. With ``sample_at`` it is still an input; the path
                then runs between the two activations, as in ``LayerIntegratedGradients``.
            target: the class; see :class:`ClassScore`.
            additional_forward_args: further arguments; tensors of ``examples`` rows follow them.
            forward_kwargs: the same, by name.
            n_steps: the number of points of the path.
            method: its quadrature rule, one of Captum's strings.
            internal_batch_size: (example, point) rows per pass, any positive number; None: chosen.
            attribute_to_layer_input: the input side of modules and names (a Cut says its own).
            grad_kwargs: for ``torch.autograd.grad``; ``create_graph`` makes results differentiable.
            return_convergence_delta: also return, per example, how far the sum of attributions is
                from q(x) - q(reference).
            return_standard_error: also return the standard error, if the distribution draws.
            return_error_estimate: also return, per example, the L2 distance between the midpoint
                rule on n points and on n / 3 of them; 0.45 of it bounded the error in most
                examples measured, though not on all networks.
            return_points: also return how many points each example took.
            show_progress: show a progress bar.

        Returns:
            A tensor shaped like the layer (a tuple if it has several), a list of these for a list
            of layers. What else was asked for follows, in the order of the arguments.
        """
        self._check_choice(baselines, n_steps, method, target)
        call = self._call(inputs, additional_forward_args, forward_kwargs or {})
        distribution = self.distribution or _path(baselines, n_steps, method)
        rows = _checked_rows(internal_batch_size)
        options = Options(rows, dict(grad_kwargs or {}), show_progress, self.execution)
        sampling = Sampling.of(call, distribution, self.sample_at, self._network)
        slice_ = self._slice(attribute_to_layer_input, sampling.sample_at, options)
        with slice_.opened():
            question = Question(
                self._problem(slice_, distribution, call, sampling, target, options),
                options,
                multiply=self.multiplies_by_inputs,
                reference=self._reference(call, sampling, slice_),
                starts=self._starts() if self.multiplies_by_inputs else None,
                along=self._along,
                delta=return_convergence_delta,
                standard_error=return_standard_error,
                error_estimate=return_error_estimate,
                points=return_points,
            )
            return self._formatted(answer(question), question)

    def _call(self, inputs: Given, arguments: Any, keywords: Mapping[str, Any]) -> Call:
        given = tuple(format_additional_forward_args(arguments) or ())
        return Call.of(inputs, given, keywords, Accepts.of(self._network))

    @property
    def _network(self) -> Forward:
        forward = self.forward_func
        return network_of(forward) if isinstance(forward, nn.Module) else forward

    def _check_choice(self, baselines: object, n_steps: int, method: str, target: object) -> None:
        path_given = baselines is not None or n_steps is not _N_STEPS or method is not _METHOD
        if self.distribution is not None and path_given:
            raise ValueError(
                "the distribution was given to the constructor, and baselines, n_steps or method "
                "to attribute: give one of the two, e.g. LinearPath(baseline, n, rule)"
            )
        if self.quantity is not None and target is not None:
            raise ValueError(
                "the quantity was given to the constructor, and target to attribute: give one of "
                "the two, e.g. ClassScore(target)"
            )

    def _problem(
        self,
        slice_: Slice,
        distribution: Distribution,
        call: Call,
        sampling: Sampling,
        target: Any,
        options: Options,
    ) -> Problem:
        """Return what is asked of the inputs."""
        inputs, arguments = call.split(sampling.moved, slice_.admitted)
        quantities = [q.seeing(call.named) for q in self._quantities(target, call.examples)]
        settled = slice_.settled(inputs, arguments)
        problem = Problem(slice_, distribution, quantities, inputs, settled)
        problem = last_scores_only(problem, self._network)
        problem = replace(problem, gates=gates(problem, self.through))
        return replace(problem, distribution=sampling.located(call, problem, options))

    def _reference(self, call: Call, sampling: Sampling, slice_: Slice) -> Start | None:
        """Return the inputs where displacements start, and the arguments beside them."""
        if self.reference is None:
            return None
        other = call.changed(self.reference, "reference")
        inputs, arguments = other.split(sampling.moved, slice_.admitted)
        return inputs, slice_.settled(inputs, arguments)

    def _slice(self, at_input: bool, sample_at: Cut | None, options: Options) -> Slice:
        if len(self.device_ids or ()) > 1:
            raise ValueError(
                f"device_ids names {len(self.device_ids)} devices: attribute on one, and start one "
                "process per device with torchrun"
            )
        layers = self.layer if isinstance(self.layer, (list, tuple)) else [self.layer]
        if not layers:
            raise ValueError("expected at least one layer, got an empty list")
        side: Side = "input" if at_input else "output"
        cuts = [
            # Captum's meaning of a layer's input: the tensor, with all who read it.
            layer if isinstance(layer, Cut) else Cut(layer, side, shared=side == "input")
            for layer in layers
        ]
        return Slice(
            self.forward_func,
            [*cuts, *(step.cut for step in self.through)],
            sample_at=sample_at,
            measure_at=self.measure_at,
            differentiable=bool(options.grad_kwargs.get("create_graph", False)),
            compile_mode=self.execution.compile,
            compiled=self._compiled,
        )

    def _quantities(self, target: Any, examples: int) -> tuple[Quantity, ...]:
        asked: Any = ClassScore(target) if self.quantity is None else self.quantity
        listed = asked if isinstance(asked, (list, tuple)) else [asked]
        quantities = tuple(Quantity.ensure(quantity) for quantity in listed)
        if not quantities:
            raise ValueError("expected at least one quantity, got an empty list")
        for quantity in quantities:
            if quantity.examples not in (None, examples):
                raise ValueError(
                    f"{type(quantity).__name__} holds targets or labels for {quantity.examples} "
                    f"examples, but there are {examples} inputs: pass one for all, or one for each"
                )
        return quantities

    def _formatted(self, found: Answer, question: Question) -> Any:
        """Return what was found in Captum's shapes, and remember how."""
        self._last.value = found.chosen
        several = isinstance(self.quantity, (list, tuple))
        many = isinstance(self.layer, (list, tuple))

        def shaped(tensors: Tensors) -> Any:
            chosen = [tensor if several else tensor[0] for tensor in tensors]
            layers = [format_output(len(c) > 1, c) for c in by_cut(chosen, found.tensors)]
            return layers if many else layers[0]

        def by_example(numbers: Sequence[Tensor]) -> Any:
            layers = [number if several else number[0] for number in numbers]
            return layers if many else layers[0]

        parts = [shaped(found.attributions)]
        parts += [by_example(found.deltas)] if question.delta else []
        parts += [shaped(found.errors)] if question.standard_error else []
        parts += [by_example(found.estimates)] if question.error_estimate else []
        parts += [found.points] if question.points else []
        return parts[0] if len(parts) == 1 else tuple(parts)


def _path(baselines: Any, n_steps: int, method: str) -> LinearPath:
    return LinearPath(
        Inputs.ensure(0.0 if baselines is None else baselines), int(n_steps), str(method)
    )


def _checked_rows(internal_batch_size: int | None) -> int | None:
    if internal_batch_size is None:
        return None
    if not hasattr(internal_batch_size, "__index__"):
        raise TypeError(
            "internal_batch_size counts (example, point) rows: expected a whole number, got "
            f"{internal_batch_size!r}"
        )
    if internal_batch_size < 1:
        raise ValueError(
            "internal_batch_size counts (example, point) rows: expected a positive number, got "
            f"{internal_batch_size}"
        )
    return operator.index(internal_batch_size)
