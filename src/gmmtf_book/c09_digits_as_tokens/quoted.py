"""What the prose of chapter 9 quotes, section by section: names as glued, without the prefix."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
import torch
from torch import Tensor

from gmmtf import AttentionDenoiser, Estimate, bayes_risk, oracle_risk
from gmmtf.images import mnist
from gmmtf.images.features import load_classifier
from gmmtf.laws.level import noise_level
from gmmtf.risks.formulas import start_risk
from gmmtf.risks.linear import linear_risk
from gmmtf_book.c09_digits_as_tokens.moments import linear_head
from gmmtf_book.c09_digits_as_tokens.plan import SCHEDULE, Plan
from gmmtf_book.c09_digits_as_tokens.setting import Setting, initial_growth, span_share
from gmmtf_book.c09_digits_as_tokens.summary import Study
from gmmtf_book.c09_digits_as_tokens.tokens import DigitData

Numbers = dict[str, object]

NAMES = {
    "start": "W = 0",
    "head": "trained head",
    "isotropic": "isotropic classes",
    "fitted": "fitted mixture",
}
"""Denoisers that are compared over the schedule."""


def gallery(setting: Setting) -> dict[str, Tensor]:
    """One training image of each digit, the image of its token, and the class means."""
    data = setting.data
    chosen = [int((data.train_labels == u).nonzero()[0, 0]) for u in range(10)]
    images, labels = mnist.load("train")
    originals = [images[(labels == u).nonzero()[0, 0]] for u in data.digits]
    project = data.projection
    return {
        "images": mnist.to_unit_range(torch.stack(originals)),
        f"their tokens, d = {project.dim}": project.images(data.train_tokens[chosen]),
        r"class means $\mu_u$": project.images(setting.moments.means),
    }


def tokens(setting: Setting) -> Numbers:
    """Moments of the tokens."""
    moments, centred = setting.moments, setting.moments.centred_means
    norms = centred.norm(dim=1)
    cosines = (centred @ centred.T / norms / norms[:, None])[~torch.eye(10, dtype=torch.bool)]
    ranges = {
        "norm": norms, "cos": cosines, "within": moments.within,
        "var": torch.linalg.eigvalsh(moments.covariance),
    }  # fmt: skip
    return {
        "kept": 100 * setting.data.projection.kept, "dim": setting.data.projection.dim,
        "n": setting.n_tokens, "sigma": moments.sigma, "radius": moments.radius,
        "ratio": moments.radius / moments.sigma,
        **{f"{name}-min": float(values.min()) for name, values in ranges.items()},
        **{f"{name}-max": float(values.max()) for name, values in ranges.items()},
    }  # fmt: skip


def start_of_any_tokens(setting: Setting) -> float:
    """Loss at W = 0 for any tokens with the covariance of ours, in closed form."""
    moments, n = setting.moments, setting.n_tokens
    level = noise_level(setting.mixture, SCHEDULE, SCHEDULE.times())
    q = level.gain * (1 - level.signal**2).sqrt()
    per_coordinate = float(moments.covariance.trace()) / len(moments.covariance)
    spread = (level.gain * level.signal) ** 2 * per_coordinate
    return float(((1 - q) ** 2 + (1 - (1 - q) ** 2) / n + spread * (1 - 1 / n)).mean())


def linear_limit(setting: Setting) -> float:
    """Loss of the best head for infinitely many normal tokens with the digits' covariance."""
    moments = setting.moments
    return linear_head(moments.covariance, moments.sigma, SCHEDULE).risk


def first_step(live: Study, setting: Setting) -> Numbers:
    """The start, and the first step."""
    direction = live.record.value(kind="direction")
    return {
        "start-formula": start_of_any_tokens(setting),
        **{f"cos-{name}": direction[name] for name in ("general", "patterns")},
        **{f"size-{name}": direction[f"{name}_size"] for name in ("general", "patterns")},
    }


def start_measured(live: Study, place: int = 0) -> float:
    """Measured loss on real test tokens at a record, by default the first."""
    return Estimate.mean(curve["loss"][place] for curve in live.curves("real")).value


def training(live: Study, paper: Study, setting: Setting) -> Numbers:
    """Gains of training on the laws of the ladder."""
    here, there, scale = live.gain_multiples(), paper.gain_multiples(), live.predicted_gain()
    recorded, mine = paper.numbers(), live.numbers()
    eventual, covariances = "gain of real / eventually predicted", "gain of covariances / real"
    return {
        "start-real": start_measured(live), "end-real": start_measured(live, -1),
        "gain-predicted": scale, "gain-theory": scale * here["theory"].value,
        "gain-real": scale * here["real"].value, "linear": linear_limit(setting),
        "eventual": live.predicted_gain(10),
        "real-eventual": mine[eventual], "paper-real-eventual": recorded[eventual],
        "wiener": linear_risk(setting.law("train"), SCHEDULE),
        "bayes-matched": bayes_risk(setting.mixture, SCHEDULE).value,
        "cov-real": 100 * mine[covariances], "paper-cov-real": 100 * recorded[covariances],
        "paper-dim": paper.plan.dim, "paper-n_tokens": paper.plan.n_tokens,
        "paper-kept": 100 * paper.record.value(kind="constants")["kept"],
        "paper-seeds": paper.plan.n_seeds, "paper-per-digit": paper.plan.per_digit,
        **{f"multiple-{name}": multiple.value for name, multiple in here.items()},
        **{f"paper-{name}": multiple.value for name, multiple in there.items()},
    }  # fmt: skip


def attention(
    before: Tensor, after: Tensor, head: AttentionDenoiser, setting: Setting, time: int
) -> Numbers:
    """Attention between digits, and where the weight lies."""
    digits, dim = setting.data.digits, setting.data.projection.dim
    diagonal = after.diagonal() / before.diagonal()
    others = after.masked_fill(torch.eye(10, dtype=torch.bool), -1.0)
    query, key = divmod(int(others.argmax()), 10)
    symmetric = (head.weight + head.weight.T).detach().cpu()
    return {
        "attention-time": time,
        "own-min": float(diagonal.min()), "own-min-digit": digits[int(diagonal.argmin())],
        "own-max": float(diagonal.max()), "own-max-digit": digits[int(diagonal.argmax())],
        "pair": f"{digits[query]} to {digits[key]}", "pair-value": float(others.max()),
        "span-w": 100 * span_share(head.weight, setting.moments),
        "span-random": 100 * (9 / dim) ** 2,
        "negative": int((torch.linalg.eigvalsh(symmetric) < 0).sum()),
    }  # fmt: skip


def mean_table(live: Study, paper: Study, seed: int) -> pd.DataFrame:
    """Losses averaged over the schedule, and how far above the fitted mixture."""
    point = live.record.value(kind="mean", seed=seed)
    rows = {}
    for name, label in NAMES.items():
        loss, above = point[name]["loss"], point[name]["above"]
        rows[label] = {
            "loss": f"{loss.value:.4f}",
            "above the fitted mixture": f"{above.value:.4f} ± {above.standard_error:.4f}",
            "recorded run: above": f"{paper.above(name):.4f}",
        }
    return pd.DataFrame.from_dict(rows, orient="index")


def least_memory(live: Study) -> float:
    """Largest ratio of the ideal denoiser's loss on training tokens to the best other's."""
    losses = live.losses("train")
    return max(
        own / min(losses[name][place] for name in NAMES)
        for place, own in enumerate(losses["empirical"])
    )


def memorised(live: Study) -> float:
    """Loss of the ideal denoiser over the fitted mixture's, on test tokens at the least noise."""
    losses = live.losses("test")
    return losses["empirical"][0] / losses["fitted"][0]


def levels(live: Study, paper: Study, seed: int) -> Numbers:
    """Comparison over the schedule and by noise level."""
    times, losses = live.plan.level_times, live.losses("test")
    above = {n: v["above"].value for n, v in live.record.value(kind="mean", seed=seed).items()}
    rows = list(zip(times, losses["empirical"], losses["head"], losses["start"], strict=True))
    middle = min(range(len(times)), key=lambda k: abs(times[k] - 400))
    gained = above["start"] - above["head"]
    return {
        "worse": ", ".join(str(t) for t, _, head, start in rows if head > start) or "none",
        **{f"above-{name}": above[name] for name in ("start", "head", "isotropic")},
        "above-closed": 100 * gained / above["start"],
        "class-closed": 100 * gained / (above["start"] - above["isotropic"]),
        "memorised": f"{memorised(live):,.0f}",
        "crossing": min(t for t, ideal, head, _ in rows if ideal < head),
        "level-low": times[0], "middle": times[middle],
        **{f"middle-{name}": losses[name][middle] for name in ("empirical", "fitted", "head")},
        "middle-above": losses["head"][middle] - losses["empirical"][middle],
        **{f"paper-above-{name}": paper.above(name) for name in NAMES if name != "fitted"},
    }  # fmt: skip


def rare_shares(live: Study, seed: int) -> dict[str, list[float]]:
    """Shares of the gain of the first rare digit, of the same when common, and of the others."""
    return live.shares(live.plan.rare_digits[0], seed)


def rare(live: Study, paper: Study, setting: Setting) -> Numbers:
    """A rare digit."""
    plan, recorded = live.plan, paper.numbers()
    shown = plan.rare_digits[0]
    times = live.rare_times(shown)
    growth = initial_growth(setting, shown, plan.rare_probability)
    return {
        "rare-probability": plan.rare_probability, "rare": shown,
        "rare-half": times["rare"][0], "rare-common-half": times["common"][0],
        "rare-others-half": times["others"][0], "rare-share": 100 * times["share"][0],
        "paper-delay": recorded["least delay of a rare digit"],
        "paper-delay-others": recorded["least delay behind the other digits"],
        "paper-share-min": 100 * recorded["least final share of a rare digit"],
        "paper-share-max": 100 * recorded["largest final share of a rare digit"],
        "rare-ratio": 0.1 / plan.rare_probability,
        "growth-real": growth["real"], "growth-theory": growth["theory"],
    }  # fmt: skip


def spectra(rows: Mapping[str, Tensor], data: DigitData) -> dict[str, Tensor]:
    """Variances along the principal axes of real and of generated tokens."""
    return {
        "real": data.test_tokens.var(0),
        "fitted": rows["fitted"].var(0),
        "finished": rows["both"].var(0),
    }


def generated(rows: Mapping[str, Tensor], data: DigitData, calls: int, handover: int) -> Numbers:
    """What tokens from four denoisers look like; ``rows`` by ``real``, ``fitted``, ``both``, ..."""
    dim = data.projection.dim
    classifier = load_classifier()

    def recognised_surely(some: Tensor) -> float:
        images = data.projection.images(some).float().clamp(-1, 1)
        with torch.no_grad():
            return 100 * float((classifier(images).softmax(1).amax(1) > 0.9).double().mean())

    nearest = torch.cdist(rows["empirical"], data.train_tokens).amin(1)
    centre = rows["head"].mean(0)
    found: Numbers = {
        "ddim": calls, "handover": handover, "walk": float(centre.square().mean()),
        "within-head": float((rows["head"] - centre).square().mean()),
        "copy": f"{float(nearest.square().mean()) / dim:.0e}",
        **{f"sure-{name}": recognised_surely(rows[name]) for name in ("real", "fitted", "both")},
    }  # fmt: skip
    for name, values in spectra(rows, data).items():
        found[f"tail-{name}"] = float(values[dim // 2 :].mean())
        found[f"top-{name}"] = float(values[:5].mean())
    return found


def live_numbers(live: Study, setting: Setting, own: float, plan: Plan) -> dict[str, float]:
    """Return the numbers of this run that are checked; ``own``: least gain of attention."""
    start, rare = start_of_any_tokens(setting), plan.rare_digits[0]
    point, times = live.record.value(kind="mean", seed=plan.seed), live.rare_times(rare)
    mixture = oracle_risk(setting.mixture, SCHEDULE) + start_risk(setting.mixture, SCHEDULE)
    return {
        **{f"live {name}": value for name, value in live.numbers().items()},
        "live start": mixture / start,
        "live start measured": start_measured(live) / start,
        "live own attention": own,
        "live closed": point["head"]["above"].value / point["start"]["above"].value,
        "live memory": least_memory(live),
        "live memorised": memorised(live),
        "live delay": times["rare"][0] / times["common"][0],
        "live kept": setting.data.projection.kept,
        "live ratio": setting.moments.radius / setting.moments.sigma,
        "live wiener": linear_risk(setting.law("train"), SCHEDULE) / linear_limit(setting),
        "live eventual": live.predicted_gain(10) / live.predicted_gain(),
        "live growth": initial_growth(setting, rare, plan.rare_probability)["real"],
    }
