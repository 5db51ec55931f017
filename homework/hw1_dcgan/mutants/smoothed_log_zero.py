# question: smoothed_cost
# says: finite
# why: log of a sigmoid that has rounded to 0 or 1
def smoothed_cost(real_scores, fake_scores, amount=0.1):
    real, fake = torch.sigmoid(real_scores), torch.sigmoid(fake_scores)
    return -((1 - amount) * real.log() + amount * (1 - real).log()).mean() - (1 - fake).log().mean()
