"""The book: built without a warning and without a network, its commands true, its first pages run as they are."""

import importlib.util
import json
import pkgutil
import re
import subprocess
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
from helpers.doc_commands import ROOT, SHELL, check, known_options
from helpers.doc_data import write_organs
from helpers.doc_pages import Page, Wrong, run_page
from mkdocs.commands.build import build
from mkdocs.config import load_config
from mkdocs.exceptions import Abort

from nisf.sampling.fitted_scan import FittedScan
from nisf.utils.errors import InputError

DOCS = ROOT / "docs"
CONFIGS = ROOT / "bundle" / "configs"
spec = importlib.util.spec_from_file_location("settings_page", DOCS / "settings.py")
settings = importlib.util.module_from_spec(spec)
spec.loader.exec_module(settings)
PAGES = {str(path.relative_to(ROOT)): path for path in [ROOT / "README.md", *sorted(DOCS.rglob("*.md"))]}
PAGES |= {f"{folder}/README.md": ROOT / folder / "README.md" for folder in ("bundle/docs", "tests")}


# ---- the book


@pytest.fixture(scope="module")
def book(tmp_path_factory):
    """The built pages, name to HTML."""
    folder = tmp_path_factory.mktemp("book")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "-d", str(folder)],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return {path.relative_to(folder).as_posix(): path.read_text() for path in folder.rglob("*.html")}


def test_the_book_has_every_page_and_no_page_loads_anything_from_elsewhere(book):
    assert {path.relative_to(DOCS).with_suffix(".html").as_posix() for path in DOCS.rglob("*.md")} <= set(book)
    for name, page in book.items():
        loaded = re.findall(r"<(?:script|img|iframe|source)[^>]*\bsrc=\"([^\"]+)\"", page)
        loaded += [tag for tag in re.findall(r"<link[^>]+>", page) if 'rel="canonical"' not in tag]
        loaded += re.findall(r"@import[^;]+|url\([^)]+\)", page)
        assert not [one for one in loaded if "//" in one], name


def test_equations_are_mathml_and_stand_beside_links_to_the_code(book):
    page, code = book["concepts/method.html"], book["reference/api.html"]
    written = (DOCS / "concepts" / "method.md").read_text()
    assert page.count("<math ") == written.count("```math") > 10
    assert "\\frac" not in re.sub(r"<script.*?</script>", "", page, flags=re.S)
    found = re.findall(r'href="\.\./reference/api\.html#([^"]+)"[^>]*><code>([\w.]+)</code>', page)
    assert len(found) == len(re.findall(r"\]\(\.\./\.\./bundle/scripts/nisf/", written)) > 10
    assert all(f'id="{place}"' in code for place, _ in found)
    places = {words: place for place, words in found}
    assert places["GaussNewtonSearch.step"] == "nisf.fit.search.GaussNewtonSearch.step"
    assert places["_of_classes"] == "nisf.fit.linearize"  # a private name has no place of its own


#: What is wrong in a page, and what the build says of it.
WRONG = {
    "[x](nowhere.md)": "nowhere.md",
    "[x](method.md#nowhere)": "does not contain an anchor '#nowhere'",
    "[`NISF.nothing`](../bundle/scripts/nisf/models/nisf.py)": "nisf.py) leads to no code",
    "[x](../bundle/scripts/nisf/nothing.py)": "nothing.py) leads to no code",
    "[`Tissue`](../bundle/scripts/nisf/phantom/heart.py)": "cross-reference target 'nisf.phantom.heart.Tissue'",
    "[x](../benchmarks/nothing.py)": "'../benchmarks/nothing.py'",
    "```math\n\\nothing{x}\n```": "a command that is not known",
    "![x](figures/nothing.png)": "figures/nothing.png",
}


def test_each_wrong_link_name_and_equation_stops_the_build(tmp_path, caplog):
    right = "[`NISF.forward`](../bundle/scripts/nisf/models/nisf.py)\n\n```math\nx^2\n```"
    pages = {
        "index.md": "\n\n".join(["# Book", *WRONG, right]),
        "method.md": "# Method\n",
        "code.md": "::: nisf.models.nisf",
    }
    (tmp_path / "docs").mkdir()
    for name, text in pages.items():
        (tmp_path / "docs" / name).write_text(text)
    settings = {"docs_dir": str(tmp_path / "docs"), "site_dir": str(tmp_path / "site"), "strict": True}
    with pytest.raises(Abort, match=f"{len(WRONG)} warnings"), caplog.at_level("WARNING"):
        build(load_config(str(ROOT / "mkdocs.yml"), nav=list(pages), **settings))
    for said in WRONG.values():
        assert said in caplog.text


def test_a_page_shows_the_living_heart_where_there_is_one(tmp_path):
    (tmp_path / "docs" / "how-to").mkdir(parents=True)
    (tmp_path / "docs" / "how-to" / "view.md").write_text("# View\n\n<!-- living heart -->\n\nEnd\n")
    heart, site = tmp_path / "view.html", tmp_path / "site"
    settings = {"docs_dir": str(tmp_path / "docs"), "site_dir": str(site), "strict": True, "nav": ["how-to/view.md"]}
    for there in (False, True):
        heart.write_text("<p>alive</p>") if there else None
        build(load_config(str(ROOT / "mkdocs.yml"), extra={"living_heart": str(heart)}, **settings))
        page = (site / "how-to" / "view.html").read_text()
        assert ('<iframe src="living_heart.html"' in page) == there and "living heart -->" not in page
    assert (site / "how-to" / "living_heart.html").read_text() == "<p>alive</p>"


# ---- settings


def test_the_page_of_settings_is_that_of_the_configs():
    assert (DOCS / "settings.md").read_text() == settings.page(), "run: python docs/settings.py"


def test_every_setting_is_described_and_no_other():
    about, said = settings.descriptions(), {}
    assert set(about) == {path.stem for path in CONFIGS.glob("*.json")} - {"metadata"}
    for name, one in about.items():
        assert set(one["settings"]) <= set(json.loads((CONFIGS / f"{name}.json").read_text())), name
        assert all(meaning for _, meaning in one["settings"].values()), name
        assert not [key for key, words in one["settings"].items() if said.get(key) == words], name  # said once
        said = {**one["settings"], **said}


def test_a_setting_that_nobody_describes_is_named():
    about = settings.descriptions()
    del about["train"]["settings"]["alpha"]
    with pytest.raises(KeyError, match="does not say what alpha of train.json is"):
        list(settings.table("train", about))


# ---- commands


@pytest.fixture(scope="module")
def known():
    return known_options()


@pytest.mark.parametrize("name", PAGES)
def test_every_command_and_option_exists(name, known, tmp_path):
    page = Page.read(PAGES[name])
    page.write_files(tmp_path)
    for words in page.commands():
        try:
            check(words, page, tmp_path)
        except (Wrong, InputError, TypeError, AttributeError) as error:
            pytest.fail(f"{name}: {' '.join(words)}: {error}")
    for span in [span for span in page.spans if span.split()[0] not in (*SHELL, "#SBATCH")]:  # others' programs
        for option in re.findall(r"(?:^|\s)--([A-Za-z][\w-]*)", span):
            assert option.replace("-", "_") in known, f"{name}: `{span}`: no program has the option --{option}"


@pytest.mark.parametrize(
    "line",
    [
        "nisf segmnt SCAN -o OUT",
        "nisf segment SCAN -o OUT --quick",
        "nisf train ACDC -o OUT --learning_rate 1",
        "nisf train ACDC -o OUT --config nothing",
        "nisf phantom -o OUT --voxels 3",
        "nisf report ONE TWO",
        "make nothing",
        "python benchmarks/ablation.py --folder ACDC",
        "python benchmarks/nothing.py",
        "python nothing.py",
        "python -m nothing",
        'python -c "from nisf.phantom.cohort import write_cohorts"',
        "python -c \"from nisf.measures.intervals import load_intervals; load_intervals('A', 'B', 3)\"",
        "python -m monai.bundle run training --config_file \"['BUNDLE/configs/inference.json']\"",
        "python -m monai.bundle run inference --config_file \"['BUNDLE/configs/inference.json']\" --epochs 1",
        "python -m monai.bundle run inference --config_file \"['BUNDLE/configs/inference.json']\" --cache_dir C",
        "python -m monai.bundle run inference --config_file \"['BUNDLE/configs/nothing.json']\"",
        "torchrun -m monai.bundle run training "
        "--config_file \"['BUNDLE/configs/inference.json','BUNDLE/configs/train.json']\" --nothing 1",
        "OMP_NUM_THREADS=1 .venv/bin/nisf mesh LATENT -o OUT --colour red",
        "pip install 'nisf[nothing]'",
    ],
)
def test_a_wrong_command_is_found(line, tmp_path):
    (tmp_path / "page.md").write_text(f"# Page\n\n    {line}\n")
    page = Page.read(tmp_path / "page.md")
    (words,) = page.commands()
    with pytest.raises((Wrong, InputError, TypeError, AttributeError)):
        check(words, page, tmp_path)


# ---- names that pages give


def links_of(path):
    """Targets of a page's links and pictures that are files of the repo."""
    found = re.findall(r"\]\(([^)\s#]+)", "\n".join(part for part in path.read_text().split("```")[::2]))
    return [target for target in found if not re.match(r"[a-z]+:", target)]


@pytest.mark.parametrize("name", PAGES)
def test_every_link_leads_to_a_file(name):
    path = PAGES[name]
    assert not [target for target in links_of(path) if not (path.parent / target).exists()]


def test_the_readme_is_short_and_names_what_comes_first():
    text = (ROOT / "README.md").read_text()
    assert len(text.split()) <= 900
    for needed in (
        "make demo",
        "make test",
        "nisf segment",
        "import nisf",
        "10.1007/978-3-031-43901-8_70",
        "Research use only",
    ):
        assert needed in text, needed


@pytest.mark.parametrize("name", ["README.md", "bundle/docs/README.md"])
def test_dice_on_hearts_is_that_of_the_results(name):
    """LV, myocardium, RV and their mean on the test patients of both data sets."""
    text, results = PAGES[name].read_text(), (DOCS / "results" / "hearts.md").read_text()
    for data in ("ACDC, 10", "M&Ms, 16"):
        row = re.search(rf"^\| {data} patients \| fit \| mean \| (.+?) \| (.+?) \| (.+?) \| (.+?) \|", results, re.M)
        lv, muscle, rv, mean = map(re.escape, row.groups())
        classes = rf"LV {lv}, (MYO|myocardium) {muscle}, RV {rv}\)"
        assert re.search(rf"{mean} \({classes}|{classes} \| {mean} \|", text), data


@pytest.mark.parametrize("name", PAGES)
def test_every_test_that_is_named_exists(name):
    for named in re.findall(r"`([\w/]*\btest_\w+\.py)", PAGES[name].read_text()):
        assert (ROOT / named).is_file() or (ROOT / "tests" / named).is_file(), named


@pytest.mark.parametrize("name", PAGES)
def test_python_in_a_page_imports_what_is_there(name, tmp_path):
    for block in Page.read(PAGES[name]).blocks:
        if block.kind == "python" or "from nisf" in block.text or "import nisf" in block.text:
            code = "\n".join(line for line in block.text.splitlines() if re.match(r"\s*(from|import) nisf\b", line))
            exec(compile(code, name, "exec"), {})  # noqa: S102


@pytest.mark.parametrize("name", PAGES)
def test_every_name_of_the_code_exists(name):
    for span in Page.read(PAGES[name]).spans:
        if named := re.match(r"nisf(?:\.[A-Za-z_]\w*)+", span):
            pkgutil.resolve_name(named[0])


# ---- pages that run


def has(folder: Path, *names: str) -> bool:
    return all((folder / name).stat().st_size > 0 for name in names)


def test_getting_started_runs_as_it_is(tmp_path):
    said = run_page(Page.read(DOCS / "tutorials" / "getting_started.md"), tmp_path)
    found = np.asarray(nib.load(tmp_path / "OUT/test000_sa/test000_sa_seg.nii.gz").dataobj)
    true = np.asarray(nib.load(tmp_path / "COHORT/test000_sa_gt.nii.gz").dataobj)
    assert found.shape == true.shape
    for label in (1, 2, 3):
        assert 2 * ((found == label) & (true == label)).sum() / ((found == label).sum() + (true == label).sum()) > 0.8
    assert has(tmp_path, "OUT/index.html", "OUT/test000_sa/report.html", "OUT/test000_sa/measures.csv")
    assert has(tmp_path, "four_chamber.nii.gz", "fine.nii.gz") and nib.load(tmp_path / "fine.nii.gz").shape[3] == 5
    assert len(list((tmp_path / "MESHES").glob("*.stl"))) == 3
    assert re.search(r"intensity [01]\.\d\d, probabilities \[.*\]\nunsure by \d", said)


def test_your_own_data_runs_as_it_is(tmp_path):
    write_organs(tmp_path)
    page = Page.read(DOCS / "tutorials" / "your_own_data.md")
    said = run_page(page, tmp_path)
    assert "4 to train, 2 to validate, 2 to test" in said
    # what sizes.py prints is what stands in the page's kidney.json
    config = json.loads((tmp_path / "kidney.json").read_text())
    for setting, value in re.findall(r'"(half_field|pose_\w+)": ([\d.]+),', said):
        assert config[setting] == float(value), setting
    assert has(
        tmp_path, "WEIGHTS/training_curve.png", "SCORES/scores.csv", "SCORES/cases.png", "SCORES/reliability.png"
    )
    assert nib.load(tmp_path / "OUT/s01/s01_seg.nii.gz").shape == nib.load(tmp_path / "scans/s01.nii.gz").shape
    measures = json.loads((tmp_path / "OUT/s01/measures.json").read_text())["measures"]
    assert [one["name"] for one in measures] == ["cortex volume", "medulla volume"]
    assert {row["phase"] for row in json.loads((tmp_path / "CINE_SCORES/scores.json").read_text())["rows"]} >= {
        "ED",
        "ES",
    }


def test_how_to_extend_runs_as_it_is(tmp_path):
    said = run_page(Page.read(DOCS / "how-to" / "extend.md"), tmp_path)
    # the layer was trained, and weights of it are not taken for those of the shipped one
    state = torch.load(tmp_path / "SINE/model.pt", weights_only=True)
    assert int(state["sine"]) == 1 and "torch.Size([5, 1])" in said
    with pytest.raises(InputError, match="another network"):
        FittedScan.load(tmp_path / "SINE_SCORES/test000_sa/test000_sa_latent.pt")
    # the loss was trained with the setting as it was given
    curves = json.loads((tmp_path / "FOCAL/training.json").read_text())
    assert "focal" in json.dumps(curves)
    assert "['sub-03']" in said
    value, low, high = map(float, re.search(r"RV/LV ([\d.]+) \(([\d.]+) to ([\d.]+)\)", said).groups())
    assert low < value < high
