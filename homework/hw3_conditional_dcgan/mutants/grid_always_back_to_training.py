# question: digit_grid
# says: left in another mode
# why: train() at the end, whatever the mode was before
def digit_grid(generator, noise, num_classes):
    generator.eval()
    with torch.no_grad():
        labels = torch.arange(num_classes).repeat(len(noise))
        images = generator(noise.repeat_interleave(num_classes, dim=0), labels)
    generator.train()
    return images
