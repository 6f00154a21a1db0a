"""Which training images are mislabelled."""

from captum_influence.training.label_errors.find import find_label_errors
from captum_influence.training.label_errors.result import LabelErrors

__all__ = ["LabelErrors", "find_label_errors"]
