"""What `measure` takes and refuses, what it prints, and what its figure shows."""

from __future__ import annotations

import re
from types import SimpleNamespace

import matplotlib.pyplot as plt
import pytest
import torch
from torch import nn

from gmmtf import AttentionDenoiser, MultiTokenGMM, NoiseSchedule, measure, optimal_denoiser
from gmmtf.figures import COLOURS
from gmmtf.laws.noisy import Noisy
from gmmtf.parametrisation import (
    as_denoiser,
    edm_sigmas,
    from_noise,
    resolve_prediction,
    to_noise,
)
from gmmtf.readings import Readings
from rooms.drawn import axis_labels, error_bar, error_bars, legend, line, named, scales

SCHEDULE = NoiseSchedule.linear(60, 1e-3, 0.15)
LAW = MultiTokenGMM(n_patterns=3, dim=4, n_tokens=5, radius=2.0, sigma=0.4)
BAYES = optimal_denoiser(LAW, SCHEDULE)


def run(entries, **options):
    options = {
        "t": [3, 40],
        "n_samples": 8,
        "generator": torch.Generator().manual_seed(0),
    } | options
    return measure(entries, LAW, SCHEDULE, **options)


def shrink(x_t, t):
    return 0.6 * x_t


@pytest.mark.parametrize("wrap", [
    lambda x: SimpleNamespace(sample=x), lambda x: (x, "more"), lambda x: [x], lambda x: x,
])  # fmt: skip
def test_outputs_are_unwrapped(wrap):
    found = run({"a": lambda x, t: wrap(0.6 * x), "b": shrink})
    assert found.difference("a", "b").loss.value == 0


def test_modules_keep_their_modes_and_get_their_own_type():
    class Net(nn.Module):
        def __init__(self, dtype):
            super().__init__()
            self.scale = nn.Parameter(torch.tensor(0.6, dtype=dtype))
            self.first, self.second = nn.Dropout(0.5), nn.Dropout(0.5).eval()
            self.seen = set()

        def forward(self, x_t, t):
            self.seen.add((x_t.dtype, t.dtype, self.training, self.first.training))
            return self.first(self.scale * x_t)

        def through(self, x_t, t):
            return self(x_t, t)

    nets = {dtype: Net(dtype) for dtype in (torch.float32, torch.float64, torch.bfloat16)}
    method = Net(torch.float32)
    run({str(k): net for k, net in nets.items()} | {"method": method.through})
    for dtype, net in nets.items():
        assert net.seen == {(dtype, torch.int64, False, False)}
        assert [part.training for part in net.modules()] == [True, True, False]
    assert {seen[2:] for seen in method.seen} == {(False, False)}
    assert method.training


def test_references_ignore_autocast():
    plain = run({})
    with torch.autocast("cpu", torch.bfloat16):
        under = run({})
    for name in plain.names:
        assert plain.evaluation(name) == under.evaluation(name)


def test_noise_levels_in_place_of_times():
    sigmas = edm_sigmas(SCHEDULE)
    wanted = [float(sigmas[7]) * 1.001, float(sigmas[30]), float(sigmas[59])]
    assert run({}, t=None, sigma=wanted).times == (7, 30, 59)
    assert run({}, t=None, sigma=wanted[0]).times == (7,)
    for bad in (0.0, float(sigmas[0]) / 2, [wanted[0], 1e6], []):
        with pytest.raises(ValueError, match=r"^sigma: expected noise levels .* from 0.03\d+ to"):
            run({}, t=None, sigma=bad)
    with pytest.raises(ValueError, match=r"^sigma: give either t or sigma"):
        run({}, sigma=1.0)


@pytest.mark.parametrize(
    ("entries", "options", "message"),
    [
        ({"bayes": shrink}, {}, r"^entries: the name 'bayes' is taken"),
        ({"a": 3}, {}, r"^entries\['a'\]: expected a denoiser, got 3"),
        ({"a": lambda x, t: x[..., :2]}, {}, r"^entries\['a'\]: .*\(8, 5, 4\).*got Tensor.*5, 2\)"),
        ({"a": lambda x, t: None}, {}, r"^entries\['a'\]: expected floats .* got None"),
        ({"a": lambda x, t: x.long()}, {}, r"^entries\['a'\]: expected floats"),
        ({"a": shrink}, {"t": 60}, r"^t: expected an integer from 0 to 59"),
        ({"a": shrink}, {"t": -1}, r"^t: "),
        ({"a": shrink}, {"prediction": "y"}, r"^prediction: expected one of 'noise'"),
        ({"a": shrink}, {"prediction": {"b": "v"}}, r"^prediction: expected names .*\['b'\]"),
        ({"a": shrink}, {"n_samples": 1}, r"^n_samples: "),
        ({"a": shrink}, {"batch_size": 0}, r"^batch_size: "),
        (shrink, {}, r"^entries: expected a mapping"),
    ],
)  # fmt: skip
def test_bad_input_is_named(entries, options, message):
    with pytest.raises(ValueError, match=message):
        run(entries, **options)


def test_numbers_that_are_not_finite_are_named_with_their_level():
    def broken(x_t, t):
        return torch.where((t == 40)[:, None, None], torch.nan, x_t)

    with pytest.raises(FloatingPointError, match=r"^entries\['b'\].* at t = 40, sigma = \d"):
        run({"a": shrink, "b": broken})


def test_an_error_inside_an_entry_says_where():
    def broken(x_t, t):
        raise KeyError("inside")

    with pytest.raises(KeyError) as caught:
        run({"a": broken})
    assert caught.value.__notes__[0].startswith("entries['a'], at t = 3, sigma = ")


@pytest.mark.parametrize("true", ["x0", "v", "score"])
def test_another_parametrisation_is_pointed_out(true):
    def network(x_t, t):
        return from_noise(BAYES(x_t, t), SCHEDULE, x_t, t, prediction=true)

    hint = re.escape(f"prediction={{'a': {true!r}}}")
    with pytest.warns(UserWarning, match=hint):
        run({"a": network}, t=None)
    right = run({"a": network}, t=None, prediction={"a": true})  # a warning would be an error
    assert right.evaluation("a").excess_risk.value < 1e-8


def test_poor_networks_of_the_right_parametrisation_are_not_suspected():
    for factor in (-2.0, -0.01, 0.0, 0.01, 0.7, 1.0):
        run({"a": lambda x, t, f=factor: f * x}, t=None)
    run({"untrained": AttentionDenoiser(LAW, SCHEDULE)}, t=None)


def test_conversions_are_inverse_and_exact():
    x_0, noise = torch.randn(2, 3, 5, 4, generator=torch.Generator().manual_seed(1)).double()
    t = torch.tensor([0, 30, 59])
    x_t = SCHEDULE.add_noise(x_0, t, noise)
    alpha_bar = SCHEDULE.alpha_bars[t][:, None, None]
    velocity = alpha_bar.sqrt() * noise - (1 - alpha_bar).sqrt() * x_0
    outputs = {"noise": noise, "x0": x_0, "v": velocity, "edm": x_0,
               "score": -noise / (1 - alpha_bar).sqrt(), "v_prediction": velocity}  # fmt: skip
    for kind, output in outputs.items():
        torch.testing.assert_close(to_noise(output, SCHEDULE, x_t, t, prediction=kind), noise)
        torch.testing.assert_close(from_noise(noise, SCHEDULE, x_t, t, prediction=kind), output)


def test_a_denoiser_from_a_network_keeps_the_type_of_its_input():
    net = as_denoiser(nn.Identity().double(), SCHEDULE)  # no tensors: nothing to adapt to
    with pytest.raises(TypeError):
        net(torch.ones(2, 5, 4), torch.tensor([0, 1]))
    denoise = as_denoiser(lambda x, t: x.double(), SCHEDULE, "v")
    assert denoise(torch.ones(2, 5, 4), torch.tensor([0, 1])).dtype == torch.float32


def test_unknown_names_times_and_weightings_of_a_result():
    found = run({"a": shrink})
    for call, named_ in (
        (lambda: found.evaluation("b"), "name: expected one of a, oracle, bayes, linear, zero"),
        (lambda: found.difference("a", "b"), "second: "),
        (lambda: found.evaluation("a", t=4), r"t: expected one of the measured times \(3, 40\)"),
        (lambda: found.evaluation("a", weighting=torch.ones(3)), "weighting: expected 60"),
        (lambda: found.evaluation("a", weighting=-torch.eye(60)[7] + 1.0001 / 60), "weighting: "),
        (lambda: found.evaluation("a", weighting=torch.zeros(60)), "weighting: expected 60"),
        (lambda: found.evaluation("a", weighting="other"), "weighting: "),
        (lambda: found.plot(["b"]), "names: "),
    ):
        with pytest.raises(ValueError, match=f"^{named_}"):
            call()


def test_the_tables_hold_the_numbers():
    found = run({"a": shrink})
    frame = found.frame()
    assert len(frame) == 5 * (2 + 3)
    row = frame[(frame.name == "a") & (frame.t == 40)].iloc[0]
    level = found.evaluation("a", t=40)
    assert (row.excess_risk, row.loss_error) == (
        level.excess_risk.value, level.loss.standard_error)  # fmt: skip
    assert row.sigma == float(edm_sigmas(SCHEDULE)[40])
    row = frame[(frame.name == "a") & (frame.weighting == "elbo")].iloc[0]
    assert row.score_error == found.evaluation("a", weighting="elbo").score_error.value
    text = repr(found)
    assert str(found) == text
    assert max(map(len, text.splitlines())) <= 120
    assert str(level.excess_risk) in text
    assert str(found.evaluation("a", weighting="min-snr").excess_risk) in text
    rows = [line.split()[0] for line in text.splitlines()[3:8]]
    assert rows == ["oracle", "bayes", "linear", "a", "zero"] or rows[:2] == ["oracle", "bayes"]
    assert str(level.excess_risk) in found._repr_html_()


def test_the_figure_shows_the_excess_of_all_but_bayes_and_oracle():
    found = run({"a": shrink, "copy of Bayes": BAYES}, t=[0, 20, 59])
    figure = found.plot()
    (ax,) = figure.axes
    sigmas = edm_sigmas(SCHEDULE)[[0, 20, 59]].tolist()
    assert scales(ax) == ("log", "log")
    assert axis_labels(ax)[0].startswith("noise level")
    assert axis_labels(ax)[1] == "excess risk over Bayes"
    assert {each.label for each in error_bars(ax)} == {"a", "copy of Bayes", "linear", "zero"}
    for name in ("a", "linear", "zero"):
        drawn = error_bar(ax, name)
        each = [found.evaluation(name, t=t).excess_risk for t in found.times]
        assert drawn.x == pytest.approx(sigmas)
        assert drawn.y == pytest.approx([e.value for e in each])
        assert drawn.y_half == pytest.approx([2 * e.standard_error for e in each])
        assert ax.get_ylim()[0] < min(drawn.y)
        assert ax.get_ylim()[1] > max(drawn.y)
    bayes = line(ax, "the Bayes risk itself")
    assert bayes.y == pytest.approx(
        [found.evaluation("bayes", t=t).loss.value for t in found.times]
    )
    assert error_bar(ax, "linear").look.colour == COLOURS["linear"]
    assert len({each.look.colour for each in error_bars(ax)}) == 4
    assert legend(ax).keys() == named(ax).keys()
    assert ax.get_ylim()[0] >= 1e-9  # the rounding errors of the copy do not squeeze the others
    _, own = plt.subplots()
    assert found.plot(["a"], ax=own) is own.figure
    assert [each.label for each in error_bars(own)] == ["a"]
    plt.close("all")


def test_names_of_diffusers_are_synonyms():
    names = {"epsilon": "noise", "sample": "x0", "v_prediction": "v", "score": "score"}
    assert {name: resolve_prediction(name) for name in names} == names


def test_a_network_that_is_better_than_zeros_is_taken_at_its_word():
    """Its output is exactly what another reading says, and yet no bad noise."""
    t = torch.full((4,), 40)
    signal = float(SCHEDULE.alpha_bars[40]) ** 0.5
    sigma = (1 - signal**2) ** 0.5
    bayes = torch.randn(4, 3, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    for share, expected in ((0.5, None), (-0.5, "x0")):
        x_0 = share * bayes
        x_t = signal * x_0 + sigma * bayes
        readings = Readings("noise", SCHEDULE)
        readings.add(x_0, bayes, Noisy(x_t, t, bayes, x_0, t, t))
        assert readings.other() == expected
