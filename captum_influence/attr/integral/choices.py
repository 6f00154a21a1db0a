"""What is chosen where the execution says ``"auto"``, by rules on shapes and types alone."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import torch

from captum_influence.attr.integral.execution import Computation, Layout, Sharing
from captum_influence.attr.integral.problem import Options, Problem
from captum_influence.network.devices import bfloat16_products
from captum_influence.network.passes.sizes import Sizes

__all__ = ["chosen", "rows_that_fit"]

# Measured on CPUs: below 6 rows the overhead of a pass shows; above 48 MB in one activation the
# caches no longer help and memory is fetched anew from the system; while an activation stays within
# 8 MB, rows are nearly free, and more than 64 of them pay.
_BLOCK_BYTES, _SMALL_BYTES = 48 * 2**20, 8 * 2**20
_FEWEST_ROWS, _MANY_ROWS = 6, 64
# What the graph of a micro-batch may keep, unless that were fewer than those 6 rows.
_KEPT_BYTES = 384 * 2**20
# Each pass turns the weights into the layout of the points: that pays where a weight is used at so
# many places. Found on ResNet-18 and VGG11, where it begins to pay at 430 to 540 of them.
_PLACES = 512


def chosen(problem: Problem, options: Options) -> Computation:
    """Choose how to compute a problem, and say why.

    Raises:
        RuntimeError: if a precision is asked for that the device or the network can't have.
    """
    return _Choice(problem, options).chosen()


@dataclass(frozen=True, eq=False)
class _Choice:
    """The choices for one problem; its network is only looked at if one of them depends on it."""

    problem: Problem
    options: Options
    reasons: list[str] = field(default_factory=list)
    measured: list[Sizes] = field(default_factory=list)

    def chosen(self) -> Computation:
        self._check_precision()
        fitting = self._rows()
        batched = self._quantities(fitting)
        rows = _evened(fitting, self.problem)
        layout, pooled = self._layout(rows), self._pooled(rows)
        precision = self.options.execution.precision
        return Computation(rows, layout, batched, pooled, precision, tuple(self.reasons))

    @property
    def device(self) -> torch.device:
        return self.problem.inputs[0].device

    @property
    def sizes(self) -> Sizes:
        # No cached_property: before Python 3.12 all of a class share a lock, and what forks while
        # another thread holds it waits for ever.
        if not self.measured:
            self.measured.append(self.problem.slice.sizes(*self.problem.one()))
        return self.measured[0]

    def _rows(self) -> int:
        if self.options.rows is not None:
            return self.options.rows
        rows = rows_that_fit(self.sizes, self.device)
        self.reasons.append(
            f"up to {rows} rows at once: a row's largest activation takes "
            f"{self.sizes.anywhere / 2**20:.2g} MB, what its graph may keep "
            f"{self.sizes.kept / 2**20:.2g} MB"
        )
        return rows

    def _quantities(self, rows: int) -> Sharing:
        """Batch quantities where that costs little.

        That is where their gradients of the activations behind the cuts take no more memory than a
        block of activations.
        """
        count, wish = len(self.problem.quantities), self.options.execution.quantities
        if count == 1 or wish != "auto":
            return "batched" if count > 1 and wish == "batched" else "loop"
        needed = count * rows * self.sizes.behind_cuts
        found: Sharing = "batched" if needed <= _BLOCK_BYTES else "loop"
        self.reasons.append(
            f"quantities {found}: the gradients of all {count} would take {needed / 2**20:.2g} MB, "
            f"where {_BLOCK_BYTES // 2**20} are worth it"
        )
        return found

    def _layout(self, rows: int) -> Layout:
        wish = self.options.execution.memory_format
        if wish != "auto":
            return wish
        layout, reason = self._fitting_layout(rows)
        self.reasons.append(f"{layout}: {reason}")
        return layout

    def _fitting_layout(self, rows: int) -> tuple[Layout, str]:
        points = self.problem.origin
        if not any(x.ndim == 4 for x in points):
            return "preserve", "the points aren't pictures"
        if not self._has_kernels():
            return "preserve", "convolutions in this precision have no faster kernels for it"
        places = rows * self.sizes.positions
        where = f"each weight of the convolutions is used at {places:.0f} places of a micro-batch"
        if places == 0:
            return "preserve", "no convolution was seen"
        if places < _PLACES:
            return "preserve", f"{where}, fewer than {_PLACES}"
        return "channels_last", f"{where}, at least {_PLACES}"

    def _has_kernels(self) -> bool:
        if self.options.execution.precision is not None:
            return True
        dtypes = {x.dtype for x in self.problem.origin if x.ndim == 4}
        if self.device.type == "cuda":  # tensor cores
            return torch.float64 not in dtypes and (
                torch.float32 not in dtypes
                or torch.backends.cudnn.allow_tf32
                or torch.is_autocast_enabled("cuda")
            )
        on_cpu = self.device.type == "cpu" and torch._C._has_mkldnn
        return on_cpu and torch.float64 not in dtypes

    def _pooled(self, rows: int) -> bool:
        wish = self.options.execution.pooled
        several = _blocks(self.problem, rows) > 1
        if wish != "auto":
            return wish and several
        if self.device.type != "cpu" or not several:
            return False
        pooled = rows * self.sizes.anywhere >= _SMALL_BYTES
        size = f"{rows * self.sizes.anywhere / 2**20:.2g} MB"
        word = "pooled" if pooled else "not pooled"
        self.reasons.append(f"memory {word}: a micro-batch's largest activation takes {size}")
        return pooled

    def _check_precision(self) -> None:
        if self.options.execution.precision is None:
            return
        if not bfloat16_products(self.device):
            raise RuntimeError(
                'expected a CPU with AVX512-BF16 or AMX, or a CUDA device, for precision="bfloat16"'
                f", got {self.device}, where bfloat16 is emulated: leave precision out"
            )
        if any(x.dtype == torch.float64 for x in (*self.problem.inputs, *self.problem.origin)):
            raise RuntimeError(
                'expected a float32 network for precision="bfloat16", got inputs in float64, which '
                "torch.autocast leaves as they are: use model.float() and inputs.float()"
            )


def rows_that_fit(sizes: Sizes, device: torch.device) -> int:
    """Return how many rows run fastest at once and fit.

    On a CPU that is 48 MB of the largest activation and 384 MB of all behind the cuts, 6 to 64
    rows, and more than 64 only as long as the largest stays below 8 MB. A CUDA device takes up to
    512 rows, as long as the activations behind the cuts, their gradients and two of the largest
    stay within half of its free memory.
    """
    if device.type != "cuda":
        largest = max(sizes.anywhere, 1)
        most = max(_MANY_ROWS, _SMALL_BYTES // largest)
        fitting = min(_BLOCK_BYTES // largest, _KEPT_BYTES // max(sizes.kept, 1))
        return min(max(fitting, _FEWEST_ROWS), most)
    free = torch.cuda.mem_get_info(device)[0]
    return min(max(free // 2 // max(2 * sizes.kept + 2 * sizes.anywhere, 1), 1), 512)


def _evened(rows: int, problem: Problem) -> int:
    """Return the size of equally large blocks of at most so many rows."""
    if problem.distribution.size is None:
        return rows
    total = problem.distribution.size * problem.examples
    return -(-total // -(-total // rows))


def _blocks(problem: Problem, rows: int) -> float:
    size = problem.distribution.size
    return math.inf if size is None else size * problem.examples / rows
