"""The real numbers of a loss and an attack on the device, where a captured step reads them anew."""

from collections.abc import Mapping
from typing import Any, NoReturn

import torch
from torch import Tensor

from regmix import registry
from regmix.config import Component, TrainConfig
from regmix.ranges import Value


class Number(Tensor):
    """A number that is not 0, so that `if alpha:` needs no answer of the device.

    Options of 0 stay what they are: they decide which terms of a loss there are.
    """

    __torch_function__ = torch._C._disabled_torch_function_impl  # type: ignore[assignment]  # results are plain

    def __bool__(self) -> bool:
        """Return True, without a look."""
        return True

    def _refuse(self, *_: object) -> NoReturn:
        raise TypeError("a number of a captured step can't be asked for its value")

    __float__ = __int__ = __index__ = item = tolist = _refuse


class Numbers:
    """The options of a run's loss and attack, and its radius, as its step is given them."""

    def __init__(self, config: TrainConfig, device: torch.device | None) -> None:
        """Bring the numbers to a device.

        Args:
            config: configuration of the run.
            device: device of the run; None leaves them what they are. A plug-in's always are.
        """
        self.loss = _options("loss", config.loss, device, torch.float32)
        # in double precision, as Python multiplies them
        self.attack = _options("attack", config.attack, device, torch.float64)
        own = not registry.is_plugin("attack", config.attack.name)
        self.epsilon = _number(config.train_epsilon, device if own else None, torch.float64)

    def become(self, config: TrainConfig) -> None:
        """Take the numbers of another configuration of the same structure."""
        for own, given in (
            (self.loss, config.loss.options),
            (self.attack, config.attack.options),
            ({"epsilon": self.epsilon}, {"epsilon": config.train_epsilon}),
        ):
            for name, number in own.items():
                value = given[name]
                if isinstance(number, Number) and isinstance(value, float):
                    number.fill_(value)


def _options(
    kind: str, component: Component, device: torch.device | None, dtype: torch.dtype
) -> Mapping[str, Any]:
    own = not registry.is_plugin(kind, component.name)
    return {
        name: _number(value, device if own else None, dtype)
        for name, value in component.options.items()
    }


def _number(value: Value, device: torch.device | None, dtype: torch.dtype) -> Any:  # noqa: ANN401
    if device is None or not isinstance(value, float) or not value:
        return value
    return torch.full((), value, dtype=dtype, device=device).as_subclass(Number)
