"""Options in a file: a run is repeated by it."""

import json
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from captum_influence import Explanation
from captum_influence.cli.config import as_json, as_words, read_config, texts
from captum_influence.cli.options import OutputOptions
from captum_influence.cli.program import COMMANDS, main, parsed

SAID = {
    "explain": "--mean 104,117,123 --size 12x8 --squash --replace -1.5 --target 7 --share 1/4",
    "profile": "--layer layer3,layer4 --layer fc --strict --points 3",
    "train-influence": "--disturb style-fourier texture-patches --damping 0.001 --retrain all",
    "compare": "--no-scores --methods LRP,Saliency --seed -3",
    "circuit": "--sizes 5,10 --induction --distribution point",
    "explain-text": "--points 16",
}


def _options(words: list[str]) -> list[dict[str, Any]]:
    """What is asked; how it was said, and where it goes, is another matter."""
    groups = [group for group in parsed(words)[1] if not isinstance(group, OutputOptions)]
    return [{f.name: getattr(group, f.name) for f in fields(group)} for group in groups]


def _config(content: object) -> str:
    Path("options.json").write_text(content if isinstance(content, str) else json.dumps(content))
    return "options.json"


@pytest.mark.parametrize("name", COMMANDS)
def test_a_file_says_what_the_words_said(folder: Path, name: str) -> None:
    words = [name, *SAID.get(name, "--seed 5").split(), "--out", "somewhere", "--force", "--quiet"]
    (output,) = (group for group in parsed(words)[1] if isinstance(group, OutputOptions))
    assert output.said["command"] == name
    assert not {"out", "force", "quiet", "share", "config"} & output.said.keys()
    again = _options([name, "--config", _config(output.said)])
    once = _options([word for word in words if word not in ("--share", "1/4")])
    assert again == once


def test_texts_are_as_typed_and_become_words_again() -> None:
    command, words = COMMANDS["explain"], SAID["explain"].replace("--replace -1.5", "").split()
    said = texts(command, words)
    assert said["mean"] == "104,117,123"
    assert texts(command, as_words(command, said)) == said
    assert as_words(command, {"replace": "-1.5"}) == ["--replace=-1.5"]
    assert as_json("explain", {"top": "3", "target": "sports car", "out": "x"})["top"] == 3


def test_words_win_over_the_file(folder: Path) -> None:
    file = _config({"layer": ["a", "b"], "top": 2, "points": 9, "strict": False})
    _, groups = parsed(["profile", "--config", file, "--layer", "c", "--top", "4"])
    found = {f.name: getattr(g, f.name) for g in groups for f in fields(g)}
    assert (found["layers"], found["top"], found["points"], found["strict"]) == (["c"], 4, 9, False)
    assert found["command"] == "captum-influence profile --layer c --points 9 --top 4"


def test_the_folder_of_a_run_repeats_it(own: list[str]) -> None:
    own = [*own, "--replace", "-0.5", "--mean", "0.1,0.2,0.3"]
    assert main([*own, "--out", "one", "--save-config", "saved.json"]) == 0
    assert Path("saved.json").read_bytes() == Path("one/config.json").read_bytes()
    assert main(["explain", "--config", "one/config.json", "--out", "other", "--quiet"]) == 0
    one, other = (Explanation.load(place) for place in ("one", "other"))
    assert other.to_dict()["units"] == one.to_dict()["units"]
    assert Path("one/config.json").read_bytes() == Path("other/config.json").read_bytes()
    page = Path("other/report.html").read_text("utf-8")
    assert "--model nets.py:build" in page
    assert "--config" not in page


def test_a_file_without_a_subcommand_serves_all(folder: Path) -> None:
    file = _config({"device": "cpu", "seed": 3})
    for name in COMMANDS:
        assert parsed([name, "--config", file])[0] == name


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"chanel_order": "bgr"}, "got 'chanel_order': did you mean 'channel-order'?"),
        ({"--layers": "x"}, "did you mean 'layer'?"),
        ({"config": "x"}, "got 'config'"),
        ({"top": True}, "expected text or a number as 'top' in options.json, got true"),
        ({"top": [1, 2]}, "expected text or a number as 'top'"),
        ({"top": None}, "got null"),
        ({"layer": {"a": 1}}, "as 'layer'"),
        ({"mean": [1, [2]]}, "expected text, a number or a list of them as 'mean'"),
        ({"mean": []}, "as 'mean'"),
        ({"squash": "yes"}, "expected true or false as 'squash' in options.json, got \"yes\""),
        ({"top": "many"}, "in options.json: argument --top: expected a positive whole number"),
        ({"by": "luck"}, "in options.json: argument --by"),
        ({"command": "pair"}, "which has those of pair: say captum-influence pair"),
        ([1], "expected an object in options.json"),
        ("{", "expected JSON in options.json"),
    ],
)
def test_what_a_file_cannot_say_is_told_in_one_line(
    folder: Path, fails, content: object, said: str
) -> None:
    assert said in fails(["explain", "--config", _config(content)])


def test_no_file_is_told(folder: Path, fails) -> None:
    assert "got 'nope.json': No such file" in fails("explain --config nope.json")
    with pytest.raises(ValueError, match="--save-config FILE writes one"):
        read_config("nope.json", "explain", COMMANDS["explain"])


def test_no_foreign_file_is_written_over(own: list[str], fails) -> None:
    before = Path("names.json").read_bytes()
    assert "'names.json', which this program didn't write" in fails(
        [*own, "--save-config", "names.json"]
    )
    assert Path("names.json").read_bytes() == before
    for _ in range(2):
        assert main([*own, "--save-config", "mine.json"]) == 0
