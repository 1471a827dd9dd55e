"""Models that stand round another one."""

from collections.abc import Callable

from torch import Tensor, nn

Change = Callable[[Tensor], Tensor]


class Around(nn.Module):
    """A model between two functions: what its images and what its logits go through."""

    def __init__(
        self, model: nn.Module, *, before: Change | None = None, after: Change | None = None
    ) -> None:
        super().__init__()
        self.model, self.before, self.after = model, before or nn.Identity(), after or nn.Identity()
        self.seen: list[int] = []  # size of each batch

    def forward(self, images: Tensor) -> Tensor:
        self.seen.append(len(images))
        logits: Tensor = self.after(self.model(self.before(images)))
        return logits
