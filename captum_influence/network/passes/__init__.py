"""One pass through the user's network: what is hooked, held, replayed, put back."""

from captum_influence.network.passes.arguments import PerExample, Shared

__all__ = ["PerExample", "Shared"]
