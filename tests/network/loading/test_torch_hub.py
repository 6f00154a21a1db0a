"""Entries of torch.hub: of a folder, or of its cache, asked for their own weights."""

from pathlib import Path

import pytest
import torch

from captum_influence.network.loading.by_name import load_model

HUBCONF = """
import torch
from net import Net

dependencies = ["torch"]

def modern(*, weights=None, progress=True, **rest):
    return Net(weights)

def classic(pretrained=False, **rest):
    return Net("DEFAULT" if pretrained else None)

def bare():
    return Net("its own")

def offline(pretrained=False):
    raise OSError("no route to host") if pretrained else ValueError("of another kind")
"""
NET = """
import torch

class Net(torch.nn.Linear):
    def __init__(self, weights):
        super().__init__(2, 2)
        self.asked = weights
"""


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of torch.hub that holds one repository, downloaded before."""
    repo = tmp_path / "somebody_nets_v1"
    repo.mkdir()
    (repo / "hubconf.py").write_text(HUBCONF)
    (repo / "net.py").write_text(NET)
    monkeypatch.setattr(torch.hub, "_hub_dir", str(tmp_path))
    monkeypatch.delitem(__import__("sys").modules, "net", raising=False)
    return repo


@pytest.mark.parametrize(
    ("entry", "untrained"), [("modern", None), ("classic", None), ("bare", "its own")]
)
def test_an_entry_is_asked_for_its_weights_in_its_own_words(hub, entry, untrained) -> None:
    trained = load_model(f"hub:{hub}:{entry}", "DEFAULT").model
    assert trained.asked == ("its own" if entry == "bare" else "DEFAULT")
    assert not trained.training
    assert load_model(f"hub:{hub}:{entry}").model.asked == untrained


def test_a_repository_in_the_cache_takes_no_connection(hub) -> None:
    assert load_model("hub:somebody/nets:v1:modern", "DEFAULT").model.asked == "DEFAULT"


def test_a_file_of_weights_goes_into_what_the_entry_builds(hub, tmp_path) -> None:
    state = {"weight": torch.ones(2, 2), "bias": torch.zeros(2)}
    torch.save(state, tmp_path / "w.pt")
    model = load_model(f"hub:{hub}:modern", tmp_path / "w.pt").model
    assert model.asked is None
    assert torch.equal(model.weight, state["weight"])


@pytest.mark.parametrize(
    ("spec", "weights", "error", "message"),
    [
        ("{hub}:absent", None, ValueError, r"'absent' in .*hubconf\.py.*it has modern, classic"),
        ("{hub}:offline", None, ValueError, r"without arguments; it raised ValueError: of another"),
        ("{hub}:offline", "DEFAULT", RuntimeError, r"fetched \(no route to host\).*name the file"),
        ("{hub}:modern", "A1", ValueError, "as a file or \"DEFAULT\", got 'A1'"),
        ("{hub}/..:modern", None, FileNotFoundError, r"a folder with a hubconf\.py"),
        ("modern", None, ValueError, "hub:REPO:ENTRY, got hub:modern, which names no entry"),
        ("nowhere:modern", None, FileNotFoundError, "no folder and no repository of GitHub"),
    ],
)
def test_what_is_wrong_is_said(hub, spec, weights, error, message) -> None:
    with pytest.raises(error, match=message):
        load_model(f"hub:{spec.format(hub=hub)}", weights)


def test_a_repository_that_isnt_here_is_named_with_a_cure(hub, monkeypatch) -> None:
    def unreachable(*args: object, **kwargs: object) -> None:
        raise OSError("no route to host")

    monkeypatch.setattr(torch.hub, "list", unreachable)
    with pytest.raises(RuntimeError, match=r"isn't in the cache .*clone it elsewhere and say hub:"):
        load_model("hub:somebody/others:v1:modern")


def test_nobody_is_asked_for_trust_where_nobody_is(hub, monkeypatch) -> None:
    def nobody(*args: object) -> str:
        raise EOFError

    monkeypatch.setattr("builtins.input", nobody)
    with pytest.raises(RuntimeError, match=r"torch\.hub\.list\('some/others:v1', trust_repo=True"):
        load_model("hub:some/others:v1:modern")
