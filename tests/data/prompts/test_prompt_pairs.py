"""Pairs of prompts out of files."""

import json
from pathlib import Path

import pytest

from captum_influence.data.prompts.prompt_pairs import PromptPairs, read_prompt_pairs

ROWS = [
    {"clean": "Mary, and John", "corrupted": "Anna, and John", "target": " Mary"},
    {"clean": "a b", "corrupted": "c b", "target": " a"},
]


@pytest.mark.parametrize("ending", ["csv", "json"])
def test_columns_are_read_with_their_spaces(tmp_path: Path, ending: str) -> None:
    file = tmp_path / f"pairs.{ending}"
    lines = ["clean,corrupted,target", '"Mary, and John","Anna, and John", Mary', "a b,c b, a"]
    file.write_text(json.dumps(ROWS) if ending == "json" else "\n".join(lines), "utf-8")
    assert read_prompt_pairs(file) == PromptPairs(
        clean=("Mary, and John", "a b"),
        corrupted=("Anna, and John", "c b"),
        target=(" Mary", " a"),
    )


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("pairs.csv", "clean,corrupted\na b", "got none in row 1"),
        ("pairs.csv", "clean,corrupted", "a row for each pair"),
        ("pairs.csv", "clean,corrupted,target\na,b,c\na,b,", "'target' in every row"),
        ("pairs.json", "{", "CSV or JSON"),
        ("pairs.json", "[1]", "got none in row 1"),
        ("pairs.json", '{"clean": "a"}', "a row for each pair"),
    ],
)
def test_anything_else_is_named(tmp_path: Path, name: str, text: str, message: str) -> None:
    file = tmp_path / name
    file.write_text(text, "utf-8")
    with pytest.raises(ValueError, match=message):
        read_prompt_pairs(file)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="which is no file"):
        read_prompt_pairs(tmp_path / "none.csv")


def test_pairs_stand_side_by_side() -> None:
    with pytest.raises(ValueError, match="for each clean one"):
        PromptPairs(clean=("a", "b"), corrupted=("c",))
