"""Commands that work on scans: ``segment``, ``report``, ``view``, ``cohort run``."""

from __future__ import annotations

from typing import Literal

from nisf.cli.parser import command, with_options_of
from nisf.utils.errors import InputError


@command
def segment(
    *scans: str,
    output: str = "",
    overwrite: bool = False,
    fast: bool = False,
    exact: bool = False,
    only: str | None = None,
    json: bool = False,
    device: str | None = None,
    uncertainty_draws: int = 0,
    save_probabilities: bool = False,
    save_reconstruction: bool = False,
    series: str | None = None,
    mask: str | None = None,
    cycle_ms: float | None = None,
    voxel_mm: str | None = None,
    orientation: str | None = None,
    stack: str | None = None,
    strict: bool = False,
    dicom_seg: bool | Literal["phases", "all"] | None = None,
    keep_ids: bool = False,
    slicer: bool = False,
    layout: str | None = None,
    config: str | None = None,
    model: str | None = None,
    unet_model: str | None = None,
    adam: bool = False,
) -> None:
    """Segments short-axis cine scans, each on its own grid.

    Writes OUTPUT/<scan>/<scan>_seg.nii.gz (1 LV blood pool, 2 LV myocardium, 3 RV blood pool) and <scan>_latent.pt, the
    fitted function, which nisf report, sample and mesh read; OUTPUT/scans.json is the summary. The orientation is taken
    from each file's affine unless --orientation states it.

    Scans with finished results of the same files, settings and weights are skipped: repeat the command to continue a
    batch that was stopped. Another scan of the same name gets a name of its own. Labels corrected by hand are kept.

    Exit status: 0 all scans done, 1 some failed (the others are done), 2 the call cannot work.

    Args:
        scans: NIfTI, MetaImage or NRRD files (3D or 4D), folders of them at any depth, folders of DICOM files as a
            scanner exports them (the short-axis cine is found by its geometry), zip or tar archives of one of these, or
            one data list (cohort.json).
        output: folder of the results.
        overwrite: segment finished scans again, but for those whose labels were corrected by hand.
        fast: a fit with half the points, and a U-Net that reads ten frames in place of all; see docs/results/speed.md.
        exact: evaluate the fitted function at every voxel, in place of where classes or intensities change; the labels
            agree to 0.001 of Dice.
        only: classes to write, the others become background; by name or number, as LV,MYO.
        json: print the summary as JSON, alone on standard output; progress goes to standard error.
        device: cpu, cuda or cuda:N; a GPU where there is one unless named.
        uncertainty_draws: also write <scan>_uncertainty.nii.gz from this many draws (16 are enough): the mean of each
            class probability, the entropy of the means, and the standard deviation of the likeliest class's.
        save_probabilities: also write <scan>_prob.nii.gz.
        save_reconstruction: also write <scan>_recon.nii.gz.
        series: with one scan, other images of the same subject and session (NIfTI, DICOM) or CSV files of points
            (columns x, y, z in RAS mm, intensity, time), fitted together with it; as A.nii.gz,B.csv
        mask: with one scan, a NIfTI file on its grid, nonzero where voxels are valid.
        cycle_ms: time from one beat to the next in ms, for cines that end before the cycle does and do not tell it, as
            NIfTI; with the time between frames in each file it gives the frames their place in the cycle.
        voxel_mm: voxel size in mm along the first, second and third array axis of all scans, where their files have
            lost it; as 1.4,1.4,10. The results have it, and nisf report gives volumes.
        orientation: directions in which the first, second and third array axis of all scans point, where their affines
            are wrong or lost, as lateral,inferior,apex (of lateral, septal, inferior, anterior, apex, base); or the
            codes of the patient's axes, as LPS for axes that point to left, posterior and superior.
        stack: series of the DICOM folders that is segmented, whatever its plane; by number, UID or description as nisf
            inspect lists them.
        strict: refuse DICOM folders with something unusual, a missing slice or frame, a slice with another field, a
            plane that is no usual short axis, in place of a warning.
        dicom_seg: for DICOM scans, also write DICOM SEG objects, of ED and ES, or with --dicom_seg all of every frame.
        keep_ids: keep the patient's identity in DICOM SEG objects; no other file ever holds it.
        slicer: also write segmentations of ED and ES, and a sequence of all frames' labels, as 3D Slicer opens them.
        layout: layout of a data set, as acdc; files and folders of any form unless named. An unknown one lists all.
        config: settings of other weights or anatomies: phantom, hippocampus, or JSON files; as A,B.
        model: weights of the prior; the bundle's models/model.pt unless named.
        unet_model: weights of the U-Net; the bundle's models/unet.pt unless named.
        adam: fit by the paper's Adam steps in place of Gauss-Newton.
    """
    from nisf import runs
    from nisf.cli.parser import summary_on_stdout
    from nisf.utils.quick_start import import_monai

    if not scans or not output:
        raise InputError("name one or more scans and a result folder: nisf segment SCAN... -o OUTPUT")
    import_monai()
    with summary_on_stdout(output, json):
        runs.segment(
            scans,
            output,
            config,
            layout=layout,
            fast=fast,
            exact=exact,
            adam=adam,
            device=device,
            only=runs.words_of(only) or None,
            model=model,
            unet_model=unet_model,
            uncertainty_draws=uncertainty_draws,
            save_probabilities=save_probabilities,
            save_reconstruction=save_reconstruction,
            series=runs.words_of(series) or None,
            mask=mask,
            cycle_ms=cycle_ms,
            voxel_mm=voxel_mm,
            stack=stack,
            dicom_seg=dicom_seg,
            keep_ids=keep_ids,
            slicer=slicer,
            **_settings(overwrite, orientation, strict),
        )


@command
def report(
    folder: str = "",
    height: float | None = None,
    weight: float | None = None,
    sex: str | None = None,
    heart_rate: float | None = None,
    people: str | None = None,
    reference: str | None = None,
) -> None:
    """Measures segmented scans and writes a page for each: volumes, pictures, intervals.

    For every scan below FOLDER: report.html, report.png, measures.json, measures.csv; for all together measures.csv
    and index.html. Research use only, not for diagnosis.

    Exit status: 0 all scans reported, 1 some failed, 2 the call cannot work.

    Args:
        folder: result folder of nisf segment, or the folder of one scan in it.
        height: height in cm, for measures per body surface area.
        weight: weight in kg, with the height.
        sex: F or M, for the reference ranges.
        heart_rate: beats a minute, for the cardiac output; from the DICOM headers unless given.
        people: CSV file of these by scan, with columns scan, height, weight, sex, heart_rate; empty cells are unknown.
        reference: CSV file of your own values, with columns scan, LVEF and other measures; index.html compares them
            (Bland-Altman plots, bias, limits, slope).
    """
    from nisf.utils.quick_start import import_monai

    if not folder:
        raise InputError("name the result folder of nisf segment: nisf report FOLDER")
    import_monai()
    from nisf.report.command import report_all

    report_all(folder, people, reference=reference, height=height, weight=weight, sex=sex, heart_rate=heart_rate)


@command
def view(folder: str = "", no_browser: bool = False, model: str | None = None, draws: int = 0) -> None:
    """Writes a segmented scan as a page in which the fitted function runs, and opens it: planes laid by hand.

    FOLDER/view.html is one file that needs no server and no network: three planes to drag, turn and zoom at any time of
    the cycle, computed on the graphics card or the processor of whoever opens it, with the numbers that nisf sample
    writes; contours, classes, volumes, the surface. nisf report writes it too. Research use only, not for diagnosis.

    Args:
        folder: folder of one scan in the result folder of nisf segment; of the result folder itself every scan's page
            is written and none opened.
        no_browser: write the page without opening it.
        model: weights; those named in the latent file unless given.
        draws: also a layer that shows how much this many draws from the posterior differ (16 are enough).
    """
    from nisf.utils.quick_start import import_monai

    if not folder:
        raise InputError("name the folder of a scan: nisf view OUT/scan")
    import_monai()
    from nisf.report.view_command import view_all

    view_all(folder, model, open_page=not no_browser, draws=draws)


@command
@with_options_of(
    segment,
    *("overwrite", "fast", "config", "model", "unet_model", "device", "cycle_ms", "voxel_mm", "orientation"),
    *("stack", "strict", "dicom_seg", "keep_ids", "slicer"),
)
def cohort_run(
    data: str = "",
    output: str = "",
    layout: str | None = None,
    people: str | None = None,
    ray: str | None = None,
    workers: int | None = None,
    threads: int = 1,
    tries: int = 3,
    scan_minutes: float | None = None,
    part: str | None = None,
    **shared: object,
) -> None:
    """Segments every scan of a cohort, then writes the reports; run again, it continues where it stopped.

    With --ray, workers share the scans, and OUTPUT/scans.parquet has a row for each.

    Exit status: 0 all scans done, 1 some failed (the others are done and reported), 2 the call cannot work.

    Args:
        data: folder of scans, or a data list (cohort.json).
        output: folder of the results.
        layout: layout of the data on disk, as acdc or msd (an unknown one lists all); unless given, cohort for a data
            list and images for anything else.
        people: CSV file of the subjects, as nisf report takes it.
        ray: address of a Ray cluster, or auto to start Ray on this machine.
        workers: with ray, number of workers, which share the GPUs if they are more; unless given, one for each GPU, or
            one for each group of threads where there is none.
        threads: with ray, processor threads of each worker.
        tries: with ray, number of workers that try a scan before it is given up.
        scan_minutes: with ray, time limit of a scan, after which its worker is replaced; no limit unless given.
        part: with ray, K/N does every N-th scan from the K-th on and leaves out the page of all scans; for job arrays.
    """
    from nisf.cohort.command import segment_and_report

    if not data or not output:
        raise InputError("name a folder or a data list and a result folder: nisf cohort run DATA -o OUTPUT")
    config, options = shared.pop("config"), _settings(**shared)
    if ray is None:
        if any(value is not None for value in (workers, scan_minutes, part)):
            raise InputError("--workers, --scan_minutes and --part need Ray; give --ray auto too")
        segment_and_report(data, output, config, layout, people, **options)
        return
    from nisf.cohort.run import Workers

    segment_and_report(
        data, output, config, layout, people, Workers(ray, workers, threads, tries, scan_minutes), part, **options
    )


def _settings(overwrite: bool, orientation: str | None, strict: bool, **others: object) -> dict[str, object]:
    """Options of ``segment`` as options of ``runs.inference_of``."""
    return {"skip_finished": not overwrite, "array_axes": orientation, "strict": strict or None, **others}
