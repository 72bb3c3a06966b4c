"""Which settings and weights make another result."""

import pytest

from nisf.io.recipe import Recipe
from nisf.utils.digest import digest_of_file, digest_of_same

SETTINGS = {
    "seed": 0,
    "fit": "fit_gauss_newton(pose=True)",
    "uncertainty_draws": 0,
    "mask": None,
    "series": [],
    "only": None,
}


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
        ({"only": "LV"}, ["only"]),
    ],
)
def test_other_settings_and_weights_are_named(recipe, other, names):
    assert recipe(folder="two", **other).changes(recipe()) == names


@pytest.mark.parametrize("only", ["MYO,LV", "lv, myo", ["LV", "MYO"], "LV,MYO,LV"])
def test_the_order_and_the_spelling_of_classes_make_no_other_result(recipe, only):
    assert recipe(only=only).changes(recipe(only="LV,MYO")) == []
    assert recipe(only=only).changes(recipe()) == ["only"]


def test_a_file_is_read_once_in_a_process():
    Recipe.of({"model": __file__})
    before = digest_of_same.cache_info()
    made = Recipe.of({"model": __file__, "unet_model": __file__})
    after = digest_of_same.cache_info()
    assert set(made.weights.values()) == {digest_of_file(__file__)}
    assert (after.hits - before.hits, after.misses - before.misses) == (2, 0)


def test_draws_count_only_where_there_are_to_be_some(recipe):
    assert recipe().changes(recipe(uncertainty_draws=16)) == []


def test_what_an_earlier_version_did_not_write_counts_as_equal(recipe):
    now = recipe()
    before = Recipe.from_dict({"settings": {"seed": 0, "model": "/old/place/model.pt"}})
    assert now.changes(before) == [] and now.changes(Recipe.from_dict({})) == []
    assert now.changes(Recipe.from_dict({"settings": {"seed": 0, "model": "/old/place/phantom.pt"}})) == ["model"]
    assert Recipe.from_dict(now.to_dict()) == now
