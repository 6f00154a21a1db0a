"""``captum-influence compare``: the same question put to other methods of attribution."""

from __future__ import annotations

import json
import sys
from argparse import ArgumentParser, Namespace, _SubParsersAction
from pathlib import Path
from typing import Any

from captum_influence.cli.options import (
    add_model_options,
    add_preprocessing_options,
    count,
    subcommand,
)
from captum_influence.cli.subject import Subject
from captum_influence.data.labels import class_index
from captum_influence.demo.scene_net import demo_scene
from captum_influence.methods.find import Score, compare
from captum_influence.methods.result import Comparison
from captum_influence.metrics.scores import FlippingScore, LocalizationScore
from captum_influence.visualization import maps

__all__ = ["add_compare_parser", "run_compare"]

_FORMAT = "captum_influence.Comparison"
_NUMBERS, _FIGURE, _PAGE = "comparison.json", "comparison.png", "comparison.html"
_DEMO_LAYER = "relu5"
_OUT = "captum-influence-comparison"

_DESCRIPTION = """\
Ask many methods (Grad-CAM, LRP, integrated gradients, ours, ...) why a network scores a class for
a picture, draw their maps side by side, and score them by pixel flipping; on the demo's scene also
by how much of a map lies on the object. Those that can't answer are listed with the reason.
Without options it explains the embedded demo."""

_EXAMPLES = """\
examples:
  captum-influence compare
  captum-influence compare --methods influence,LayerGradCam,LRP --scale shared
  captum-influence compare --model torchvision:vgg16 --weights DEFAULT --image photo.jpg \\
      --layer features.28 --target "sports car"
"""


def add_compare_parser(commands: _SubParsersAction[Any]) -> None:
    """Add the subcommand and its options."""
    parser = subcommand(
        commands,
        "compare",
        "the same question put to other methods",
        description=_DESCRIPTION,
        examples=_EXAMPLES,
    )
    add_model_options(parser)
    _add_question_options(parser)
    add_preprocessing_options(parser)
    parser.set_defaults(run=run_compare, list_layers=False)


def run_compare(args: Namespace) -> None:
    """Ask the methods, write page, numbers and figure, and say who couldn't answer.

    Raises:
        ValueError: If options are missing or out of range.
    """
    subject = Subject.of(args)
    if args.layer is None and not subject.is_demo:
        raise ValueError(
            "expected --layer NAME beside --model; captum-influence explain --list-layers shows "
            "what layers there are"
        )
    outputs = subject.outputs()
    target = None if args.target is None else class_index(args.target, subject.names, outputs)
    folder = _claimed(Path(args.out))
    found = compare(
        subject.model,
        subject.inputs,
        args.layer or _DEMO_LAYER,
        target,
        "default" if args.methods is None else args.methods.split(","),
        points=args.points,
        scores=_scores(subject) if args.scores else None,
        seed=args.seed,
        show_progress=not args.quiet and sys.stderr.isatty(),  # a log needs no moving bar
    )
    _write(found, folder, subject, args)
    if not args.quiet:
        for name, reason in found.not_applicable.items():
            print(f"{name}: not applicable: {reason}")
        print(f"{len(found.maps)} maps: {folder / _PAGE} and {folder / _FIGURE}")


def _scores(subject: Subject) -> dict[str, Score]:
    """Return what maps are scored by; where the object is known, also by lying on it."""
    scores: dict[str, Score] = {
        "ABPC, blur": FlippingScore("blur"),
        "ABPC, mean": FlippingScore("mean"),
    }
    if subject.is_demo:
        masks = demo_scene().masks["object"][None]
        scores["on the object"] = LocalizationScore(masks, "mass")
    return scores


def _add_question_options(parser: ArgumentParser) -> None:
    add = parser.add_argument_group("question").add_argument
    add("--image", metavar="FILE", help="what to explain; default: a scene of the demo")
    add("--layer", metavar="NAME", help=f"required with --model; of the demo: {_DEMO_LAYER}")
    add("--target", metavar="CLASS", help="number or name; without it, the predicted class")
    add("--methods", metavar="A,B,...", help="names, as the report has them; default: all")
    add("--points", type=count, default=25, metavar="N", help="of paths and noise; default: 25")
    add("--seed", type=int, default=0, metavar="N", help="of the noise; default: 0")
    add(
        "--scale",
        choices=("each", "shared"),
        default="each",
        help="of the figure: one for each map, or one for all; default: each",
    )
    add("--no-scores", dest="scores", action="store_false", help="don't flip pixels: it takes time")
    add("--out", metavar="FOLDER", default=_OUT, help=f"default: {_OUT}")
    add("--quiet", action="store_true", help="print nothing but errors, and no progress bar")
    add("--debug", action="store_true", help="show the traceback of an error")


def _claimed(folder: Path) -> Path:
    """Return a folder that may be written to.

    Raises:
        ValueError: If it holds files of these names which this program didn't write.
    """
    numbers, others = folder / _NUMBERS, [folder / _FIGURE, folder / _PAGE]
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"expected a folder as --out, got {str(folder)!r}, which is a file")
    ours = numbers.exists() and _FORMAT in numbers.read_text(encoding="utf-8", errors="replace")
    if any(file.exists() for file in (numbers, *others)) and not ours:
        raise ValueError(
            f"expected an empty folder or an earlier run's as --out, got {str(folder)!r}, where "
            f"this program didn't write {_NUMBERS}, {_FIGURE} or {_PAGE}: choose another"
        )
    return folder


def _write(found: Comparison, folder: Path, subject: Subject, args: Namespace) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    content = {"format": _FORMAT, "command": args.command, **found.to_dict()}
    (folder / _NUMBERS).write_text(json.dumps(content, indent=1, ensure_ascii=False), "utf-8")
    figure = found.plot(subject.picture, scale=args.scale)
    (folder / _FIGURE).write_bytes(maps.png(figure))
    named = (subject.names or {}).get(int(found.target[0]))
    found.to_html(folder / _PAGE, subject.picture, class_name=named, command=args.command)
