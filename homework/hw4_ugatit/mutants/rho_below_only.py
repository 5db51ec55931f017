# question: clip_rho
# says: clipped to [0, 1]
# why: only the lower end is kept
def clip_rho(network: nn.Module) -> None:
    """Brings every parameter of `network` that is named rho back to [0, 1], in place."""
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if name.split(".")[-1] == "rho":
                parameter.clamp_(min=0)
