# question: digit_grid
# says: one noise each
# why: repeat and repeat_interleave exchanged: all digits of one class come first
def digit_grid(generator, noise, num_classes):
    was_training = generator.training
    generator.eval()
    labels = torch.arange(num_classes).repeat_interleave(len(noise))
    with torch.no_grad():
        images = generator(noise.repeat(num_classes, 1), labels)
    generator.train(was_training)
    return images
