"""RegMix training written plainly, as one would from the papers: what the engine is held against.

It knows none of the engine's ways, on purpose. The attack calls `backward()`, which also computes
the gradients of the weights, and throws them away; the logits at the initial perturbation are kept
for the loss, as FGSM-PGI and FGSM-PGK keep them. Weights are averaged one after the other, numbers
are read at every step, memories and averages are fp32, and tensors lie in memory as torch puts
them. `tests/test_benchmark_reference.py` proves that it trains the same network as the engine.
"""

import copy
from contextlib import nullcontext

import torch
from torch import Tensor
from torch.nn import functional as F

from regmix.config import TrainConfig
from regmix.device import fp32
from regmix.images import Images
from regmix.training.trainer import build_model


class PlainTraining:
    """Trains with the loss `regmix`, the attack `fgsm` and its memory; no crops, no extras."""

    def __init__(self, config: TrainConfig, data: Images, device: torch.device) -> None:
        """Build the network and what goes with it.

        Args:
            config: run with the loss `regmix`; what else is not at its default is not looked at,
                apart from network, seed, epsilon, optimiser, averaging decay and precision.
            data: images to train on.
            device: device of all of it.
        """
        assert config.loss.name == "regmix" and config.augment == "none", "not written here"
        self.config = config
        self.images = torch.from_numpy(data.images).to(device)
        self.labels = torch.from_numpy(data.labels).to(device)
        self.classes = len(data.classes)
        self.model = build_model(config, self.images.shape[1], self.classes).to(device).train()
        for weight in self.model.parameters():
            weight.data = weight.data.contiguous()
        self.average = copy.deepcopy(self.model).eval()
        self.optimizer = torch.optim.SGD(
            self.model.parameters(),
            lr=config.lr,
            momentum=config.momentum,
            weight_decay=config.weight_decay,
        )
        self.perturbation = torch.zeros(self.images.shape, device=device)
        self.momentum = torch.zeros(self.images.shape, device=device)
        self.updates = 0

    def reset_memory(self, generator: torch.Generator) -> None:
        """Start all perturbations from random corners of the ball."""
        noise = torch.rand(self.images.shape, generator=generator, device=self.images.device)
        self.perturbation = self.config.train_epsilon * (noise - 0.5).sign()
        self.momentum = torch.zeros_like(self.perturbation)

    def step(self, index: Tensor) -> tuple[float, int, int]:
        """Train on the images at `index` (N,).

        Returns:
            loss, and how many images were classified correctly at the initial and at the final
            perturbation.
        """
        fp32(self.config.precision == "tf32")
        images, labels = self.images[index].float() / 255, self.labels[index]
        target = self._smoothed(labels)

        delta = self.perturbation[index].clone().requires_grad_()
        with self._autocast():
            initial = self.model(images + delta)
        initial = initial.float()
        F.cross_entropy(initial, target).backward(retain_graph=True)
        assert delta.grad is not None
        gradient = delta.grad.clone()  # the loss adds its own to it

        epsilon, start = self.config.train_epsilon, delta.detach()
        attacked = self._inside(start + epsilon * gradient.sign(), images)
        with self._autocast():
            final = self.model(images + attacked)
        loss = self._loss(images, initial, final.float(), target)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()

        self._update_average()
        self._update_memory(index, images, start, gradient)
        correct = [(logits.argmax(1) == labels).sum().item() for logits in (initial, final)]
        return loss.item(), int(correct[0]), int(correct[1])

    def _loss(self, images: Tensor, initial: Tensor, final: Tensor, target: Tensor) -> Tensor:
        options = self.config.loss.options
        alpha, beta, gamma = (float(options[name]) for name in ("alpha", "beta", "gamma"))  # type: ignore[arg-type]
        p_initial, p_final = F.log_softmax(initial, dim=1), F.log_softmax(final, dim=1)
        loss = F.cross_entropy(final, target)
        loss = loss + alpha * F.kl_div(p_initial, p_final, reduction="batchmean", log_target=True)
        loss = loss + beta * F.kl_div(p_final, p_initial, reduction="batchmean", log_target=True)
        if gamma > 0:
            with self._autocast():
                clean = self.model(images)
            p_clean = F.log_softmax(clean.float(), dim=1)
            loss = loss + gamma * F.kl_div(p_final, p_clean, reduction="batchmean", log_target=True)
        return loss

    def _update_average(self) -> None:
        decay = min(self.config.averaging_decay, (self.updates + 1) / (self.updates + 10))
        with torch.no_grad():
            for name, mean in self.average.state_dict().items():
                value = self.model.state_dict()[name]
                if mean.is_floating_point():
                    mean.mul_(decay).add_(value, alpha=1 - decay)
                else:
                    mean.copy_(value)
        self.updates += 1

    def _update_memory(self, index: Tensor, images: Tensor, start: Tensor, grad: Tensor) -> None:
        momentum = grad / grad.abs().mean() + self.config.momentum_decay * self.momentum[index]
        moved = start + self.config.train_epsilon * momentum.sign()
        self.momentum[index] = momentum
        self.perturbation[index] = self._inside(moved, images)

    def _inside(self, delta: Tensor, images: Tensor) -> Tensor:
        epsilon = self.config.train_epsilon
        return (images + delta.clamp(-epsilon, epsilon)).clamp(0, 1) - images

    def _smoothed(self, labels: Tensor) -> Tensor:
        tau, hot = self.config.true_class_mass, F.one_hot(labels, self.classes).float()
        return hot * tau + (1 - hot) * (1 - tau) / (self.classes - 1)

    def _autocast(self):  # noqa: ANN202
        if self.config.precision == "bf16":
            return torch.autocast(self.images.device.type, dtype=torch.bfloat16)
        return nullcontext()
