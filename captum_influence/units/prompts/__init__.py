"""The units of a prompt: its tokens, and the heads and neurons of the network that reads it."""

from captum_influence.units.prompts.spoken import PromptUnit

__all__ = ["PromptUnit"]
