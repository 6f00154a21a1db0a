"""What a verb about one picture is asked about: a picture, or a folder of many."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from torch import Tensor

from captum_influence.cli.inputs import Network, Subject
from captum_influence.cli.options import OutputOptions, PictureOptions
from captum_influence.cli.output import Report, tell
from captum_influence.cli.syntax.pictures import ManyOptions
from captum_influence.reports.finding import Finding
from captum_influence.reports.many.result import Findings

__all__ = ["Given", "is_folder"]

_NAMED = 20  # pictures that are left out, each with its path


def is_folder(picture: PictureOptions) -> bool:
    """Return whether a folder of pictures is named."""
    return picture.image is not None and Path(picture.image).is_dir()


@dataclass(frozen=True, eq=False, kw_only=True)
class Given:
    """A network and what it is asked about.

    Attributes:
        subject: the network and its picture; of a folder, a black one in its place.
        data: the input, or the folder.
        options: what the verb takes by keyword beside it.
        report: where what is found goes.
        many: how a folder is shared out.
    """

    subject: Subject
    data: Any
    options: dict[str, Any]
    report: Report
    many: ManyOptions

    @staticmethod
    def of(
        network: Network,
        picture: PictureOptions,
        many: ManyOptions,
        output: OutputOptions,
        kind: type[Finding],
        *,
        strict: bool = False,
    ) -> Given:
        """Return what the options name, and claim the folder for what is found.

        Args:
            network: which is asked.
            picture: the picture, or the folder.
            many: how a folder is shared out.
            output: where what is found goes.
            kind: what is found of one picture.
            strict: stop at a picture that can't be read.

        Raises:
            ValueError: if there is no picture, or an option belongs to a folder only.
        """
        if not network.is_demo and is_folder(picture):
            return Given._of_folder(network, str(picture.image), many, output, strict)
        if given := many.given():
            raise ValueError(
                f"expected --image FOLDER beside {', '.join(given)}, got one picture, which can't "
                "be shared out"
            )
        subject = Subject.of(network, picture)
        return Given(
            subject=subject,
            data=subject.inputs,
            options={"picture": subject.picture, "show_progress": output.show_progress},
            report=Report.claim(output, kind),
            many=many,
        )

    @staticmethod
    def _of_folder(
        network: Network, folder: str, many: ManyOptions, output: OutputOptions, strict: bool
    ) -> Given:
        # A folder of many goes on where it was, and is written anew when there is more in it.
        output = replace(output, subcommand=f"{output.subcommand}-many", force=True)
        report = Report.claim(output, Findings)
        if many.jobs > 1 and many.share is None:
            _share_out(many.jobs, output.command)
        black = network.blank
        return Given(
            subject=Subject(network, black, network.display(black[0]), network.outputs(black)),
            data=folder,
            options={
                "prepare": network.prepare,
                "out": report.folder,
                "strict": strict,
                "share": many.share,
                "show_progress": output.show_progress,
            },
            report=report,
            many=many,
        )

    @property
    def is_folder(self) -> bool:
        """Whether it is about a folder."""
        return "prepare" in self.options

    def about(self, scene: Tensor) -> Given:
        """Return the same of another picture, (3, height, width) in [0, 1]."""
        subject = self.subject.about(scene)
        options = {**self.options, "picture": subject.picture}
        return replace(self, subject=subject, data=subject.inputs, options=options)

    def write(self, found: Any, *further: str, left_out: Sequence[str] = ()) -> None:
        """Write what was found, and say it; a share is only said.

        Args:
            found: what the verb returned.
            further: what else is said in the shell of one picture.
            left_out: what of the data it isn't about; the page says so.
        """
        if not isinstance(found, Findings):
            self.report.write(found, *further, left_out=left_out)
        elif self.many.share is not None:
            rank, world = self.many.share
            if not self.report.quiet:
                print(f"share {rank} of {world}: {len(found.entries)} pictures are in", end=" ")
                print(f"{self.report.folder}, {len(found.left_out)} were left out")
        elif os.environ.get("RANK", "0") == "0":  # of several processes, one writes
            self.report.write(found, *_missing(found), left_out=left_out)


def _missing(found: Findings) -> Iterator[str]:
    for one in found.left_out[:_NAMED]:
        yield f"left out: {one.name}: {one.why}"
    if len(found.left_out) > _NAMED:
        yield f"and {len(found.left_out) - _NAMED} more, which the report names"
    yield from found.notes


def _share_out(jobs: int, command: str) -> None:
    """Run the same command in several processes, a share each, and wait for all of them.

    What one of them leaves undone, because it died, is done by the run that follows.
    """
    words = [sys.executable, "-m", "captum_influence.cli", *shlex.split(command)[1:], "--quiet"]
    threads = str(max(1, (os.cpu_count() or 1) // jobs))
    environment = {"OMP_NUM_THREADS": threads, **os.environ}
    started = [
        subprocess.Popen(
            [*words, "--share", f"{rank}/{jobs}"], env=environment, stderr=subprocess.DEVNULL
        )
        for rank in range(jobs)
    ]
    try:
        ends = [process.wait() for process in started]
    finally:
        for process in started:
            process.kill()
    # One error is told once, by the run that follows: it meets the same.
    if any(ends) and not all(ends):
        tell(f"{sum(map(bool, ends))} of {jobs} processes ended early: what they left is done now")
