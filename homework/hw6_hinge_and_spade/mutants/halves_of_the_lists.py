# question: halves
# says: nested like the whole
# why: the lists are cut, not the maps
def halves(outputs):
    half = len(outputs) // 2
    return outputs[:half], outputs[half:]
