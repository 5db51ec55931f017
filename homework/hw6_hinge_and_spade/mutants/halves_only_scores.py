# question: halves
# says: nested like the whole
# why: only the scores are cut and returned
def halves(outputs):
    cut = [maps[-1].chunk(2) for maps in outputs]
    return [[pair[0]] for pair in cut], [[pair[1]] for pair in cut]
