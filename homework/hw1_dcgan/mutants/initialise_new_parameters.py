# question: initialise
# says: in place
# why: the parameters are replaced by new ones
def initialise(network: nn.Module, std: float = 0.02) -> None:
    """Sets the parameters of all convolutions and batch norms of `network`, in place, to fresh first values.

    Weights of convolutions: N(0, std^2). Gains of batch norms: N(1, std^2); their offsets: 0.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            module.weight = nn.Parameter(std * torch.randn_like(module.weight))
        elif isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.weight, 1.0, std)
            nn.init.zeros_(module.bias)
