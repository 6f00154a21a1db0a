"""Class names in every usual form, and classes by name or number."""

from pathlib import Path

import pytest

from captum_influence.data.labels import class_index, class_name, read_class_names

NAMES = ["sports car", "convertible", "crane"]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("names.json", '["sports car", "convertible", "crane"]'),
        ("names.json", '{"0": "sports car", "1": "convertible", "2": "crane"}'),
        (
            "names.json",
            '{"0": ["n0", "sports_car"], "1": ["n1", "convertible"], "2": ["n2", "crane"]}',
        ),
        ("names.json", '[["n0", "sports_car"], ["n1", "convertible"], ["n2", "crane"]]'),
        ("names.json", '{"sports car": 0, "convertible": 1, "crane": 2}'),
        ("names.txt", "sports car\nconvertible\r\ncrane\n\n"),
        ("names.txt", "\ufeffsports car\nconvertible\ncrane"),
    ],
)
def test_names_in_every_usual_form(tmp_path: Path, name: str, content: str) -> None:
    (tmp_path / name).write_text(content, encoding="utf-8")
    assert read_class_names(tmp_path / name) == dict(enumerate(NAMES))


@pytest.mark.parametrize("content", ["", "[]", "{}", "3", '{"a": "b"}', "[unquoted]", "\xff"])
def test_a_file_without_names_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "names.json").write_bytes(content.encode("latin-1"))
    with pytest.raises(ValueError, match=r"class names in 'names\.json'"):
        read_class_names(tmp_path / "names.json")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="which is not a file"):
        read_class_names(tmp_path / "absent.json")


def test_a_class_by_number_or_name() -> None:
    names = dict(enumerate(["crane", "sports car", "Crane", "7"]))
    assert class_index("SPORTS_car", names) == 1
    assert class_index("3", names, 4) == 3
    assert class_index("7", names) == 7  # digits are a number
    with pytest.raises(ValueError, match="class 0 and class 2: give the number"):
        class_index("crane", names)
    with pytest.raises(ValueError, match="--labels FILE"):
        class_index("crane", None)
    with pytest.raises(ValueError, match="none of the 4 names"):
        class_index("-1", names)
    with pytest.raises(ValueError, match="similar names: sports car"):
        class_index("sport car", names)
    with pytest.raises(ValueError, match=r"; there are crane, sports car, Crane, 7$"):
        class_index("nope", names)
    with pytest.raises(ValueError, match=r"none of the 13 names$"):
        class_index("nope", list("abcdefghijklm"))
    with pytest.raises(ValueError, match="from 0 to 3, got 4: the network has 4 outputs"):
        class_index(4, names, 4)


def test_a_class_without_a_name_is_called_by_its_number() -> None:
    assert class_name(1, NAMES) == "convertible"
    assert class_name(7, {7: "crane"}) == "crane"
    assert [class_name(3, names) for names in (None, NAMES, {7: "crane"})] == ["class 3"] * 3
