"""Commands that read a fitted scan off its grid: ``sample`` and ``mesh``."""

from __future__ import annotations

from nisf.cli.parser import command
from nisf.utils.bundle import check_device
from nisf.utils.errors import InputError


@command
def sample(
    latent: str = "",
    output: str = "",
    like: str | None = None,
    spacing: object = None,
    plane: object = None,
    box: object = None,
    frames: int | None = None,
    times: object = None,
    size: float | None = None,
    outputs: str | None = None,
    limit: float | None = None,
    exact: bool = False,
    model: str | None = None,
    device: str | None = None,
) -> None:
    """Reads a segmented scan anywhere: on another image's grid, a finer one, a plane, between its frames.

    Writes OUTPUT, a NIfTI file of the segmentation, and other outputs beside it. World points are RAS mm.

    Args:
        latent: <scan>_latent.pt that nisf segment wrote.
        output: file of the segmentation, .nii.gz
        like: image whose grid and number of frames are used (NIfTI, DICOM).
        spacing: voxel size in mm, one number or [x,y,z] along the scan's axes.
        plane: 4-chamber, 2-chamber, or three world points [[x,y,z],[x,y,z],[x,y,z]].
        box: heart, or two corners [[x,y,z],[x,y,z]]: restricts the grid to it.
        frames: number of frames, evenly spaced over the cycle; the scan's own unless given.
        times: fractions of the cycle, in place of frames.
        size: side of a plane in mm (160).
        outputs: any of seg, prob, recon, uncertainty, extrapolated and, for a plane, png, gif; as recon,gif.
        limit: distance beyond the stack in mm up to which values are given; half the slice distance unless given.
        exact: evaluate every voxel even for labels alone (seg, extrapolated); otherwise these are found from coarse
            to fine, which may miss a separate piece or hole of less than 6 mm.
        model: weights; those named in the latent file unless given.
        device: cpu, cuda or cuda:N.
    """
    if not latent or not output:
        raise InputError("name a latent file and the result file: nisf sample LATENT -o OUTPUT.nii.gz")
    from nisf.sampling.grid_options import parsed
    from nisf.utils.bundle import run_bundle, torch_device, words_of

    run_bundle(
        "sampling",
        ["sampling"],
        latent=latent,
        output=output,
        model=model,
        like=like,
        spacing=parsed(spacing),
        plane=parsed(plane),
        box=parsed(box),
        frames=frames,
        times=parsed(times),
        size=size,
        outputs=words_of(outputs) or None,
        limit=limit,
        exact=exact,
        device=torch_device(device),
    )


@command
def mesh(
    latent: str = "",
    output: str = "",
    spacing: float = 1.0,
    frames: int | None = None,
    format: str = "vtp",
    model: str | None = None,
    device: str = "cpu",
) -> None:
    """Writes a segmented scan's surfaces as closed meshes in world mm (RAS), with a table of volumes and areas.

    For a heart: LV_endocardium, LV_epicardium and RV; for another anatomy one for each class. They end at the edges
    of the fitted grid and one slice distance beyond the stack. Pieces and holes of less than 1 mL are left out.

    Args:
        latent: <scan>_latent.pt that nisf segment wrote.
        output: folder of the results.
        spacing: distance between samples in mm, about the size of the triangles.
        frames: number of time points, evenly spaced over the cycle; the scan's own frames unless given.
        format: vtp (with a .pvd for each series, as ParaView reads it), stl or ply.
        model: weights; those of the fit unless given.
        device: cpu, cuda or cuda:N.
    """
    if not latent or not output:
        raise InputError("name a latent file and a result folder: nisf mesh LATENT -o OUTPUT")
    check_device(device)
    from nisf.sampling.mesh import mesh_scan

    files = mesh_scan(latent, output, spacing, frames, None, format, model, device)
    print(f"{len(files)} files; volumes and areas: {files[-1]}")
