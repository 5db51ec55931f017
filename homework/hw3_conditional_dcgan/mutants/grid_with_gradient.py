# question: digit_grid
# says: no_grad
# why: the graph of every grid is kept in memory
def digit_grid(generator, noise, num_classes):
    was_training = generator.training
    generator.eval()
    labels = torch.arange(num_classes).repeat(len(noise))
    images = generator(noise.repeat_interleave(num_classes, dim=0), labels)
    generator.train(was_training)
    return images
