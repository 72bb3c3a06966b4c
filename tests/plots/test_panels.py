"""Pictures, checked by their pixels: what is drawn, where, and in which colour."""

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.image import imread
from scipy import ndimage

from nisf.plots.curves import dice_curve, training_curve
from nisf.plots.panels import cases_figure, contour_panel, fit_figure
from nisf.plots.style import COLOURS
from nisf.utils.errors import InputError

LV, MYO, RV = 1, 2, 3


def coloured(picture, label, tolerance=0.12):
    """Mask [rows, columns] of the pixels in the colour of a class."""
    return (np.abs(picture[..., :3] - to_rgb(COLOURS[label])) < tolerance).all(axis=-1)


def count_outlines(picture, label):
    """Separate things drawn in the colour of a class; the legend's line is one of them."""
    return ndimage.label(ndimage.binary_dilation(coloured(picture, label), iterations=2))[1]


def render(image, label, spacing, scale=10):
    """RGB [rows, columns, 3] of one panel alone, `scale` pixels to the millimetre."""
    size = [n * d * scale / 100 for n, d in zip(image.shape, spacing)]
    figure = Figure(figsize=size, dpi=100)
    contour_panel(figure.add_axes((0, 0, 1, 1)), image, label, spacing, window=(0, 1))
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3] / 255


def heart(shape=(64, 56, 8, 6), centre=(34, 28), slices=slice(1, 7)):
    """Image and label [X, Y, Z, T]: LV ringed by MYO, RV to its left, the LV shrinking with time."""
    x, y = np.meshgrid(*(np.arange(n) for n in shape[:2]), indexing="ij")
    label = np.zeros(shape, np.uint8)
    for t in range(shape[3]):
        from_lv = np.hypot(x - centre[0], y - centre[1])
        frame = np.where(np.hypot(x - centre[0] + 13, y - centre[1]) < 9, RV, 0)
        frame = np.where(from_lv < 12, MYO, frame)
        label[:, :, slices, t] = np.where(from_lv < 8 - 0.6 * t, LV, frame)[:, :, None]
    noise = np.random.default_rng(0).normal(0, 0.03, shape)
    return np.choose(label, (0.2, 0.9, 0.3, 0.8)) + noise, label


def test_colours_are_those_of_the_field():
    assert [np.argmax(to_rgb(COLOURS[value])) for value in (LV, MYO, RV)] == [0, 1, 2]  # red, green, blue


def test_panel_shows_x_to_the_right_and_y_down():
    image = np.zeros((20, 10))
    image[15, 2] = 1
    picture = render(image, None, (1, 1))
    assert picture.shape[:2] == (100, 200)
    rows, columns = np.nonzero(picture[..., 0] > 0.5)
    assert (rows.min(), rows.max()) == pytest.approx((20, 29), abs=1)
    assert (columns.min(), columns.max()) == pytest.approx((150, 159), abs=1)


def test_panel_has_the_true_aspect():
    image = np.zeros((12, 12))
    image[4, 4] = 1
    rows, columns = np.nonzero(render(image, None, (1, 2.5))[..., 0] > 0.5)
    assert np.ptp(rows) + 1 == pytest.approx(25, abs=2)
    assert np.ptp(columns) + 1 == pytest.approx(10, abs=2)


@pytest.mark.parametrize("label_value", [LV, MYO, RV])
def test_outline_is_in_the_class_colour_at_its_border_and_nowhere_else(label_value):
    label = np.zeros((20, 16), int)
    label[4:10, 6:13] = label_value
    picture = render(np.full(label.shape, 0.4), label, (1, 2))
    rows, columns = np.nonzero(coloured(picture, label_value))
    # The square's borders are at x = 4 and 10 voxels (40 and 100 px) and y = 6 and 13 voxels (120 and 260 px).
    distance = np.minimum.reduce(np.abs([columns - 40, columns - 100, rows - 120, rows - 260]))
    assert distance.max() <= 5
    assert (columns.min(), columns.max()) == pytest.approx((40, 100), abs=4)
    assert (rows.min(), rows.max()) == pytest.approx((120, 260), abs=4)
    others = [coloured(picture, other).any() for other in (LV, MYO, RV) if other != label_value]
    assert not any(others)


def test_outline_of_a_class_at_the_edge_is_closed():
    label = np.zeros((10, 10), int)
    label[:3] = LV
    picture = render(np.zeros((10, 10)), label, (1, 1))
    assert coloured(picture, LV)[:, :4].any(axis=1).mean() > 0.9


def test_neighbouring_blood_pools_keep_their_whole_outline():
    _, label = heart()
    picture = render(np.full(label.shape[:2], 0.2), label[:, :, 3, 0], (1, 1))
    filled = ndimage.binary_fill_holes(ndimage.binary_dilation(coloured(picture, RV), iterations=2))
    assert filled.sum() / 100 == pytest.approx((label[:, :, 3, 0] == RV).sum(), rel=0.25)


def test_labels_below_zero_are_not_drawn():
    picture = render(np.full((8, 8), 0.5), np.full((8, 8), -1), (1, 1))
    assert np.ptp(picture) < 0.01


def test_panel_rejects_volumes_and_other_grids():
    ax = Figure().add_subplot()
    with pytest.raises(InputError, match="one slice"):
        contour_panel(ax, np.zeros((4, 4, 4)))
    with pytest.raises(InputError, match="grid"):
        contour_panel(ax, np.zeros((4, 5)), np.zeros((5, 4)))


def test_fit_figure_draws_every_phase_slice_and_column(tmp_path):
    image, label = heart()
    phases, spacing = {"ED": 0, "ES": 5}, (1.5, 1.5, 8)
    path = fit_figure(
        tmp_path / "new" / "fit.png", image, image, label, label, phases, spacing, [2, 4], "Scan", "Dice 1"
    )
    picture = imread(path)
    assert path.read_bytes()[:4] == b"\x89PNG" and 500 < picture.shape[1] < 1500 and 500 < picture.shape[0] < 1500
    for value in (LV, MYO, RV):
        assert count_outlines(picture, value) >= 2 * 2 * 2 + 1
    assert count_outlines(picture, LV) == 2 * 2 * 2 + 1
    without_truth = imread(fit_figure(tmp_path / "b.png", image, image, label, None, phases, spacing, [2, 4]))
    assert count_outlines(without_truth, LV) == 2 * 2 + 1 and without_truth.shape[1] < picture.shape[1]
    assert [p.name for p in (tmp_path / "new").iterdir()] == ["fit.png"]


def test_fit_figure_takes_the_frame_of_the_phase(tmp_path):
    image, label = heart()
    label[..., 0] = 0
    at_es, at_ed = ({"ES": 5}, {"ED": 0})
    assert count_outlines(imread(fit_figure(tmp_path / "es.png", image, None, label, None, at_es, slices=[3])), LV) == 2
    assert count_outlines(imread(fit_figure(tmp_path / "ed.png", image, None, label, None, at_ed, slices=[3])), LV) == 1


def test_fit_figure_puts_prediction_and_truth_in_their_columns(tmp_path):
    image, label = heart()
    only_lv, only_rv = np.where(label == LV, LV, 0), np.where(label == RV, RV, 0)
    picture = imread(fit_figure(tmp_path / "f.png", image, image, only_lv, only_rv, {"ED": 0}, slices=[3]))[:-60]
    columns = [np.nonzero(coloured(picture, value))[1] for value in (LV, RV)]
    assert columns[0].max() < columns[1].min()


def test_fit_figure_crops_to_the_heart(tmp_path):
    counts = []
    for name, shape, centre in (("small", (64, 56, 4, 1), (34, 28)), ("large", (250, 250, 4, 1), (160, 70))):
        image, label = heart(shape, centre, slice(1, 3))
        counts.append(coloured(imread(fit_figure(tmp_path / f"{name}.png", image, None, label, slices=[1])), MYO).sum())
    assert counts[1] == pytest.approx(counts[0], rel=0.35)


def test_fit_figure_shows_static_scans_and_five_slices_of_the_heart(tmp_path):
    image, label = heart((40, 40, 20, 1), (22, 20), slice(8, 17))
    picture = imread(fit_figure(tmp_path / "f.png", image[..., 0], None, label[..., 0]))
    assert count_outlines(picture, LV) == 5 + 1


def test_fit_figure_rejects_what_does_not_fit(tmp_path):
    image, label = heart()
    with pytest.raises(InputError, match="reconstruction has shape"):
        fit_figure(tmp_path / "f.png", image, image[1:], label)
    with pytest.raises(InputError, match="phases names 6"):
        fit_figure(tmp_path / "f.png", image, image, label, phases={"ED": 6})
    with pytest.raises(InputError, match="slices names 8"):
        fit_figure(tmp_path / "f.png", image, image, label, slices=[8])
    assert not list(tmp_path.iterdir())


def test_cases_figure_shows_three_slices_of_each_case(tmp_path):
    image, label = heart(slices=slice(3, 6))
    case = {"title": "a, Dice 0.9", "image": image[..., 0], "truth": label[..., 0], "spacing": (1.5, 1.5, 8)}
    empty = np.zeros_like(label[..., 0])
    cases = [{**case, "prediction": label[..., 0]}, {**case, "prediction": empty}]
    picture = imread(cases_figure(tmp_path / "cases.png", cases))
    assert count_outlines(picture, LV) == 6 + 3 + 1
    assert 900 < picture.shape[1] < 1800 and 300 < picture.shape[0] < 1200


def test_cases_figure_rejects_nothing_and_other_grids(tmp_path):
    with pytest.raises(InputError, match="no case"):
        cases_figure(tmp_path / "c.png", [])
    volume = np.zeros((4, 4, 4))
    with pytest.raises(InputError, match="truth has shape"):
        case = {"title": "", "image": volume, "prediction": volume, "truth": volume[1:], "spacing": (1, 1, 1)}
        cases_figure(tmp_path / "c.png", [case])


@pytest.mark.filterwarnings("error")
def test_dice_curve_draws_classes_at_their_heights(tmp_path):
    dice = {"LV": np.full((3, 11), 0.9), "MYO": np.full((3, 11), np.nan), "RV": np.full((3, 11), 0.2)}
    dice["LV"][0, 0] = np.nan
    path = dice_curve(tmp_path / "dice.png", np.arange(11), dice, best_step=4, loss=np.linspace(1, 0.5, 11), band="std")
    upper = imread(path)[:-80]  # without the legend below
    rows = {value: np.median(np.nonzero(coloured(upper, value))[0]) for value in (LV, RV)}
    assert rows[LV] < rows[RV] and not coloured(upper, MYO).any()
    assert (rows[RV] - rows[LV]) / len(upper) == pytest.approx(0.7 * 0.8, abs=0.15)


@pytest.mark.parametrize("best", [20, 80])
def test_dice_curve_marks_the_best_step_in_its_place(tmp_path, best):
    path = dice_curve(tmp_path / "d.png", np.arange(101), np.full((2, 101), 0.5), best_step=best)
    picture = imread(path)[..., :3]
    left, *_, right = np.nonzero((picture.max(axis=-1) < 0.3).sum(axis=0) > 200)[0]  # the frame of the axes
    column = (np.abs(picture - 0.4).max(axis=-1) < 0.1).sum(axis=0).argmax()
    assert (column - left) / (right - left) == pytest.approx((best + 5) / 110, abs=0.01)


def test_curves_reject_series_of_other_lengths(tmp_path):
    with pytest.raises(InputError, match="'dice' has shape"):
        dice_curve(tmp_path / "d.png", [1, 2], np.zeros((2, 3)))
    with pytest.raises(InputError, match="number of subjects"):
        dice_curve(tmp_path / "d.png", [1, 2], {"LV": np.zeros((2, 2)), "RV": np.zeros((3, 2))})
    with pytest.raises(InputError, match="band"):
        dice_curve(tmp_path / "d.png", [1, 2], np.zeros((2, 2)), band="iqr")
    with pytest.raises(InputError, match="'loss' has shape"):
        training_curve(tmp_path / "t.png", [1, 2], {"LV": [0.1, 0.2]}, {"loss": [1, 2, 3]})


@pytest.mark.filterwarnings("error")
def test_training_curve_before_and_after_the_first_validation(tmp_path):
    loss = {"total": [1.0, 0.5, 0.3]}
    before = imread(training_curve(tmp_path / "t.png", [], {"LV": [], "RV": []}, loss, loss_epochs=[1, 2, 3]))
    after = imread(training_curve(tmp_path / "t.png", [2, 3], {"LV": [0.5, 0.8], "RV": [0.4, 0.5]}, loss, [1, 2, 3]))
    half, plot = after.shape[0] // 2, slice(0, 560)
    assert not coloured(before[:, plot], LV).any()
    assert coloured(after[:half, plot], LV).any() and not coloured(after[half:, plot], LV).any()


def test_an_interrupted_write_keeps_the_old_picture(tmp_path, monkeypatch):
    path = dice_curve(tmp_path / "d.png", [1, 2], [0.1, 0.2])
    old = path.read_bytes()

    def fail(self, file, **_):
        file.write_bytes(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(Figure, "savefig", fail)
    with pytest.raises(InputError, match="d.png: cannot be written .disk full"):
        dice_curve(path, [1, 2], [0.3, 0.4])
    assert path.read_bytes() == old and [p.name for p in tmp_path.iterdir()] == ["d.png"]
