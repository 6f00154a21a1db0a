"""What a run leaves behind: a folder with the report, the numbers and the figures."""

from __future__ import annotations

import importlib.util
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from captum_influence.explanations.instances.result import Explanation
from captum_influence.reports.finding import Finding
from captum_influence.training.bias.result import BiasReport

__all__ = [
    "COUNTERFACTUAL",
    "ESSENCE",
    "EXPERT",
    "EXPLANATION",
    "PAIR",
    "PROTOTYPE",
    "STUDY",
    "Contents",
    "ReportFolder",
]

_REPORT, _FIGURES = "report.html", "figures"


@dataclass(frozen=True)
class Contents:
    """The files of one kind of report; the text file names the format."""

    format: str
    text: str
    others: tuple[str, ...]


EXPLANATION = Contents(
    "captum_influence.Explanation", "explanation.json", ("explanation.npz", _FIGURES)
)
STUDY = Contents("captum_influence.BiasReport", "study.json", ("study.npz",))
ESSENCE = Contents("captum_influence.Essence", "essence.json", (_FIGURES,))
PAIR = Contents("captum_influence.Pair", "pair.json", (_FIGURES,))
COUNTERFACTUAL = Contents("captum_influence.Counterfactual", "counterfactual.json", (_FIGURES,))
PROTOTYPE = Contents("captum_influence.Prototype", "prototype.json", (_FIGURES,))
EXPERT = Contents("captum_influence.ExpertCurves", "expert.json", (_FIGURES,))


@dataclass(frozen=True)
class ReportFolder:
    """A folder that may be written to: new, without files of these names, or an earlier run's."""

    path: Path
    contents: Contents = EXPLANATION

    @staticmethod
    def claim(folder: str, contents: Contents = EXPLANATION) -> ReportFolder:
        """Take a folder that is still to be made, or an earlier run's; nothing is written yet.

        Raises:
            ValueError: If what would be overwritten isn't an earlier run's, or it is no folder
                that can be written to.
        """
        path = Path(folder)
        there = next(
            place for place in (path.absolute(), *path.absolute().parents) if place.exists()
        )
        if not there.is_dir():
            raise ValueError(f"expected a folder as --out, got {folder!r}: {there} is a file")
        if not os.access(there, os.W_OK):
            raise ValueError(
                f"expected a folder to write to as --out, got {folder!r}: {there} is read-only"
            )
        names = (_REPORT, contents.text, *contents.others)
        old = [name for name in names if (path / name).exists()]
        if old and not _is_ours(path / contents.text, contents.format):
            raise ValueError(
                f"expected an empty folder or an earlier run's as --out, got {folder!r}, whose "
                f"{old[0]} this program didn't write: choose another folder, or remove that"
            )
        if importlib.util.find_spec("jinja2") is None:  # now rather than after all the work
            raise ImportError("a report takes Jinja: pip install 'captum_influence[report]'")
        return ReportFolder(path, contents)

    def write(self, explanation: Explanation, command: str) -> Path:
        """Write the report, the numbers and the figures; return the report's path."""
        for stale in (self.path / _FIGURES).glob("unit*_*.png"):  # there may be fewer units now
            stale.unlink()
        explanation.save(self.path)
        return explanation.to_html(
            self.path / _REPORT, command=command, figures=self.path / _FIGURES
        )

    def write_finding(self, finding: Finding, command: str, **further: Any) -> Path:
        """Write a finding's report, numbers and figures; return the report's path."""
        for stale in (self.path / _FIGURES).glob("*.png"):  # there may be fewer figures now
            stale.unlink()
        self.path.mkdir(parents=True, exist_ok=True)
        about = {"format": self.contents.format, "command": command}
        text = json.dumps({**about, **finding.to_dict(), **further}, indent=1, ensure_ascii=False)
        (self.path / self.contents.text).write_text(text + "\n", "utf-8")
        place = self.path / _REPORT
        return finding.to_html(place, command=command, figures=self.path / _FIGURES)

    def write_study(self, report: BiasReport, command: str) -> Path:
        """Write a bias study's report and numbers; return the report's path."""
        report.save(self.path)
        return report.to_html(self.path / _REPORT, command=command)


def _is_ours(file: Path, kind: str) -> bool:
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError):
        return False
    return isinstance(found, dict) and found.get("format") == kind
