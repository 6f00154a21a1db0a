"""``captum-influence explain-text``, in-process, on small networks of transformers in a folder."""

import json
from pathlib import Path

import prompted
import pytest
import transformed

from captum_influence import TextExplanation
from captum_influence.cli.program import main
from captum_influence.network.torchvision_operators import declare_operators


def kept(kind: str, folder: Path) -> list[str]:
    """Write a network and a tokenizer of words, and return the words that name them."""
    declare_operators()
    transformers = pytest.importorskip("transformers", reason="transformers is not installed")
    tokenizers = pytest.importorskip("tokenizers", reason="tokenizers is not installed")
    words = {word: number for number, word in enumerate([*prompted.WORDS, "?"])}
    inner = tokenizers.Tokenizer(tokenizers.models.WordLevel(words, unk_token="?"))
    inner.pre_tokenizer = tokenizers.pre_tokenizers.WhitespaceSplit()
    made = transformers.PreTrainedTokenizerFast(tokenizer_object=inner, unk_token="?")
    transformed.built(kind).float().save_pretrained(folder / "net")
    made.save_pretrained(folder / "net")
    return ["explain-text", "--model", "net", "--prompt", prompted.CLEAN, "--top", "2"]


def test_of_a_language_model(folder, written_in, capsys) -> None:
    asked = kept("GPT-2", folder)
    more = ["--against", prompted.CORRUPTED, "--target", "Mary", "--versus", "John"]
    assert main([*asked, *more, "--points", "4"]) == 0
    found = TextExplanation.load(written_in("captum-influence-explain-text"))
    assert found.headline in capsys.readouterr().out
    assert found.quantity == "logit('Mary') − logit('John')"
    assert found.settings["against"] == prompted.CORRUPTED
    text = Path("captum-influence-explain-text", "text_explanation.json").read_text("utf-8")
    assert json.loads(text)["quantity"] == found.quantity


def test_of_a_classifier(folder, written_in) -> None:
    asked = [word.replace("net", "hf:net") for word in kept("BERT", folder)]  # as elsewhere
    assert main([*asked, "--target", "LABEL_2", "--quiet", "--out", "there"]) == 0
    assert TextExplanation.load(written_in("there")).quantity == "score(LABEL_2)"


def test_of_the_demo(folder, written_in, capsys) -> None:
    assert main(["explain-text", "--top", "2"]) == 0
    found = TextExplanation.load(written_in("captum-influence-explain-text"))
    assert "The network says 'John'" in capsys.readouterr().out
    assert found.quantity == "logit('John') − logit('Leo')"
    words = "explain-text --prompt".split()
    assert main([*words, "Mary John Anna Ben Mary", "--quiet", "--out", "other"]) == 0
    assert TextExplanation.load(written_in("other")).quantity == "logit('John')"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--model net", "expected --prompt TEXT beside --model, got none"),
        ("--against Ben", "expected --prompt beside --against, got none"),
        ("--prompt Zoe", "'Zoe', which the demo network doesn't know"),
        ("--model net --prompt x --weights w.pt", "unrecognized arguments: --weights w.pt"),
        ("--model net --prompt x --top 0", "positive whole number"),
        ("--model torchvision:resnet18 --prompt x", "networks of pictures are for explain"),
    ],
)
def test_mistakes_are_named_in_one_line(folder, fails, words: str, message: str) -> None:
    assert message in fails(f"explain-text {words}")
