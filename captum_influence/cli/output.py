"""What a run leaves behind: a folder with the report, the finding, and its figures."""

from __future__ import annotations

import importlib.util
import json
import os
import sys
import webbrowser
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain, count
from pathlib import Path
from typing import Any

from captum_influence.cli.config import holds_options
from captum_influence.cli.options import OutputOptions
from captum_influence.data.claims import claim, holds_report, staged
from captum_influence.data.files import write_json
from captum_influence.reports.finding import Finding

__all__ = ["Report", "tell"]

_PAGE, _FIGURES, _CONFIG = "report.html", "figures", "config.json"


@dataclass(frozen=True)
class Report:
    """A folder that may be written to: new, without files of these names, or an earlier run's.

    Attributes:
        folder: where.
        command: the words that the run was started with.
        quiet: say nothing.
        opens: show the page in a browser.
        formats: what is written beside JSON and PNG, by the endings of files.
        said: the options, for ``config.json``.
    """

    folder: Path
    command: str
    quiet: bool
    opens: bool = False
    formats: tuple[str, ...] = ()
    said: Mapping[str, Any] = field(default_factory=dict)

    @staticmethod
    def claim(options: OutputOptions, kind: type[Finding], *beside: str) -> Report:
        """Take a folder for a finding of a kind; nothing is written yet.

        An earlier run's report is kept unless ``--force`` is given: a folder that is named must
        hold none, and where none is named, the first that holds none is taken.

        Args:
            options: where.
            kind: of what.
            beside: further files that will be written.

        Raises:
            ImportError: if reports can't be made: now rather than after all the work.
            ValueError: if the folder holds what is to be kept, or can't be written to.
        """
        binary, text = kind.places("")
        if "csv" in options.formats:
            beside = (*beside, text.with_suffix(".csv").name)
        _require(options.formats)
        names = (_PAGE, text.name, binary.name, _FIGURES, _CONFIG, *beside)
        says = (text.name, f"captum_influence.{kind.__name__}")
        home = options.out or f"captum-influence-{options.subcommand}"
        if options.out is None and not options.force:
            homes = chain([home], (f"{home}-{number}" for number in count(2)))
            home = next(place for place in homes if not holds_report(place, *says))
        found = claim(home, names, *says, keep=not options.force)
        if options.save_config is not None:
            _save(options.said, Path(options.save_config))
        return Report(
            folder=found,
            command=options.command,
            quiet=options.quiet,
            opens=options.opens,
            formats=options.formats,
            said=options.said,
        )

    def write(
        self,
        finding: Finding,
        *further: str,
        left_out: Sequence[str] = (),
        beside: Mapping[str, Callable[[Path], object]] | None = None,
    ) -> None:
        """Write the page, the finding and its figures, and say what was found, and where.

        Args:
            finding: what was found.
            further: what else is said in the shell.
            left_out: what of the data it isn't about; the page says so.
            beside: what writes each further file.

        Raises:
            OSError: if it can't be written; then nothing is.
        """
        with staged(self.folder) as folder:
            _, text = finding.save(folder)
            page = finding.page(self.command)
            caveats = (*left_out, *page.content["caveats"])
            numbers = (text.name, json.loads(text.read_text(encoding="utf-8")))
            page = replace(page, content={**page.content, "caveats": caveats}, numbers=numbers)
            page.write(folder / _PAGE)
            drawn = [ending for ending in self.formats if ending != "csv"]
            page.write_figures(folder / _FIGURES, ["png", *drawn])
            if "csv" in self.formats:
                finding.to_csv(text.with_suffix(".csv"))
            for name, write in (beside or {}).items():
                write(folder / name)
            write_json(folder / _CONFIG, self.said)
        place = self.folder / _PAGE
        link = place.resolve().as_uri()  # which a terminal opens at a click
        if not self.quiet:
            print("\n".join([finding.headline, *further, link, f"The report: {place}"]))
        if self.opens and not webbrowser.open(link):
            tell(f"no browser could be started: open {link}")


def _require(formats: Sequence[str]) -> None:
    """Refuse to begin what couldn't be written in the end."""
    if "csv" in formats and importlib.util.find_spec("pandas") is None:
        raise ImportError("--format csv takes pandas: pip install pandas")
    for name, module in (("Jinja", "jinja2"), ("safetensors", "safetensors")):
        if importlib.util.find_spec(module) is None:
            raise ImportError(f"a report takes {name}: pip install 'captum_influence[report]'")


def _save(said: Mapping[str, Any], file: Path) -> None:
    """Write options, if nothing else is there; of several processes, one does.

    Raises:
        ValueError: if something else is there, or it can't be written.
    """
    if os.environ.get("RANK", "0") != "0":
        return
    if file.exists() and not holds_options(file):
        raise ValueError(
            f"expected a new file or one of options as --save-config, got {str(file)!r}, which "
            "this program didn't write: choose another name"
        )
    try:
        write_json(file, said)
    except OSError as error:
        raise ValueError(
            f"expected a file to write to as --save-config, got {str(file)!r}: {error.strerror}"
        ) from error


def tell(text: str) -> None:
    """Say on the error stream what isn't as expected; of several processes, one does."""
    if os.environ.get("RANK", "0") == "0":
        sys.stderr.write(f"captum-influence: {text}\n")
