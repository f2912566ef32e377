"""`models`, `evaluate`, `train`, `certify`, `tables`, and the program as a process."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from restoration.cli.main import build_parser
from restoration.cli.tables import command_help
from restoration.registry import MODELS

ROOT = Path(__file__).resolve().parents[2]


def _process(*words):
    return subprocess.run(
        [sys.executable, "-m", "restoration", *words], cwd=ROOT, capture_output=True, text=True, check=False
    )


def test_models_lists_every_card_with_its_reason(command):
    code, stdout, _ = command("models", "--json")
    rows = json.loads(stdout)
    assert code == 0
    assert [row["name"] for row in rows] == list(MODELS)
    for row in rows:
        keys = "name family title sentence task scale available reason parameters set gain_db fast"
        assert list(row) == keys.split()
        assert row["available"] is (row["reason"] == "")
        assert not row["available"] or row["gain_db"] > 0


def test_the_fast_precision_is_listed_with_what_it_loses(command, monkeypatch):
    def facts(card, store):
        return {"loss_db": 0.0262, "speedup": 1.46, "scores": []} if card.name == "edsr-baseline-x2" else None

    monkeypatch.setattr("restoration.inference.fast.fast_facts", facts)
    rows = {row["name"]: row["fast"] for row in json.loads(command("models", "--json")[1])}
    assert {name: fast for name, fast in rows.items() if fast} == {
        "edsr-baseline-x2": {"loss_db": 0.0262, "speedup": 1.46}
    }
    assert ", fast: -0.026 dB, 1.46x\n" in command("models")[1]


def test_models_prints_a_line_per_card(command):
    code, stdout, _ = command("models")
    assert code == 0
    assert [line.split()[0] for line in stdout.splitlines()] == list(MODELS)


def test_evaluate_prints_json_rows(command, photo):
    for number in (1, 2, 3):
        folder = photo(f"sharp/{number}.png").parent
    code, stdout, _ = command("evaluate", "--task", "enhance", "--data", folder, "--limit", 2, "--json")
    (row,) = json.loads(stdout)
    assert code == 0
    assert set(row) == {"model", "task", "scale", "pictures", "psnr", "ssim", "baseline_psnr", "baseline_ssim"}
    assert row["pictures"] == 2
    assert row["psnr"] < row["baseline_psnr"]  # the fake engine inverts


def test_evaluate_prints_a_table_and_writes_the_sheet(command, photo, tmp_path):
    folder = photo("sharp/a.png").parent
    sheet = tmp_path / "sheet.png"
    code, stdout, stderr = command("evaluate", "--task", "enlarge", "--data", folder, "--sheet", sheet, "--scale", 2)
    assert code == 0
    assert stdout.startswith("| model |")
    assert stdout.count("\n") == 3
    assert str(sheet) in stderr
    assert sheet.exists()


def test_deblur_without_kernels_is_one_sentence_and_exit_2(command, photo, tmp_path):
    code, stdout, stderr = command("evaluate", "--task", "deblur", "--data", photo("s/a.png").parent)
    assert (code, stdout) == (2, "")
    assert "--kernels" in stderr
    np.savez(tmp_path / "k.npz", k=np.ones((1, 1)))
    words = ("--task", "deblur", "--data", tmp_path / "nowhere", "--kernels", tmp_path / "k.npz")
    code, _, stderr = command("evaluate", *words)
    assert code == 1
    assert "no folder" in stderr


def test_train_wants_one_length_and_a_known_recipe(command, tmp_path):
    assert command("train", "edsr-baseline-x2", "--data", tmp_path)[0] == 2
    assert command("train", "edsr-baseline-x2", "--data", tmp_path, "--minutes", 1, "--steps", 1)[0] == 2
    code, _, stderr = command("train", "nothing", "--data", tmp_path, "--steps", 1)
    assert code == 2
    assert "edsr-baseline-x2" in stderr


def test_train_passes_everything_on(command, tmp_path, monkeypatch):
    from restoration.training import loop

    seen = {}
    monkeypatch.setattr(
        loop, "train", lambda *args, **options: seen.update(options, args=args) or Path("w.safetensors")
    )
    words = ("--data", tmp_path, "--minutes", 2.5, "--resume", "--device", "cpu", "--seed", 7)
    code, stdout, _ = command("train", "edsr-baseline-x2", *words)
    assert (code, stdout) == (0, "w.safetensors\n")
    recipe, data, out = seen.pop("args")
    assert (recipe.name, data, out) == ("edsr-baseline-x2", tmp_path, Path("runs/edsr-baseline-x2"))
    del seen["store"]
    assert seen.pop("workers") >= 1
    assert seen == {
        "minutes": 2.5, "steps": None, "resume": True, "device": "cpu", "seed": 7, "stop_after": None,
        "learning_rate": None,
    }  # fmt: skip


def test_train_begins_with_the_bundled_weights_of_another_model(command, tmp_path, monkeypatch):
    from restoration.training import loop

    seen = []
    monkeypatch.setattr(loop, "train", lambda recipe, *args, **options: seen.append(recipe) or Path("w"))
    command("train", "edsr-baseline-x4", "--data", tmp_path, "--minutes", 1, "--start", "edsr-baseline-x4")
    command("train", "edsr-baseline-x4", "--data", tmp_path, "--minutes", 1)
    assert [recipe.warm_start for recipe in seen] == ["edsr-baseline-x4", "edsr-baseline-x2"]
    code, _, stderr = command(
        "train", "edsr-baseline-x4", "--data", tmp_path, "--resume", "--start", "edsr-baseline-x4"
    )
    assert code == 2
    assert "not allowed with" in stderr


def test_train_without_a_seed_leaves_it_to_the_checkpoint():
    assert build_parser().parse_args(["train", "edsr-baseline-x2", "--data", "d"]).seed is None


@pytest.mark.parametrize("words", [("--seed", -1), ("--workers", -1), ("--stop-after", -1)], ids=str)
def test_train_with_a_number_that_cannot_be_is_one_sentence_and_makes_no_folder(command, tmp_path, words):
    out = tmp_path / "run"
    code, stdout, stderr = command("train", "edsr-baseline-x2", "--data", tmp_path, "--steps", 1, "--out", out, *words)
    assert (code, stdout) == (2, "")
    assert stderr.count("\n") == 1
    assert "not" in stderr
    assert "-1" in stderr
    assert not out.exists()


def test_certify_measures_a_run_and_adopts_it(command, photo, tmp_path, engine):
    data, run = tmp_path / "data", tmp_path / "run"
    engine.change = lambda picture: picture
    for name in ("Set5", "Set14"):
        photo(f"data/eval/{name}/a.png")
    (data / "train").mkdir()
    (data / "train" / "general.json").write_text('[{"file": "1", "licence": "CC0"}]')
    run.mkdir()
    assert command("certify", run, "--data", data)[0] == 1
    (run / "run.json").write_text('{"recipe": "edsr-baseline-x2", "minutes": 1}')
    (run / "edsr-baseline-x2.safetensors").write_bytes(b"weights")
    code, stdout, _ = command("certify", run, "--data", data, "--weights", tmp_path / "weights")
    assert code == 0
    assert stdout.startswith("edsr-baseline-x2: adopted\n  Set5: ")
    assert json.loads((tmp_path / "weights" / "edsr-baseline-x2.json").read_text())["data"]["licences"] == {"CC0": 1}


def test_tables_fills_the_blocks_and_check_finds_stale_ones(command, tmp_path):
    document = tmp_path / "README.md"
    document.write_text(
        "# x\n<!-- models:start -->\n<!-- models:end -->\n<!-- cli:start -->\n<!-- cli:end -->\n"
        "<!-- speed:start -->\n<!-- speed:end -->\nend\n"
    )
    code, _, stderr = command("tables", "--check", document)
    assert code == 1
    assert "stale" in stderr
    assert command("tables", document)[0] == 0
    assert command("tables", "--check", document)[0] == 0
    text = document.read_text()
    assert "| model | task |" in text
    assert "python -m restoration evaluate" in text
    assert "<!-- speed:start -->\n\n" not in text
    assert text.endswith("<!-- speed:end -->\nend\n")
    document.write_text(text.replace("PSNR", "SNR"))
    assert command("tables", "--check", document)[0] == 1
    assert command("tables", tmp_path / "none.md")[0] == 1


def test_the_command_help_names_every_option_of_every_command():
    text = command_help(build_parser())
    for words in (
        "restore IN... -o OUT --task",
        "--minutes N | --steps N",
        "(--data DIR | --pairs BLUR SHARP)",
        "data degrade IN OUT --recipe",
        "--kernels FILE",
        "tables [FILE] [--check]",
    ):
        assert words in text
    assert max(map(len, text.splitlines())) <= 100
    recipes = next(line for line in text.splitlines() if line.startswith("  --recipe "))
    assert recipes.endswith("|faces")  # too long for its column: the help stands below


def test_no_command_is_a_usage_error(command):
    code, _, stderr = command()
    assert code == 2
    assert "COMMAND" in stderr


def test_the_process_has_the_exit_codes_and_no_traceback(tmp_path):
    wrong = _process("restore", "a.png", "-o", str(tmp_path), "--task", "enhance", "--quality", "0")
    assert wrong.returncode == 2
    assert wrong.stderr.count("\n") == 1
    failed = _process("certify", str(tmp_path), "--data", str(tmp_path))
    assert failed.returncode == 1
    assert "Traceback" not in failed.stderr
    assert _process("--help").returncode == 0


def test_help_does_not_import_torch():
    code = "import sys; from restoration.cli.main import build_parser; build_parser(); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


@pytest.mark.slow
def test_the_adopted_weights_reach_their_published_score():
    if "RESTORATION_DATA" not in os.environ:
        pytest.skip("RESTORATION_DATA does not name the folder of evaluation data")
    folder = Path(os.environ["RESTORATION_DATA"]) / "eval" / "Set5"
    done = _process("evaluate", "--task", "enlarge", "--model", "edsr-baseline-x2", "--data", str(folder), "--json")
    (row,) = json.loads(done.stdout)
    assert row["baseline_psnr"] == pytest.approx(33.67, abs=0.01)
    assert row["psnr"] > 37.5
