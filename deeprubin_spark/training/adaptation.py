"""Training in this process beside the loop of the cluster: towards a domain without labels, and of a Bayesian class head.

Batches, preparation, learning rate and optimiser are those of `loop.py`; what is added is a term of the loss.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from deeprubin_spark.models.adaptation import DomainJudge, coral, mmd, ramp
from deeprubin_spark.models.bayesian import kl_to_prior, make_head_bayesian
from deeprubin_spark.models.hybrid import HybridNetwork
from deeprubin_spark.models.inputs import FeatureRows
from deeprubin_spark.models.losses import reconstruction_loss
from deeprubin_spark.models.networks import network_of
from deeprubin_spark.training.fits import in_memory
from deeprubin_spark.training.loop import MAX_GRADIENT, WEIGHT_DECAY, Batches, Plan, Preparation, batch_loss, learning_rate, thin
from deeprubin_spark.training.reader import Batch

ADVERSARY = 0.1  # weight of the domain judge
HEAD_EPOCHS = 20
PRE_TRAINED, CURVE_EPOCHS = "pre-trained", 20

Penalty = Callable[[Tensor, Tensor, Tensor, float], Tensor]


def none(source: Tensor, target: Tensor, loss: Tensor, progress: float) -> Tensor:
    """No adaptation."""
    return loss.new_zeros(())


def balanced(distance: Callable[[Tensor, Tensor], Tensor]) -> Penalty:
    """A distance of the domains that counts as much as the loss, once the ramp is up.

    "The weight is set so that at the end of training the classification loss and the CORAL loss are roughly the same" (Sun & Saenko 2016): here in
    every step, so that no label of the target is needed to choose it.
    """

    def penalty(source: Tensor, target: Tensor, loss: Tensor, progress: float) -> Tensor:
        found = distance(source, target)
        return ramp(progress) * (loss.detach() / found.detach().clamp(min=1e-6)) * found

    return penalty


def against(judge: DomainJudge) -> Penalty:
    """The domain-adversarial term: the judge learns as fast as ever, what it teaches the network is ramped up."""
    return lambda source, target, loss, progress: ADVERSARY * judge(source, target, ramp(progress))


METHODS: Mapping[str, Callable[[int], tuple[Penalty, tuple[nn.Module, ...]]]] = {
    "source": lambda width: (none, ()),
    "coral": lambda width: (balanced(coral), ()),
    "mmd": lambda width: (balanced(mmd), ()),
    "dann": lambda width: _adversarial(width),
    PRE_TRAINED: lambda width: (none, ()),
}


def _adversarial(width: int) -> tuple[Penalty, tuple[nn.Module, ...]]:
    judge = DomainJudge(width)
    return against(judge), (judge,)


def adapted(plan: Plan, source: FeatureRows, label: NDArray[np.int64], target: FeatureRows, method: str) -> HybridNetwork[Any]:
    """A network that labelled rows of the source train and rows of the target, of which no label is known, adapt by one of `METHODS`.

    Each step takes a batch of either. Compared are the hidden values without dropout, of curves redrawn and hidden as in training.
    `PRE_TRAINED` does not compare: its network has first learnt to rebuild hidden stretches of the target's light curves.
    """
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    torch.manual_seed(plan.seed)
    network, prepare = network_of(plan.shape), Preparation(plan)
    penalty, learning = METHODS[method](plan.shape.hidden)
    everything = torch.ones(plan.shape.hidden)
    if method == PRE_TRAINED:
        learn_curves(plan, network, target)
    others = _endless(in_memory(target, np.zeros(len(target), np.int64), plan), plan.batch_size)

    def loss_of(batch: Batch, epoch: int, progress: float) -> Tensor:
        prepared = prepare(batch, epoch)
        thin(network, prepared.dropout_keys)
        loss = batch_loss(network, prepared, plan.noise) / prepared.weight.sum()
        if penalty is none:
            return loss
        of_target = prepare(next(others), epoch)
        network.thinning.kept = everything
        hidden = [network.last_hidden(network.joined(each.given.curve, each.features)[0]) for each in (prepared, of_target)]
        return loss + penalty(hidden[0], hidden[1], loss, progress)

    descend(plan, (network, *learning), loss_of, in_memory(source, label, plan), WEIGHT_DECAY)
    return finished(network)


def learn_curves(plan: Plan, network: HybridNetwork[Any], rows: FeatureRows) -> None:
    """Self-supervised: `CURVE_EPOCHS` of the reconstruction loss alone on the light curves of `rows`, which need no class. Features stay unread."""
    of_curves = replace(plan, n_rows=len(rows), epochs=CURVE_EPOCHS)
    prepare = Preparation(of_curves)

    def loss_of(batch: Batch, epoch: int, progress: float) -> Tensor:
        given = prepare(batch, epoch).given
        _, mean, log_sd = network.encoded(given.curve)
        return reconstruction_loss(mean, log_sd, given.mean, given.sd, given.hidden, plan.noise).mean()

    descend(of_curves, (network,), loss_of, in_memory(rows, np.zeros(len(rows), np.int64), of_curves), WEIGHT_DECAY)


def with_bayesian_head(plan: Plan, network: HybridNetwork[Any], rows: FeatureRows, label: NDArray[np.int64]) -> HybridNetwork[Any]:
    """The trained network with a Bayesian class head, which alone learns on for `HEAD_EPOCHS` by Bayes by backprop (`bayesian.BayesianLinear`).

    loss of a batch = mean loss of its rows + KL(q || prior) / N. No dropout: the drawn weights stand for it.
    """
    torch.manual_seed(plan.seed)
    make_head_bayesian(network)
    of_head = replace(plan, epochs=HEAD_EPOCHS)
    prepare = Preparation(of_head)
    network.thinning.kept = torch.ones(plan.shape.hidden)

    def loss_of(batch: Batch, epoch: int, progress: float) -> Tensor:
        prepared = prepare(batch, epoch)
        return batch_loss(network, prepared, plan.noise) / prepared.weight.sum() + kl_to_prior(network) / plan.n_rows

    descend(of_head, (network.classes,), loss_of, in_memory(rows, label, of_head), 0.0)
    return finished(network)


def descend(
    plan: Plan, learning: tuple[nn.Module, ...], loss_of: Callable[[Batch, int, float], Tensor], batches: Batches, weight_decay: float
) -> None:
    """All epochs of the plan on the parameters of `learning`.  loss_of(batch, epoch, share of all steps done [1])."""
    parameters = [p for module in learning for p in module.parameters()]
    optimizer = torch.optim.AdamW(parameters, lr=plan.learning_rate, weight_decay=weight_decay)
    for module in learning:
        module.train()
    step, total = 0, plan.epochs * plan.steps_per_epoch
    for epoch in range(plan.epochs):
        for batch in batches(epoch, 0):
            for group in optimizer.param_groups:
                group["lr"] = learning_rate(plan, step)
            optimizer.zero_grad(set_to_none=True)
            loss_of(batch, epoch, step / total).backward()
            torch.nn.utils.clip_grad_norm_([p for p in parameters if p.grad is not None], MAX_GRADIENT)
            optimizer.step()
            step += 1


def finished(network: HybridNetwork[Any]) -> HybridNetwork[Any]:
    """The network as it is used: nothing drawn stays in it."""
    network.thinning.kept = None
    return network.eval()


def _endless(batches: Batches, size: int) -> Iterator[Batch]:
    """Full batches, epoch after epoch; those that there are where none is full."""
    epoch = 0
    while True:
        made = list(batches(epoch, 0))
        yield from [batch for batch in made if len(batch["row"]) == size] or made
        epoch += 1
