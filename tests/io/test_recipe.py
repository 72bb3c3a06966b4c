"""Which settings and weights make another result."""

import pytest

from nisf.io.recipe import Recipe

SETTINGS = {"seed": 0, "fit": "fit_gauss_newton(pose=True)", "uncertainty_draws": 0, "mask": None, "series": []}


@pytest.fixture
def recipe(tmp_path):
    def made(model=b"numbers", unet=b"others", folder="one", **settings):
        (tmp_path / folder).mkdir(exist_ok=True)
        files = {"model": tmp_path / folder / "model.pt", "unet_model": tmp_path / folder / "unet.pt"}
        for file, content in zip(files.values(), (model, unet)):
            file.write_bytes(content)
        return Recipe.of({**SETTINGS, **{name: str(file) for name, file in files.items()}, **settings})

    return made


def test_moved_weights_and_the_paths_of_other_series_make_no_other_result(recipe):
    assert recipe(folder="two", mask="m.nii.gz", series=["a.csv"]).changes(recipe()) == []


@pytest.mark.parametrize(
    "other, names",
    [
        ({"model": b"other"}, ["model"]),
        ({"unet": b"other!"}, ["unet_model"]),
        ({"unet_model": None}, ["unet_model"]),
        ({"seed": 1, "model": b"other"}, ["seed", "model"]),
        ({"fit": "fit_adam(steps=9)"}, ["fit"]),
        ({"uncertainty_draws": 16}, ["uncertainty_draws"]),
    ],
)
def test_other_settings_and_weights_are_named(recipe, other, names):
    assert recipe(folder="two", **other).changes(recipe()) == names


def test_draws_count_only_where_there_are_to_be_some(recipe):
    assert recipe().changes(recipe(uncertainty_draws=16)) == []


def test_what_an_earlier_version_did_not_write_counts_as_equal(recipe):
    now = recipe()
    before = Recipe.from_dict({"settings": {"seed": 0, "model": "/old/place/model.pt"}})
    assert now.changes(before) == [] and now.changes(Recipe.from_dict({})) == []
    assert now.changes(Recipe.from_dict({"settings": {"seed": 0, "model": "/old/place/phantom.pt"}})) == ["model"]
    assert Recipe.from_dict(now.to_dict()) == now
