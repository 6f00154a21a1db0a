"""The search for mislabelled training images."""

from __future__ import annotations

import torch
from torch.nn import Module

from captum_influence.data.labels import Names, class_name
from captum_influence.reports.asked import Asked
from captum_influence.training.label_errors.neighbours import nearest_neighbours
from captum_influence.training.label_errors.result import LabelErrors
from captum_influence.training.layer_influence import LayerInfluence

__all__ = ["find_label_errors"]


def find_label_errors(
    influence: LayerInfluence,
    *,
    layer: str | Module | None = None,
    neighbours: int = 20,
    class_names: Names = None,
    show_progress: bool = False,
) -> LabelErrors:
    """Rank the training images by how much their labels look wrong.

    An image comes first if the network, though trained on its label, has a large loss on it, and
    if its nearest neighbours in the network's features have other labels: the score is the mean of
    its ranks by both. Self-influence, which finds fewer wrong labels, stands beside them. With
    several ``checkpoint=`` of independently trained networks all three are means over these.

    Args:
        influence: which networks, training data, loss and layers.
        layer: the layer whose inputs are the features; None: the last of ``influence.layers``.
        neighbours: how many are looked at; fewer than a class has examples.
        class_names: a name for each class.
        show_progress: show bars.

    Raises:
        ValueError: if targets are no classes, or there are too few examples.

    Example:
        >>> x = torch.cat([torch.randn(20, 2) - 3, torch.randn(20, 2) + 3])
        >>> y = torch.arange(40) // 20
        >>> y[7] = 1  # wrong
        >>> data = torch.utils.data.TensorDataset(x, y)
        >>> model = torch.nn.Linear(2, 2)
        >>> model.weight.data = torch.tensor([[-1.0, -1.0], [1.0, 1.0]])
        >>> influence = LayerInfluence(model, data, loss_fn=torch.nn.CrossEntropyLoss())
        >>> find_label_errors(influence, neighbours=5).ranking[0].item()
        7
    """
    asked = Asked.of(find_label_errors, locals())
    seen = influence.observe(layer, show_progress)
    labels = seen[0].labels
    around = torch.cat([labels[nearest_neighbours(s.features, neighbours)] for s in seen], 1)
    return LabelErrors(
        asked=asked,
        labels=labels,
        suggested=around.mode(1).values,
        loss=torch.stack([s.losses for s in seen]).mean(0),
        disagreement=(around != labels.unsqueeze(1)).float().mean(1),
        self_influence=influence.self_influence(show_progress=show_progress).cpu(),
        class_names={i: class_name(i, class_names) for i in sorted(set(labels.tolist()))},
    )
