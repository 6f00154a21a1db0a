"""The one loop: expected gradients at every cut, for every quantity, in the memory of one block."""

from captum_influence.attr.integral.execution import Computation, Execution

__all__ = ["Computation", "Execution"]
