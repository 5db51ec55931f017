# question: build_players
# says: first layer for the label
# why: the first layers have the width of the unconditional DCGAN
def build_players(num_classes, noise_size, features):
    generator = ConditionalGenerator(dcgan.Generator(noise_size, 1, 32, features), num_classes)
    discriminator = ConditionalDiscriminator(dcgan.Discriminator(1, 32, features), num_classes)
    dcgan.initialise(generator, 0.02)
    dcgan.initialise(discriminator, 0.02)
    return generator, discriminator
