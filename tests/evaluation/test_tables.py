"""Generated tables and the markers they stand between."""

import hashlib
import json
import re

import pytest

from restoration.errors import DataError
from restoration.evaluation.tables import model_table, replace_block
from restoration.registry import MODELS
from restoration.weights import WeightStore

_OF_NOTHING = hashlib.sha256(b"").hexdigest()  # the weights files of these tests are empty


def _certificate(psnr):
    score = {"set": "Set5", "psnr": psnr, "ssim": 0.95, "baseline_psnr": 33.67, "baseline_ssim": 0.93}
    return {"parameters": 1_370_000, "sha256": _OF_NOTHING, "scores": [score, {**score, "set": "Set14"}]}


def test_the_table_has_a_row_per_certified_set_and_names_the_rest(tmp_path):
    (tmp_path / "edsr-baseline-x2.safetensors").touch()
    (tmp_path / "edsr-baseline-x2.json").write_text(json.dumps(_certificate(37.5)))
    table = model_table(MODELS, WeightStore(tmp_path))
    rows = [line for line in table.splitlines() if line.startswith("| `")]
    assert rows[0] == "| `edsr-baseline-x2` | enlarge | 1.37 M | Set5 | 37.50 / 0.9500 | 33.67 / 0.9300 | +3.83 dB |"
    assert "Set14" in rows[1]
    assert len(rows) == 2
    missing = re.findall(r"`([^`]+)`", table.splitlines()[-1])
    assert sorted(missing) == sorted(set(MODELS) - {"edsr-baseline-x2"})


def test_weights_below_their_baseline_are_shown_and_named_as_not_offered(tmp_path):
    (tmp_path / "edsr-baseline-x2.safetensors").touch()
    (tmp_path / "edsr-baseline-x2.json").write_text(json.dumps(_certificate(30)))
    table = model_table(MODELS, WeightStore(tmp_path))
    assert "-3.67 dB" in table
    assert "`edsr-baseline-x2`" in table.splitlines()[-1]


def test_a_block_is_replaced_between_its_markers_and_only_there():
    text = "a\n<!-- models:start -->\nold\n<!-- models:end -->\nb\n<!-- cli:start --><!-- cli:end -->\n"
    fresh = replace_block(text, "models", "new\n")
    assert fresh == text.replace("old", "new")
    assert replace_block(fresh, "models", "new") == fresh


@pytest.mark.parametrize(
    "text",
    ["", "<!-- x:start -->", "<!-- x:end --> <!-- x:start -->", "<!-- x:start --><!-- x:start --><!-- x:end -->"],
)
def test_missing_doubled_or_turned_markers_are_errors(text):
    with pytest.raises(DataError, match="x:start"):
        replace_block(text, "x", "content")
