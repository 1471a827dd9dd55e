"""How the weights of convolutions begin, for networks that are built here."""

from torch import nn


def he_normal(network: nn.Module) -> None:
    """Draw every convolution's weights as He et al., ICCV 2015, say for ReLU: outgoing fan."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
