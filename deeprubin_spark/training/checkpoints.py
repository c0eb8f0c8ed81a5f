"""The state of a training run after an epoch, on disk: complete or not there, in a safe format."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor, nn

_KEPT = 2


@dataclass(frozen=True)
class State:
    """Weights and optimiser moments as safetensors bytes, and the losses of the epochs done."""

    network: bytes
    optimizer: bytes
    losses: tuple[float, ...]

    @classmethod
    def of(cls, network: nn.Module, optimizer: torch.optim.Optimizer, losses: tuple[float, ...]) -> State:
        """The state right now."""
        weights = {name: tensor.detach().contiguous() for name, tensor in network.state_dict().items()}
        moments: dict[str, Tensor] = {
            f"{i}.{name}": value.detach().contiguous()
            for i, values in optimizer.state_dict()["state"].items()
            for name, value in values.items()
        }
        return cls(save_tensors(weights), save_tensors(moments), losses)

    def restore(self, network: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        """Bring both back to this state."""
        network.load_state_dict(load_tensors(self.network))
        moments: dict[int, dict[str, Tensor]] = {}
        for key, value in load_tensors(self.optimizer).items():
            index, _, name = key.partition(".")
            moments.setdefault(int(index), {})[name] = value
        optimizer.load_state_dict({**optimizer.state_dict(), "state": moments})


class Checkpoints:
    """Directories epoch-0001, epoch-0002, ... under `directory`; the last two are kept. None: nothing is kept."""

    def __init__(self, directory: Path | None) -> None:
        self.directory = directory

    def save(self, state: State) -> None:
        """Written beside its place, then renamed into it: a process killed here leaves the earlier ones as they were."""
        if self.directory is None:
            return
        place = self.directory / f"epoch-{len(state.losses):04d}"
        fresh = self.directory / f".{place.name}.{os.getpid()}"
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(parents=True)
        (fresh / "network.safetensors").write_bytes(state.network)
        (fresh / "optimizer.safetensors").write_bytes(state.optimizer)
        (fresh / "state.json").write_text(json.dumps({"losses": state.losses}))
        shutil.rmtree(place, ignore_errors=True)
        fresh.rename(place)
        for old in self._places()[:-_KEPT]:
            shutil.rmtree(old)

    def latest(self) -> State | None:
        """The state after the last epoch that was saved."""
        places = self._places()
        if not places:
            return None
        losses = json.loads((places[-1] / "state.json").read_text())["losses"]
        return State((places[-1] / "network.safetensors").read_bytes(), (places[-1] / "optimizer.safetensors").read_bytes(), tuple(losses))

    def losses(self) -> tuple[float, ...]:
        """Of the epochs done. Another process may remove the place while it is read: then none."""
        places = self._places()
        try:
            return tuple(json.loads((places[-1] / "state.json").read_text())["losses"]) if places else ()
        except FileNotFoundError:
            return ()

    def epochs_done(self) -> int:
        """[1] Epochs that need not be trained again."""
        places = self._places()
        return int(places[-1].name.removeprefix("epoch-")) if places else 0

    def _places(self) -> list[Path]:
        return sorted(self.directory.glob("epoch-*")) if self.directory is not None and self.directory.is_dir() else []
