"""Checks that run a bundle with MONAI's functions, offline, where no other `scripts` or `nisf` can be imported.

python -m zoo.live FOLDER
"""

from __future__ import annotations

import os
import socket
import sys
import tempfile
from pathlib import Path

import torch

from zoo.checklist import CheckFailed, run_checks

#: Not MONAI's schema, which is fetched from the address in the metadata and asks for less.
RULES = Path(__file__).resolve().parent.parent / "tests" / "data" / "metadata_rules.json"


def metadata_rules(folder: Path) -> str:
    """The metadata keep the rules of this repository; MONAI's own schema is not here, as nothing is fetched."""
    from monai.bundle import verify_metadata

    verify_metadata(meta_file=str(_config(folder, "metadata")), filepath=str(RULES))
    return f"our own rules, {RULES.name}"


def net_in_out(folder: Path) -> str:
    """Inputs and outputs of the network match the metadata."""
    from monai.bundle import verify_net_in_out

    verify_net_in_out("network_def", **_files(folder), bundle_root=str(folder), device="cpu")
    return "network_def"


def inference_properties(folder: Path) -> str:
    """All properties that MONAI requires of an inference workflow."""
    return _properties(folder, "infer", "inference", dataset_dir=[str(_phantoms(folder) / "test000_sa.nii.gz")])


def train_properties(folder: Path) -> str:
    """All properties that MONAI requires of a training workflow."""
    return _properties(folder, "train", "train", dataset_dir=str(_phantoms(folder)))


def torchscript(folder: Path) -> str:
    """The network can be exported, and the exported one gives the same numbers."""
    from monai.bundle import ckpt_export

    weights, exported = folder / "models" / "model.pt", Path("verify_model.ts").resolve()
    given = {**_files(folder), "ckpt_file": str(weights), "filepath": str(exported)}
    ckpt_export("network_def", **given, bundle_root=str(folder))
    coords = torch.rand(2, 4, 100) * 2 - 1
    with torch.no_grad():
        difference = float((torch.jit.load(str(exported))(coords) - loaded(folder)(coords)).abs().max())
    if not difference < 1e-4:
        raise CheckFailed(f"the exported network's logits differ by {difference}")
    return f"largest difference {difference:.1e}"


def loads(folder: Path) -> str:
    """``monai.bundle.load`` gives the network with its weights, and the code in the folder."""
    network = loaded(folder)
    where = Path(sys.modules[type(network).__module__].__file__)
    if folder not in where.parents:
        raise CheckFailed(f"the code that ran was not the bundle's: {where}")
    state = torch.load(folder / "models" / "model.pt", weights_only=True)
    differ = [name for name, value in network.state_dict().items() if not torch.equal(value, state[name])]
    if differ or set(state) != set(network.state_dict()):
        raise CheckFailed(f"the loaded network's {(differ or ['weights'])[0]} is not that of models/model.pt")
    return type(network).__name__


def loaded(folder: Path) -> torch.nn.Module:
    """The network from ``monai.bundle.load``."""
    from monai.bundle import load

    return load(folder.name, bundle_dir=str(folder.parent), workflow_type="inference", device="cpu").eval()


CHECKS = {
    "metadata rules": metadata_rules,
    "verify_net_in_out": net_in_out,
    "inference workflow": inference_properties,
    "training workflow": train_properties,
    "ckpt_export": torchscript,
    "bundle.load": loads,
}


def _config(folder: Path, name: str) -> Path:
    return folder / "configs" / f"{name}.json"


def _files(folder: Path) -> dict[str, str]:
    return {"meta_file": str(_config(folder, "metadata")), "config_file": str(_config(folder, "inference"))}


def _phantoms(folder: Path) -> Path:
    """A tiny cohort, made once."""
    from nisf.phantom.cohort import write_cohort

    there = Path("phantoms").resolve()
    if not there.is_dir():
        write_cohort(there, 1, 1, 1, matrix=24, voxel_mm=6, slices=4, frames=2)
    return there


def _properties(folder: Path, kind: str, name: str, **override: object) -> str:
    from monai.bundle import ConfigWorkflow

    workflow = ConfigWorkflow(
        workflow_type=kind,
        config_file=str(_config(folder, name)),
        meta_file=str(_config(folder, "metadata")),
        logging_file=False,
        bundle_root=str(folder),
        output_dir="out",
        device="cpu",
        **override,
    )
    workflow.initialize()
    missing = workflow.check_properties()
    if missing:
        raise CheckFailed(f"{name}.json: lacks or misnames {', '.join(missing)}")
    return f"{name}.json, {len(workflow.properties)} properties"


def _offline(*args: object, **kwargs: object) -> None:
    raise ConnectionError("the checks run without a network")


def main(folder: Path) -> int:
    """Runs the checks in an empty folder; returns the number that failed."""
    folder = folder.resolve()
    own = ("scripts", "nisf")
    elsewhere = [path for path in sys.path if not any((Path(path) / name).is_dir() for name in own)]
    sys.path[:] = [str(folder), *elsewhere]
    socket.socket.connect = socket.create_connection = socket.getaddrinfo = _offline
    with tempfile.TemporaryDirectory() as empty:
        os.chdir(empty)
        return run_checks(CHECKS, folder)


if __name__ == "__main__":
    sys.exit(min(main(Path(sys.argv[1])), 1))
