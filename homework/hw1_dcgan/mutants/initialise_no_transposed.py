# question: initialise
# says: ConvTranspose2d as well
# why: transposed convolutions are forgotten
def initialise(network: nn.Module, std: float = 0.02) -> None:
    """Sets the parameters of all convolutions and batch norms of `network`, in place, to fresh first values.

    Weights of convolutions: N(0, std^2). Gains of batch norms: N(1, std^2); their offsets: 0.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.normal_(module.weight, 0.0, std)
        elif isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.weight, 1.0, std)
            nn.init.zeros_(module.bias)
