"""Commands for weights, data and the machine: ``train``, ``evaluate``, ``phantom``, ``doctor``."""

from __future__ import annotations

from nisf.cli.parser import command
from nisf.utils.errors import InputError


@command
def train(
    dataset: str = "",
    output: str = "",
    config: str = "acdc",
    layout: str | None = None,
    splits: str | None = None,
    resume: bool = False,
    epochs: int | None = None,
    unet_epochs: int | None = None,
    device: str | None = None,
    tracking: str | None = None,
    **settings: object,
) -> None:
    """Trains weights on a data set with labels: first the U-Net, then the prior.

    Writes OUTPUT/unet/unet.pt and OUTPUT/model.pt, beside checkpoints, curves and the splits. With them:

        nisf segment SCAN -o OUT --config CONFIG --model OUTPUT/model.pt --unet_model OUTPUT/unet/unet.pt

    For your own data, list the files in a cohort.json (docs/reference/layouts.md) and give that.

    Args:
        dataset: folder of the data, or a data list (cohort.json).
        output: folder of the results.
        config: kind of data: acdc (short-axis cine), phantom, hippocampus, or JSON files; as A,B.
        layout: layout of the data on disk, as acdc or msd (an unknown one lists all); the config's unless given, and
            cohort for a data list.
        splits: JSON file of subject ids by section (training, validation, test); the config's rule or the data list's
            own sections unless given.
        resume: go on where an earlier call stopped.
        epochs: epochs of the prior; the config's unless given.
        unet_epochs: epochs of the U-Net; the config's unless given.
        device: cpu, cuda or cuda:N; a GPU where there is one unless named.
        tracking: mlflow, to log losses and scores to OUTPUT/mlruns.db, or to the address given by --tracking_uri.
        settings: any other entry at the top of the configs, as --lr 0.001 --seed 1.
    """
    from nisf import runs

    if not dataset or not output:
        raise InputError("name a data set and a result folder: nisf train DATASET -o OUTPUT")
    weights = runs.train(
        dataset, output, config, layout, splits, resume, epochs, unet_epochs, device, tracking, **settings
    )
    print(weights)


@command
def evaluate(
    dataset: str = "",
    output: str = "",
    config: str = "acdc",
    layout: str | None = None,
    section: str = "test",
    splits: str | None = None,
    model: str | None = None,
    unet_model: str | None = None,
    device: str | None = None,
    **settings: object,
) -> None:
    """Segments and scores a data set with labels: Dice and 95% Hausdorff distance per class and phase.

    Writes scores.csv, summary.csv, scores.json and cases.png to OUTPUT, and everything that nisf segment writes.

    Args:
        dataset: folder of the data, or a data list (cohort.json).
        output: folder of the results.
        config: kind of data: acdc, phantom, hippocampus, or JSON files; as A,B.
        layout: as in nisf train.
        section: training, validation, test or all.
        splits: as in nisf train.
        model: weights of the prior; the config's unless named.
        unet_model: weights of the U-Net; the config's unless named.
        device: cpu, cuda or cuda:N; a GPU where there is one unless named.
        settings: any other entry at the top of the configs, as --hold_out every_2.
    """
    from nisf import runs

    if not dataset or not output:
        raise InputError("name a data set and a result folder: nisf evaluate DATASET -o OUTPUT")
    weights = {"model": model, "unet_model": unet_model}
    runs.evaluate(dataset, output, config, layout, section, splits, device, **weights, **settings)


@command
def phantom(
    output: str = "",
    training: int = 0,
    validation: int = 0,
    test: int = 1,
    seed: int = 0,
    **options: object,
) -> None:
    """Writes a synthetic cohort of beating hearts with exact labels, a NIfTI scan each, and its data list.

    Args:
        output: folder of the cohort.
        training: number of training subjects.
        validation: number of validation subjects.
        test: number of test subjects.
        seed: random seed; another seed makes other hearts.
        options: scanner options, as --matrix 64 --slices 6 --frames 10; a wrong name lists them all.
    """
    if not output:
        raise InputError("name the cohort's folder: nisf phantom -o OUTPUT")
    from tqdm import tqdm

    from nisf.phantom.cohort import write_cohort

    with tqdm(total=training + validation + test, desc="phantoms", disable=None) as bar:
        listing = write_cohort(
            output, training, validation, test, seed, lambda done, total, subject: bar.update(), **options
        )
    print(listing)


@command
def doctor(folder: str = ".", device: str | None = None, json: bool = False) -> None:
    """Checks the machine and the installation: what is missing, what is slow and why, how long a scan will take.

    Prints a line for each check: ok, warning (it works, but slowly or in part) or problem. Exit status 0, or 1 where
    there is a problem.

    Args:
        folder: where results are to be written.
        device: cpu, cuda or cuda:N; a GPU where there is one unless named.
        json: print the findings as JSON in place of lines.
    """
    from nisf.cli.doctor import as_json, as_lines, examine

    findings = examine(folder, device)
    print(as_json(findings) if json else as_lines(findings))
    if any(one.state == "problem" for one in findings):
        raise SystemExit(1)
