# question: digit_grid
# says: left in another mode
# why: eval() and no way back
def digit_grid(generator, noise, num_classes):
    generator.eval()
    with torch.no_grad():
        labels = torch.arange(num_classes).repeat(len(noise))
        return generator(noise.repeat_interleave(num_classes, dim=0), labels)
