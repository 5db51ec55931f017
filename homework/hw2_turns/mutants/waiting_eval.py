# question: waiting
# says: no eval()
# why: evaluation mode in place of training mode
@contextlib.contextmanager
def waiting(network):
    mode = network.training
    frozen = [p for p in network.parameters() if p.requires_grad]
    network.eval()
    for p in frozen:
        p.requires_grad_(False)
    try:
        yield
    finally:
        network.train(mode)
        for p in frozen:
            p.requires_grad_(True)
