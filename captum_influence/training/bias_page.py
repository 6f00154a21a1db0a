"""The page of a bias study: one HTML file with its pictures inside."""

from __future__ import annotations

import base64
import io
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor

if TYPE_CHECKING:
    from captum_influence.training.bias import BiasReport, ShownImage

__all__ = ["render"]


def render(report: BiasReport) -> str:
    """The page's text.

    Raises:
        ImportError: without jinja2.
    """
    try:
        from jinja2 import Environment
    except ImportError as error:
        raise ImportError(
            "expected jinja2 for the HTML page, but it isn't installed; "
            "pip install captum-influence[report]"
        ) from error
    environment = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    pictures = {index: _pictures(image) for index, image in report.images.items()}
    page: str = environment.from_string(_PAGE).render(
        report=report, pictures=pictures, keys=("all layers", *report.layers)
    )
    return page


def _pictures(image: ShownImage) -> dict[str, str]:
    """Data URIs of the picture and of its Shapley map."""
    found = {}
    if image.picture is not None:
        shown = image.picture[0] if len(image.picture) == 1 else image.picture.movedim(0, 2)
        found["picture"] = _png(shown, cmap="gray", vmin=0, vmax=1)
    if image.shapley is not None:
        limit = max(float(image.shapley.abs().max()), 1e-12)
        found["shapley"] = _png(image.shapley, cmap="coolwarm", vmin=-limit, vmax=limit)
    return found


def _png(values: Tensor, **options: Any) -> str:
    from matplotlib.image import imsave

    factor = max(1, 96 // max(values.shape[:2]))
    large = np.asarray(values.detach().cpu()).repeat(factor, 0).repeat(factor, 1)
    buffer = io.BytesIO()
    imsave(buffer, large, format="png", **options)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Which training images?</title>
<style>
:root { color-scheme: light dark; --line: #8884; --good: #2e7d4f; --bad: #b3413b; }
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 74rem; padding: 0 1rem; }
h1 { font-size: 1.6rem; } h2 { font-size: 1.2rem; margin-top: 2.4rem; } h3 { font-size: 1rem; }
table { border-collapse: collapse; margin: .6rem 0; }
th, td { border-bottom: 1px solid var(--line); padding: .3rem .8rem .3rem 0; text-align: right; }
th:first-child, td:first-child { text-align: left; }
.scroll { overflow-x: auto; }
.row { display: flex; flex-wrap: wrap; gap: .7rem; margin: .3rem 0 1rem; }
figure { margin: 0; width: 6.2rem; }
figure img { width: 6rem; height: 6rem; object-fit: contain; display: block; }
figure img + img { margin-top: .2rem; }
figcaption { font-size: .75rem; line-height: 1.3; }
.helpful { border-top: 3px solid var(--good); } .harmful { border-top: 3px solid var(--bad); }
.note { opacity: .75; max-width: 48rem; }
.bar { display: inline-block; height: .6rem; background: #5b7fb5; vertical-align: middle; }
</style>
</head>
<body>
<h1>Which training images shape these answers, and in which layer?</h1>
<p class="note">Influence is the predicted rise of a test example's loss if a training image were
left out and the layer retrained. Images are ranked by their mean influence on a group
{%- if report.normalized %}, divided by the root of their self-influence{% endif %}. These are
predictions; retrain to measure.</p>

<h2>Groups</h2>
<div class="scroll"><table>
<tr><th>group</th><th>examples</th><th>mean loss</th>
{% for layer in report.layers %}<th>share of {{ layer or "the layer" }}</th>{% endfor %}</tr>
{% for group in report.groups %}
<tr><td>{{ group.name }}</td><td>{{ group.size }}</td><td>{{ "%.4g"|format(group.loss) }}</td>
{% for share in group.layer_share.values() %}
<td>{{ "%.1f"|format(100 * share) }} %
<span class="bar" style="width: {{ "%.2f"|format(3 * share) }}rem"></span></td>
{% endfor %}</tr>
{% endfor %}
</table></div>

<h2>Share of influence by group, and the most influential image, per layer</h2>
<div class="scroll"><table>
<tr><th>layer</th>{% for group in report.groups %}<th>{{ group.name }}</th>{% endfor %}
<th>most influential</th></tr>
{% for layer, shares in report.group_share.items() %}
<tr><td>{{ layer }}</td>
{% for share in shares.values() %}<td>{{ "%.1f"|format(100 * share) }} %</td>{% endfor %}
<td>#{{ report.most_influential[layer] }}</td></tr>
{% endfor %}
</table></div>

{% if report.differences %}
<h2>Differences from “{{ report.groups[0].name }}”</h2>
<div class="scroll"><table>
<tr><th>group</th><th>quantity</th><th>difference</th>
<th>{{ "%.0f"|format(100 * report.differences[0].confidence) }} % interval</th><th>p</th></tr>
{% for d in report.differences %}
<tr><td>{{ d.group }}</td><td>{{ d.quantity }}</td><td>{{ "%+.3g"|format(d.mean) }}</td>
<td>{{ "%+.3g"|format(d.low) }} … {{ "%+.3g"|format(d.high) }}</td>
<td>{{ "%.3g"|format(d.p_value) }}</td></tr>
{% endfor %}
</table></div>
<p class="note">Percentile bootstrap intervals and permutation tests, each difference by itself:
of many, some will look significant by chance.</p>
{% endif %}

{% for result in report.retrainings %}
<h2>Retrained: {{ result.layers|join(", ") }}</h2>
<p class="note">{{ result.removed }} images left out, {{ result.repaired }} repaired. The control
was retrained in the same way on the unchanged data.</p>
<div class="scroll"><table>
<tr><th>group</th><th>loss before</th><th>control</th><th>changed data</th>
<th>accuracy before</th><th>control</th><th>changed data</th></tr>
{% for name in result.before %}
<tr><td>{{ name }}</td>
{% for stage in (result.before, result.control, result.changed) %}
<td>{{ "%.4g"|format(stage[name].loss) }}</td>{% endfor %}
{% for stage in (result.before, result.control, result.changed) %}
<td>{% if stage[name].accuracy is not none %}{{ "%.3f"|format(stage[name].accuracy) }}{% endif %}
</td>{% endfor %}</tr>
{% endfor %}
</table></div>
{% endfor %}

{% for group in report.groups %}
<h2>{{ group.name }}</h2>
{% for key in keys %}
<h3>{{ key }}</h3>
{% for side, ranked in (("helpful", group.helpful[key]), ("harmful", group.harmful[key])) %}
<div class="row">
{% for index in ranked.indices %}
<figure class="{{ side }}">
{% if pictures[index].picture %}
<img src="{{ pictures[index].picture }}" alt="training image {{ index }}">{% endif %}
{% if pictures[index].shapley %}
<img src="{{ pictures[index].shapley }}" alt="Shapley values of image {{ index }}">{% endif %}
<figcaption>{{ side }} #{{ index }}, target {{ report.images[index].target }}<br>
{{ "%+.3g"|format(ranked.scores[loop.index0]) }}</figcaption>
</figure>
{% endfor %}
</div>
{% endfor %}
{% endfor %}
{% endfor %}
</body>
</html>
"""
