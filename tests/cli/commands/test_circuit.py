"""``captum-influence circuit``, in-process: the demos, and a network in a folder."""

import json
import shlex
from pathlib import Path
from xml.etree import ElementTree

import prompted
import pytest
import transformed

from captum_influence import Circuit
from captum_influence.cli.program import main
from captum_influence.network.torchvision_operators import declare_operators

WIRED = {  # by hand, in demo/induction.py
    "a0.h0->a1.h0<k>",
    "a1.h0->logits",
    "input->a0.h0<v>",
    "input->a1.h0<q>",
    "input->a1.h0<v>",
}
QUICK = ["--sizes", "5,20", "--controls", "2"]


def kept(folder: Path, *, scores_classes: bool = False) -> list[str]:
    """Write a network and a tokenizer of words, and return the words that name them."""
    declare_operators()
    transformers = pytest.importorskip("transformers", reason="transformers is not installed")
    tokenizers = pytest.importorskip("tokenizers", reason="tokenizers is not installed")
    words = {word: number for number, word in enumerate([*prompted.WORDS, "?"])}
    inner = tokenizers.Tokenizer(tokenizers.models.WordLevel(words, unk_token="?"))
    inner.pre_tokenizer = tokenizers.pre_tokenizers.WhitespaceSplit()
    made = transformers.PreTrainedTokenizerFast(tokenizer_object=inner, unk_token="?")
    model = transformed.built("GPT-2").float()
    if scores_classes:
        config = model.config
        config.num_labels, config.pad_token_id = 3, len(words) - 1
        model = transformers.GPT2ForSequenceClassification(config)
    model.save_pretrained(folder / "net")
    made.save_pretrained(folder / "net")
    return ["circuit", "--model", "net", *QUICK]


def test_of_the_network_that_is_wired_by_hand(folder, written_in, capsys) -> None:
    assert main(["circuit", "--induction"]) == 0
    told = capsys.readouterr().out.splitlines()
    assert told[-1] == f"The report: {Path('captum-influence-circuit', 'report.html')}"
    home = written_in("captum-influence-circuit")
    found = Circuit.load(home)
    assert set(found.edges) == WIRED
    told_edges = json.loads((home / "circuit_mib.json").read_text("utf-8"))["edges"]
    assert {name for name, edge in told_edges.items() if edge["in_graph"]} == WIRED
    drawn = ElementTree.parse(home / "circuit.svg").getroot()
    assert drawn.tag.endswith("svg")


def test_of_the_demo(folder, written_in) -> None:
    assert main(["circuit", "--quiet", *QUICK]) == 0
    found = Circuit.load(written_in("captum-influence-circuit"))
    assert found.quantity == "logit('John') − logit('Leo')"
    assert found.curve.sizes == (5, 20)
    assert found.curve.random.shape == (2, 2)


def test_of_many_prompts(folder, written_in) -> None:
    rows = [
        "clean,corrupted,target",
        "Mary John Anna Ben Mary,Mary Leo Anna Ben Mary,John",
        "Ruth Tina Ida Ruth,Ruth Yves Ida Ruth,Tina",
    ]
    Path("pairs.csv").write_text("\n".join(rows))
    words = ["circuit", "--pairs", "pairs.csv", *QUICK, "--quantity", "log-probability"]
    assert main([*words, "--versus", "Wanda", "--points", "3", "--edges", "7", "--quiet"]) == 0
    found = Circuit.load(written_in("captum-influence-circuit"))
    assert found.quantity == "log p(a token of each) − log p('Wanda')"
    assert (len(found.clean), found.size) == (2, 7)
    assert found.curve.sizes == (5, 7, 20)


def test_what_the_network_says_is_the_usual_question(folder, written_in) -> None:
    words = ["circuit", "--prompt", "Mary John Anna Ben Mary", "--against"]
    assert main([*words, "Mary Leo Anna Ben Mary", "--distribution", "point", *QUICK]) == 0
    found = Circuit.load(written_in("captum-influence-circuit"))
    assert found.quantity == "logit('John')"
    assert "LinearPath" not in found.call


def test_of_a_language_model_in_a_folder(folder, written_in) -> None:
    asked = kept(folder)
    pair = ["--prompt", prompted.CLEAN, "--against", prompted.CORRUPTED]
    assert main([*asked, *pair, "--target", "Mary", "--versus", "John"]) == 0
    found = Circuit.load(written_in("captum-influence-circuit"))
    assert found.quantity == "logit('Mary') − logit('John')"


def test_of_a_classifier_by_the_names_that_it_brings(folder, written_in) -> None:
    pair = ["--prompt", prompted.CLEAN, "--against", prompted.CORRUPTED]
    asked = kept(folder, scores_classes=True)
    assert main([*asked, *pair, "--target", "LABEL_2", "--quiet"]) == 0
    assert Circuit.load(written_in("captum-influence-circuit")).quantity == "score(class 2)"


def test_the_prompt_that_an_error_names_is_one_that_works(folder, fails) -> None:
    _, _, cure = fails("circuit --target Ben").partition("knows: ")
    assert main(["circuit", *shlex.split(cure), *QUICK, "--quiet"]) == 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--induction --prompt x", "expected --induction alone, got --prompt"),
        ("--pairs none.csv", "expected a file of prompts"),
        ("--pairs none.csv --prompt x", "from --pairs or from options"),
        ("--prompt Ben", "expected --prompt and --against, got one of them"),
        ("--target Ben", "expected --prompt beside --target"),
        ("--model net", "expected --prompt and --against, or --pairs, beside --model"),
        ("--distribution point --points 3", "expected --points with --distribution path"),
        ("--sizes 5,0", "positive whole number"),
        ("--sizes 500", "expected numbers of edges from 1 to 110"),
    ],
)
def test_mistakes_are_named_in_one_line(folder, fails, words: str, message: str) -> None:
    assert message in fails(f"circuit {words}")
