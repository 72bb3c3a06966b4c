"""Settings on the command line of ``python -m monai.bundle run``."""

import json
import re

import pytest
from helpers.bundle_runs import EVALUATION, run

from nisf.utils.command_line import arguments, check_command_line


@pytest.mark.parametrize(
    "run_id, configs, settings, sentence",
    [
        (
            "inference",
            ["inference.json"],
            {"final_point": 9},
            "--final_point is no setting .* did you mean --final_points",
        ),
        (
            "evaluation",
            [*EVALUATION, "phantom.json"],
            {"lr": 1},
            "--lr is a setting that the run id evaluation does not use",
        ),
        (
            "evaluation",
            [*EVALUATION, "phantom.json"],
            {"fit_steps": 1},
            "--fit_steps is no setting of the run id evaluation\n",
        ),
    ],
)
def test_a_setting_that_does_nothing_is_refused_before_anything_is_done(run_id, configs, settings, sentence, tmp_path):
    done = run(run_id, configs, tmp_path, output_dir="out", **settings)
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert re.search(sentence, done.stderr), done.stderr
    assert list(tmp_path.iterdir()) == []


def test_arguments_are_those_that_monai_gets(tmp_path):
    (tmp_path / "args.json").write_text(json.dumps({"run_id": "inference", "grid_step": 2, "only": ["LV"]}))
    words = [
        "--args_file",
        str(tmp_path / "args.json"),
        "--grid_step=3",
        "--skip_finished",
        "--config_file",
        "['a','b']",
    ]
    expected = {"run_id": "inference", "grid_step": 3, "only": ["LV"], "skip_finished": True, "config_file": ["a", "b"]}
    assert arguments(words) == expected
    assert arguments(["training", "--lr", "1e-3"]) == {"run_id": "training", "lr": 1e-3}


@pytest.mark.parametrize(
    "words", [["/x/monai/bundle/__main__.py", "ckpt_export", "--nothing", "1"], ["server", "run", "--nothing"]]
)
def test_other_programs_and_commands_are_left_alone(words, monkeypatch):
    monkeypatch.setattr("sys.argv", words)
    check_command_line()
