"""Several trials' small networks as one: channels side by side, convolutions in groups.

For the benchmark of packing alone: it trains in lockstep, and one trial's fault would be all
trials' fault.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from regmix.config import TrainConfig
from regmix.images import Images
from regmix.losses.regmix import regmix
from regmix.projection import project
from regmix.training.trainer import build_model


class GroupedLinear(nn.Module):
    """Linear layers of several networks, each on its own features."""

    def __init__(self, layers: Sequence[nn.Linear]) -> None:
        """Take over the weights of one layer of each network."""
        super().__init__()
        self.weight = nn.Parameter(torch.stack([layer.weight.detach() for layer in layers]))
        self.bias = nn.Parameter(torch.stack([layer.bias.detach() for layer in layers]))

    def forward(self, features: Tensor) -> Tensor:
        """Turn (N, B * F) into (B, N, K)."""
        networks, _, width = self.weight.shape
        parts = features.reshape(len(features), networks, width).transpose(0, 1)
        return torch.baddbmm(self.bias[:, None], parts, self.weight.transpose(1, 2))


def grouped(networks: Sequence[nn.Sequential]) -> nn.Sequential:
    """Return one network that computes what several of one shape do, with copies of their weights.

    Args:
        networks: B sequences of convolutions without a bias, batch norms, linear layers, and
            layers without weights, from (N, C, H, W) to (N, K).

    Returns:
        A network from (N, B * C, H, W) to (B, N, K).
    """
    return nn.Sequential(*(_together(layers) for layers in zip(*networks, strict=True)))


def _together(layers: Sequence[nn.Module]) -> nn.Module:
    first, count = layers[0], len(layers)
    if isinstance(first, nn.Linear):
        return GroupedLinear([layer for layer in layers if isinstance(layer, nn.Linear)])
    if isinstance(first, nn.Conv2d):
        joined: nn.Module = nn.Conv2d(
            count * first.in_channels,
            count * first.out_channels,
            first.kernel_size,  # type: ignore[arg-type]
            first.stride,  # type: ignore[arg-type]
            first.padding,  # type: ignore[arg-type]
            groups=count,
            bias=False,
        )
    elif isinstance(first, nn.BatchNorm2d):
        joined = nn.BatchNorm2d(count * first.num_features)
    else:
        return first
    states = [layer.state_dict() for layer in layers]
    joined.load_state_dict(
        {
            name: torch.cat([state[name] for state in states]) if value.ndim else value
            for name, value in states[0].items()
        }
    )
    return joined


class GroupedTraining:
    """Trains several configurations of one network in lockstep, each on its own batches."""

    def __init__(self, configs: Sequence[TrainConfig], data: Images, device: torch.device) -> None:
        """Build the networks as one.

        Args:
            configs: runs with the loss `regmix`, without its clean term, that differ in seed and
                weights of the loss alone.
            data: images that all train on.
            device: device of all of it.
        """
        self.configs, first = configs, configs[0]
        self.images = torch.from_numpy(data.images).to(device)
        self.labels = torch.from_numpy(data.labels).to(device)
        channels, classes = self.images.shape[1], len(data.classes)
        networks = [build_model(config, channels, classes) for config in configs]
        self.model = grouped([n for n in networks if isinstance(n, nn.Sequential)]).to(device)
        self.average = [value.detach().clone() for value in self.model.state_dict().values()]
        self.optimizer = torch.optim.SGD(
            self.model.parameters(),
            lr=first.lr,
            momentum=first.momentum,
            weight_decay=first.weight_decay,
        )
        shape = (len(configs), *self.images.shape)
        self.perturbation = torch.zeros(shape, device=device, dtype=torch.float16)
        self.momentum = torch.zeros(shape, device=device, dtype=torch.float16)
        self._which = torch.arange(len(configs), device=device)[:, None]
        self.updates = 0

    def step(self, index: Tensor) -> Tensor:
        """Train each network on its own images.

        Args:
            index: (B, N) indices of the images of each network's batch.

        Returns:
            (B,) the losses.
        """
        epsilon = self.configs[0].train_epsilon
        images, labels = self.images[index].float() / 255, self.labels[index]
        target = F.one_hot(labels, self._classes).float()
        start = self.perturbation[self._which, index].float()
        point = _beside(start).requires_grad_()
        initial = self.model(_beside(images) + point)
        fit = F.cross_entropy(initial.flatten(0, 1), target.flatten(0, 1), reduction="sum")
        (gradient,) = torch.autograd.grad(fit, point, retain_graph=True)
        gradient = _apart(gradient, images)
        final = self.model(
            _beside(images + project(start + epsilon * gradient.sign(), images, epsilon))
        )
        losses = self._losses(final, initial, target)
        self.optimizer.zero_grad()
        losses.sum().backward()
        self.optimizer.step()
        self._keep(index, images, start, gradient)
        self._update_average()
        return losses.detach()

    @property
    def _classes(self) -> int:
        return int(self.model[-1].weight.shape[1])  # type: ignore[index]

    def _losses(self, final: Tensor, initial: Tensor, target: Tensor) -> Tensor:
        """Return (B,) the loss of each network, weighed as its configuration says."""
        found = []
        for place, config in enumerate(self.configs):
            alpha, beta = (float(config.loss.options[name]) for name in ("alpha", "beta"))  # type: ignore[arg-type]
            found.append(
                regmix(
                    final[place],
                    initial[place],
                    None,
                    target[place],
                    alpha=alpha,
                    beta=beta,
                    gamma=0.0,
                )
            )
        return torch.stack(found)

    def _keep(self, index: Tensor, images: Tensor, start: Tensor, gradient: Tensor) -> None:
        first = self.configs[0]
        size = gradient.abs().mean(dim=(1, 2, 3, 4), keepdim=True)
        old = self.momentum[self._which, index].float()
        momentum = gradient / size + first.momentum_decay * old
        moved = project(start + first.train_epsilon * momentum.sign(), images, first.train_epsilon)
        self.momentum[self._which, index] = momentum.half()
        self.perturbation[self._which, index] = moved.half()

    @torch.no_grad()
    def _update_average(self) -> None:
        decay = min(self.configs[0].averaging_decay, (self.updates + 1) / (self.updates + 10))
        values = list(self.model.state_dict().values())
        real = [place for place, value in enumerate(values) if value.is_floating_point()]
        torch._foreach_lerp_(
            [self.average[place] for place in real], [values[place] for place in real], 1 - decay
        )
        self.updates += 1


def _beside(images: Tensor) -> Tensor:
    """Turn (B, N, C, H, W) into (N, B * C, H, W)."""
    return images.transpose(0, 1).flatten(1, 2)


def _apart(images: Tensor, like: Tensor) -> Tensor:
    """Turn (N, B * C, H, W) into the shape (B, N, C, H, W) of `like`."""
    networks, count, *rest = like.shape
    return images.reshape(count, networks, *rest).transpose(0, 1)
