"""The command ``nisf``: a thin face over the bundle's workflows."""

from __future__ import annotations

import os
import sys
import warnings
from pathlib import Path

# fire prints help through a pager, which would stop scripts
os.environ.setdefault("PAGER", "cat")


def bundle_root() -> Path:
    """Folder of the bundle that this code belongs to."""
    return Path(__file__).resolve().parent.parent


def run_bundle(run_id: str, configs: list[str], **overrides: object) -> None:
    """Runs a run id of the bundle as ``python -m monai.bundle run`` does.

    Args:
        run_id: ``training``, ``inference`` or ``evaluation``.
        configs: config files, by name in the bundle's ``configs`` folder, the later ones overriding.
        overrides: single values; None leaves the config's own.

    Raises:
        InputError: what the user can put right.
        SystemExit: some scans failed.
    """
    from monai.bundle import ConfigWorkflow

    folder = bundle_root() / "configs"
    given = {key: value for key, value in overrides.items() if value is not None}
    workflow = ConfigWorkflow(
        config_file=[str(folder / name) for name in configs],
        meta_file=str(folder / "metadata.json"),
        logging_file=str(folder / "logging.conf"),
        run_id=run_id,
        workflow_type="training" if run_id == "training" else "inference",
        bundle_root=str(bundle_root()),
        **given,
    )
    workflow.initialize()
    workflow.run()


class Commands:
    """Segment scans off the grid with neural implicit segmentation functions. Research use only, not for diagnosis."""

    def segment(
        self,
        *scans: str,
        output: str = "",
        o: str = "",
        model: str | None = None,
        device: str | None = None,
        adam: bool = False,
        uncertainty_draws: int = 0,
        save_probabilities: bool = False,
        save_reconstruction: bool = False,
        series: object = None,
        mask: str | None = None,
        dicom_seg: object = None,
    ) -> None:
        """Segments short-axis cine scans: writes OUTPUT/<stem>/<stem>_seg.nii.gz on each scan's own grid.

        Labels: 1 LV blood pool, 2 LV myocardium, 3 RV blood pool. The orientation is taken from each file's affine.

        Args:
            scans: NIfTI, MetaImage or NRRD files, 3D or 4D, or folders of them; or a folder of DICOM files as a
                scanner exports them, in which the short-axis cine is found by its geometry.
            output: folder of the results (-o).
            o: short for output.
            model: weights; the bundle's models/model.pt unless named.
            device: cpu, cuda or cuda:N; a GPU where there is one unless named.
            adam: fit by the paper's Adam steps in place of Gauss-Newton.
            uncertainty_draws: also write <stem>_uncertainty.nii.gz from so many draws (16 is enough): the mean of each
                class probability, the entropy of the means, and the standard deviation of the likeliest class's.
            save_probabilities: also write <stem>_prob.nii.gz.
            save_reconstruction: also write <stem>_recon.nii.gz.
            series: with one scan, other images of the same subject and session (NIfTI, DICOM) or CSV
                files of points (columns x, y, z in RAS mm, intensity, time), fitted together with it; as A.nii.gz,B.csv
            mask: with one scan, a NIfTI file on its grid that is not zero where its voxels are valid.
            dicom_seg: of DICOM scans, also write DICOM SEG objects: of ED and ES (phases), or of every frame (all).
        """
        from scripts.errors import InputError

        target = output or o
        if not scans or not target:
            raise InputError("name one or more scans and a result folder: nisf segment SCAN... -o OUTPUT")
        run_bundle(
            "inference",
            ["inference.json"] + ["adam.json"] * bool(adam),
            dataset_dir=[str(scan) for scan in scans],
            output_dir=str(target),
            model=model,
            device=None if device is None else f"$torch.device('{device}')",
            uncertainty_draws=uncertainty_draws,
            save_probabilities=save_probabilities,
            save_reconstruction=save_reconstruction,
            series=series.split(",") if isinstance(series, str) else None if series is None else list(series),
            mask=mask,
            dicom_seg=dicom_seg,
        )

    def sample(
        self,
        latent: str,
        output: str = "",
        o: str = "",
        like: str | None = None,
        spacing: object = None,
        plane: object = None,
        box: object = None,
        frames: int | None = None,
        times: object = None,
        size: float | None = None,
        outputs: object = None,
        limit: float | None = None,
        exact: bool | None = None,
        model: str | None = None,
        device: str | None = None,
    ) -> None:
        """Reads a segmented scan anywhere: on another image's grid, a finer one, a plane, between its frames.

        Writes OUTPUT, a NIfTI file of the segmentation, and other outputs beside it. World points are RAS mm.

        Args:
            latent: <stem>_latent.pt that nisf segment wrote.
            output: file of the segmentation, .nii.gz (-o).
            o: short for output.
            like: image whose grid and number of frames are taken (NIfTI, DICOM).
            spacing: voxel size in mm, one number or [x,y,z] along the scan's axes.
            plane: 4-chamber, 2-chamber, or three world points [[x,y,z],[x,y,z],[x,y,z]].
            box: heart, or two corners [[x,y,z],[x,y,z]]: only the part of the grid that holds it.
            frames: number of frames, spread over the cycle; the scan's own unless given.
            times: fractions of the cycle, in place of frames.
            size: mm along a plane's sides (160).
            outputs: any of seg, prob, recon, uncertainty, extrapolated and, of a plane, png, gif; as recon,gif.
            limit: mm beyond the stack up to which values are given; half the slice distance unless given.
            exact: evaluate every voxel also where labels alone are wanted (seg, extrapolated); otherwise those are
                found from coarse to fine, which may overlook a separate piece or hole of less than 6 mm.
            model: weights; those that the latent names unless given.
            device: cpu, cuda or cuda:N.
        """
        from scripts.errors import InputError
        from scripts.grid_choice import parsed

        target = output or o
        if not target:
            raise InputError("name the result file: nisf sample LATENT -o OUTPUT.nii.gz")
        run_bundle(
            "sampling",
            ["sampling.json"],
            latent=str(latent),
            output=str(target),
            model=model,
            like=like,
            spacing=parsed(spacing),
            plane=parsed(plane),
            box=parsed(box),
            frames=frames,
            times=parsed(times),
            size=size,
            outputs=outputs.split(",") if isinstance(outputs, str) else parsed(outputs),
            limit=limit,
            exact=exact,
            device=None if device is None else f"$torch.device('{device}')",
        )

    def mesh(
        self,
        latent: str = "",
        output: str = "",
        o: str = "",
        spacing: float = 1.0,
        frames: int | None = None,
        format: str = "vtp",
        model: str | None = None,
        device: str = "cpu",
    ) -> None:
        """Writes a fitted scan's surfaces as closed meshes in world mm (RAS), with a table of their volumes and areas.

        Of a heart: LV_endocardium, LV_epicardium and RV; of another anatomy one for each class. They end at the edges
        of the fitted grid and one slice's distance beyond the stack. Pieces and holes of less than 1 mL are left out.

        Args:
            latent: <stem>_latent.pt that segment wrote.
            output: folder of the results (-o).
            o: short for output.
            spacing: mm between samples; triangles are about so large.
            frames: number of moments, evenly spaced over the cycle; the scan's own frames unless given.
            format: vtp (with a .pvd for each series, as ParaView reads it), stl or ply.
            model: weights; those that the fit was made with unless named.
            device: cpu, cuda or cuda:N.
        """
        from scripts.errors import InputError
        from scripts.surfaces import mesh_scan

        target = output or o
        if not latent or not target:
            raise InputError("name a latent file and a result folder: nisf mesh LATENT -o OUTPUT")
        files = mesh_scan(str(latent), str(target), spacing, frames, None, format, model, device)
        print(f"{len(files)} files; volumes and areas: {files[-1]}")


def main() -> None:
    """Entry point of ``nisf``."""
    import fire

    from scripts.errors import input_error_in

    warnings.filterwarnings("ignore", module="monai")
    try:
        fire.Fire(Commands, name="nisf")
    except Exception as error:
        found = input_error_in(error)
        if found is None:
            raise
        print(f"nisf: {found}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
