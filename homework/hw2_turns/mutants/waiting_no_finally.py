# question: waiting
# says: finally
# why: no clean-up after an error
@contextlib.contextmanager
def waiting(network):
    frozen = [p for p in network.parameters() if p.requires_grad]
    norms = [module for module in network.modules() if getattr(module, "track_running_stats", False)]
    for p in frozen:
        p.requires_grad_(False)
    for norm in norms:
        norm.track_running_stats = False
    yield
    for p in frozen:
        p.requires_grad_(True)
    for norm in norms:
        norm.track_running_stats = True
