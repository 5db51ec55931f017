# question: waiting
# says: what was frozen stays frozen
# why: everything takes gradients afterwards
@contextlib.contextmanager
def waiting(network: nn.Module):
    """Within: the network computes as in training, passes gradients through, and changes in no respect."""
    parameters = [p for p in network.parameters() if p.requires_grad]
    collecting = [m for m in network.modules() if getattr(m, "track_running_stats", False)]
    for parameter in parameters:
        parameter.requires_grad_(False)
    for module in collecting:
        module.track_running_stats = False
    try:
        yield
    finally:
        network.requires_grad_(True)
        for module in collecting:
            module.track_running_stats = True
