"""What a run leaves behind: a folder with the report, the finding, and its figures."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path

from captum_influence.cli.options import OutputOptions
from captum_influence.data.claims import claim
from captum_influence.reports.finding import Finding

__all__ = ["Report"]

_PAGE, _FIGURES = "report.html", "figures"


@dataclass(frozen=True)
class Report:
    """A folder that may be written to: new, without files of these names, or an earlier run's.

    Attributes:
        folder: where.
        command: the words that the run was started with.
        quiet: say nothing.
    """

    folder: Path
    command: str
    quiet: bool

    @staticmethod
    def claim(options: OutputOptions, kind: type[Finding]) -> Report:
        """Take a folder for a finding of a kind; nothing is written yet.

        Raises:
            ImportError: if reports can't be made: now rather than after all the work.
            ValueError: if the folder holds what isn't an earlier run's, or can't be written to.
        """
        for name, module in (("Jinja", "jinja2"), ("safetensors", "safetensors")):
            if importlib.util.find_spec(module) is None:
                raise ImportError(f"a report takes {name}: pip install 'captum_influence[report]'")
        binary, text = kind.places("")
        names = (_PAGE, text.name, binary.name, _FIGURES)
        home = options.out or f"captum-influence-{options.subcommand}"
        found = claim(home, names, text.name, f"captum_influence.{kind.__name__}")
        return Report(found, options.command, options.quiet)

    def write(self, finding: Finding, *further: str) -> None:
        """Write the page, the finding and its figures, and say what was found, and where."""
        figures = self.folder / _FIGURES
        for stale in figures.glob("*.png"):  # there may be fewer figures now
            stale.unlink()
        finding.save(self.folder)
        page = finding.to_html(self.folder / _PAGE, command=self.command, figures=figures)
        if not self.quiet:
            print("\n".join([finding.headline, *further, f"The report: {page}"]))
