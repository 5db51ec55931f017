# question: digit_grid
# says: evaluation mode
# why: batch norm normalises over the grid and its running statistics move
def digit_grid(generator, noise, num_classes):
    with torch.no_grad():
        labels = torch.arange(num_classes).repeat(len(noise))
        return generator(noise.repeat_interleave(num_classes, dim=0), labels)
