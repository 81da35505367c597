"""The image transformer: shapes, its state before training, positions, classes, gradients."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from gmmtf import NoiseSchedule
from gmmtf.images.transformer import (
    Block,
    DiT,
    Neighbours,
    TransformerSettings,
    attend,
    grid_positions,
    sinusoids,
)

SCHEDULE = NoiseSchedule.linear(1000)
SETTINGS = TransformerSettings(width=16, depth=2, heads=2)


def perturbed(settings: TransformerSettings = SETTINGS) -> DiT:
    """Return a model whose every weight is random, as if it had been trained."""
    torch.manual_seed(0)
    model = DiT(settings, SCHEDULE)
    for parameter in model.parameters():
        nn.init.normal_(parameter, 0.0, 0.3)
    return model


def batch(size: int = 3) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    x_t = torch.randn(size, 49, 16, generator=generator)
    return x_t, torch.tensor([0, 400, 999])[:size], torch.tensor([0, 1, 3])[:size]


def test_before_training_only_the_linear_part_is_there() -> None:
    x_t, t, labels = batch()
    noise = DiT(SETTINGS, SCHEDULE)(x_t, t, labels)
    expected = (1 - SCHEDULE.alpha_bars[t]).sqrt().float()[:, None, None] * x_t
    assert torch.equal(noise, expected)


def test_the_network_estimates_what_is_subtracted() -> None:
    """f = √(1-ᾱ) x - √ᾱ v: with a constant v, and with the v for which it is exact."""
    x_t, t, labels = batch()
    model = DiT(SETTINGS, SCHEDULE)
    nn.init.constant_(model.out.bias, 0.5)
    alpha_bar = SCHEDULE.alpha_bars[t].float()[:, None, None]
    found = model(x_t, t, labels)
    torch.testing.assert_close(found, (1 - alpha_bar).sqrt() * x_t - alpha_bar.sqrt() * 0.5)
    x_0, noise = torch.randn_like(x_t), torch.randn_like(x_t)
    signal, scale = alpha_bar.sqrt(), (1 - alpha_bar).sqrt()
    v = scale * x_0 - signal * noise
    torch.testing.assert_close(scale * (signal * x_0 + scale * noise) - signal * v, noise)


def test_attention_and_mlp_have_modulations_of_their_own() -> None:
    """The first three parts of the modulation are those of attention, the last three the MLP's."""
    torch.manual_seed(0)
    block = Block(8, 2)
    x, condition = torch.randn(2, 5, 8), torch.randn(2, 8)
    shift, scale, gate = torch.randn(3, 8)
    zero = torch.zeros(8)
    with torch.no_grad():
        block.modulation.bias.copy_(torch.cat([zero, zero, zero, shift, scale, gate]))
        moved = block.norm(x) * (1 + scale) + shift
        torch.testing.assert_close(block(x, condition), x + gate * block.mlp(moved))
        block.modulation.bias.copy_(torch.cat([shift, scale, gate, zero, zero, zero]))
        torch.testing.assert_close(block(x, condition), x + gate * block._attend(moved))


def test_blocks_start_as_the_identity_and_do_not_stay_it() -> None:
    block = Block(16, 2)
    x, condition = torch.randn(2, 5, 16), torch.randn(2, 16)
    assert torch.equal(block(x, condition), x)
    nn.init.normal_(block.modulation.weight)
    assert not torch.allclose(block(x, condition), x, atol=0.1)


def test_attention_is_softmax_of_scaled_products() -> None:
    torch.manual_seed(0)
    block = Block(8, 2).double()
    x = torch.randn(1, 5, 8, dtype=torch.float64)
    queries, keys, values = block.queries_keys_values(x)[0].chunk(3, dim=1)
    heads = []
    for head in (slice(0, 4), slice(4, 8)):
        products = queries[:, head] @ keys[:, head].T / 4**0.5
        heads.append(products.softmax(1) @ values[:, head])
    expected = block.mixed(torch.cat(heads, dim=1))
    torch.testing.assert_close(block._attend(x)[0], expected)


@pytest.mark.parametrize("patch", [2, 4, 7, 14])
def test_shapes(patch: int) -> None:
    settings = replace(SETTINGS, patch=patch)
    model = perturbed(settings)
    _, t, labels = batch()
    x_t = torch.randn(3, (28 // patch) ** 2, patch**2)
    assert model(x_t, t, labels).shape == x_t.shape


def test_gradients_reach_every_parameter() -> None:
    model = perturbed()
    x_t, t, labels = batch()
    model(x_t, t, labels).square().mean().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert float(parameter.grad.abs().max()) > 0, name


def test_after_one_step_the_network_has_left_zero() -> None:
    torch.manual_seed(0)
    model = DiT(SETTINGS, SCHEDULE)
    x_t, t, labels = batch()
    (model(x_t, t, labels) - torch.randn_like(x_t)).square().mean().backward()
    gradients = {name: parameter.grad for name, parameter in model.named_parameters()}
    assert float(gradients["out.bias"].abs().max()) > 0
    assert float(gradients["out.weight"].abs().max()) > 0


def test_positions_matter_and_are_the_only_thing_that_orders_tokens() -> None:
    model = perturbed()
    x_t, t, labels = batch()
    order = torch.randperm(49, generator=torch.Generator().manual_seed(2))
    shuffled = model(x_t[:, order], t, labels)
    assert not torch.allclose(shuffled, model(x_t, t, labels)[:, order], atol=1e-3)
    model.positions.zero_()
    torch.testing.assert_close(
        model(x_t[:, order], t, labels), model(x_t, t, labels)[:, order], atol=1e-4, rtol=1e-4
    )


def test_every_position_has_its_own_code() -> None:
    codes = grid_positions(7, 16)
    distances = torch.cdist(codes, codes) + 10 * torch.eye(49)
    assert codes.shape == (49, 16)
    assert float(distances.min()) > 0.1
    # Row codes depend on the row only: tokens 0 and 1 share a row, 0 and 7 a column.
    assert torch.equal(codes[0, :8], codes[1, :8])
    assert torch.equal(codes[0, 8:], codes[7, 8:])


def test_neighbours_add_a_weighted_sum_over_the_grid() -> None:
    torch.manual_seed(0)
    layer = Neighbours(3)
    x = torch.randn(2, 16, 3)
    assert torch.equal(layer(x), x), "zero at the start"
    for parameter in layer.parameters():
        nn.init.normal_(parameter)
    weight, bias = layer.convolution.weight, layer.convolution.bias
    expected = x.clone() + bias
    for row in range(4):
        for column in range(4):
            for down in (-1, 0, 1):
                for right in (-1, 0, 1):
                    r, c = row + down, column + right
                    if 0 <= r < 4 and 0 <= c < 4:
                        share = weight[:, 0, down + 1, right + 1]
                        expected[:, 4 * row + column] += share * x[:, 4 * r + c]
    torch.testing.assert_close(layer(x), expected)


def test_with_neighbours_it_starts_as_the_plain_network_and_they_are_trained() -> None:
    plain = perturbed()
    rich = DiT(replace(SETTINGS, neighbours=True), SCHEDULE)
    missing, unexpected = rich.load_state_dict(plain.state_dict(), strict=False)
    assert not unexpected
    assert missing == [
        f"blocks.{k}.neighbours.convolution.{name}" for k in (0, 1) for name in ("weight", "bias")
    ]
    estimate = rich(*batch())
    torch.testing.assert_close(estimate, plain(*batch()))
    estimate.square().mean().backward()
    for name in missing:
        gradient = rich.get_parameter(name).grad
        assert gradient is not None, name
        assert float(gradient.abs().max()) > 0, name


def test_settings_name_neighbours_only_if_there_are_any() -> None:
    plain = {"image_size": 28, "patch": 4, "width": 16, "depth": 2, "heads": 2, "n_classes": 4}
    assert SETTINGS.named() == plain
    found = replace(SETTINGS, neighbours=True)
    assert found.named() == plain | {"neighbours": True}
    assert TransformerSettings(**found.named()) == found


def test_sinusoids_closed_form() -> None:
    found = sinusoids(torch.tensor([3]), 4, slowest=100.0)[0]
    expected = torch.tensor([3.0, 0.3])
    torch.testing.assert_close(found, torch.cat([expected.cos(), expected.sin()]))


def test_class_and_time_matter() -> None:
    model = perturbed()
    x_t, t, labels = batch()
    found = model(x_t, t, labels)
    assert not torch.allclose(model(x_t, t, (labels + 1) % 4), found, atol=1e-3)
    assert not torch.allclose(model(x_t, (t + 100) % 1000, labels), found, atol=1e-3)


def test_data_points_do_not_influence_each_other() -> None:
    model = perturbed()
    x_t, t, labels = batch()
    alone = model(x_t[:1], t[:1], labels[:1])
    torch.testing.assert_close(model(x_t, t, labels)[:1], alone, atol=1e-5, rtol=1e-5)


def test_of_class_is_a_denoiser() -> None:
    model = perturbed()
    x_t, t, labels = batch()
    assert torch.equal(model.of_class(labels)(x_t, t), model(x_t, t, labels))


def test_model_without_classes() -> None:
    model = perturbed(replace(SETTINGS, n_classes=0))
    x_t, t, labels = batch()
    assert model(x_t, t).shape == x_t.shape
    with pytest.raises(ValueError, match="no classes"):
        model(x_t, t, labels)


@pytest.mark.parametrize(
    ("x_t", "t", "labels", "message"),
    [
        (torch.zeros(3, 48, 16), torch.zeros(3).long(), torch.zeros(3).long(), "x_t"),
        (torch.zeros(3, 49, 15), torch.zeros(3).long(), torch.zeros(3).long(), "x_t"),
        (torch.zeros(3, 49, 16), torch.zeros(2).long(), torch.zeros(3).long(), "t:"),
        (torch.zeros(3, 49, 16), torch.full((3,), 1000), torch.zeros(3).long(), "t:"),
        (torch.zeros(3, 49, 16), torch.zeros(3), torch.zeros(3).long(), "t:"),
        (torch.zeros(3, 49, 16), torch.zeros(3).long(), None, "labels"),
        (torch.zeros(3, 49, 16), torch.zeros(3).long(), torch.zeros(2).long(), "labels"),
        (torch.zeros(3, 49, 16), torch.zeros(3).long(), torch.full((3,), 4), "labels"),
    ],
)
def test_wrong_input(x_t: Tensor, t: Tensor, labels: Tensor | None, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        DiT(SETTINGS, SCHEDULE)(x_t, t, labels)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"patch": 5}, "patch"),
        ({"width": 18}, "width"),
        ({"heads": 3}, "width"),
        ({"depth": 0}, "depth"),
        ({"n_classes": -1}, "n_classes"),
        ({"neighbours": 1}, "neighbours"),
    ],
)
def test_impossible_settings(change: dict[str, Any], message: str) -> None:
    with pytest.raises((ValueError, TypeError), match=message):
        replace(SETTINGS, **change)


def test_attention_written_out_is_scaled_dot_product_attention() -> None:
    generator = torch.Generator().manual_seed(0)
    parts = [torch.randn(3, 2, 5, 4, generator=generator, dtype=torch.float64) for _ in range(3)]
    expected = torch.nn.functional.scaled_dot_product_attention(*parts)
    assert torch.allclose(attend(*parts), expected, atol=1e-12)
