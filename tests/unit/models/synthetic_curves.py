"""Light curves of three kinds that a network can learn to tell apart in seconds, and the short training that does it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from deeprubin_spark.bands import BANDS, band_index
from deeprubin_spark.models.inputs import FeatureRows, channels
from deeprubin_spark.models.points import Points, Tokens, most_informative, tokens

N_CLASSES = 3  # fast transient, slow transient, periodic


def _shape(kind, since):
    rise, fall = np.where(kind == 0, 2.0, 10.0), np.where(kind == 0, 8.0, 40.0)
    transient = np.exp(-np.where(since < 0.0, -since / rise, since / fall))
    return np.where(kind == 2, np.sin(2.0 * np.pi * since / 25.0), transient)


def curves(n: int, seed: int, bands: str = "gr", noise: tuple[float, float] = (0.02, 0.3)) -> tuple[Points, np.ndarray]:
    """n objects of 15 to 29 points, noise [peak flux] drawn log-uniformly for each object, and their kinds."""
    rng = np.random.default_rng(seed)
    kind = rng.integers(N_CLASSES, size=n)
    counts = rng.integers(15, 30, size=n)
    owner = np.repeat(np.arange(n), counts)
    mjd = 59000.0 + rng.uniform(0.0, 120.0, size=len(owner))
    wavelength = np.array([BANDS[band_index(b)].wavelength for b in bands])[rng.integers(len(bands), size=len(owner))]
    peak = 10.0 ** rng.uniform(3.5, 5.0, size=n)[owner]
    error = peak * np.exp(rng.uniform(*np.log(noise), size=n))[owner]
    true = peak * _shape(kind[owner], mjd - 59000.0 - rng.uniform(20.0, 60.0, size=n)[owner]) * (wavelength / 6000.0) ** -0.5
    flux = true + error * rng.standard_normal(len(owner))
    offsets = np.concatenate([[0], np.cumsum(counts)])
    return Points(offsets, mjd, wavelength, flux, error, np.abs(flux) > 5.0 * error), kind


def point_set(n: int, seed: int, bands: str = "gr") -> tuple[Tokens, torch.Tensor]:
    points, kind = curves(n, seed, bands)
    return tokens(most_informative(points)), torch.from_numpy(kind)


def grid_set(n: int, seed: int, n_bands: int = 2, n_steps: int = 64) -> tuple[torch.Tensor, torch.Tensor]:
    rng = np.random.default_rng(seed)
    kind, time = rng.integers(N_CLASSES, size=n), np.tile(np.linspace(-40.0, 80.0, n_steps), (n, 1))
    mean = _shape(kind[:, None], time - rng.uniform(-10.0, 20.0, size=(n, 1)))[:, None] * np.linspace(1.0, 0.8, n_bands)[:, None]
    sd = np.full_like(mean, 0.1)
    rows = FeatureRows(np.zeros((n, 0)), time, mean + 0.1 * rng.standard_normal(mean.shape), sd)
    return torch.from_numpy(channels(rows)), torch.from_numpy(kind)


def without_features(n: int) -> torch.Tensor:
    return torch.zeros(n, 0)


def train(
    network, loss_of: Callable[[torch.Tensor], torch.Tensor], n_rows: int, *, steps: int, rate: float = 5e-3, batch: int = 64
) -> None:
    """A few steps along the gradient of loss_of(rows)."""
    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(0)
    optimizer = torch.optim.AdamW(network.parameters(), lr=rate)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, total_steps=steps)
    network.train()
    for _ in range(steps):
        optimizer.zero_grad()
        loss_of(torch.randint(n_rows, (batch,), generator=generator)).backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        schedule.step()
    network.eval()
