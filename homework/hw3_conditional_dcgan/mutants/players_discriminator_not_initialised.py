# question: build_players
# says: standard deviation of 0.02
# why: only the generator is initialised
def build_players(num_classes, noise_size, features):
    generator = ConditionalGenerator(dcgan.Generator(noise_size + num_classes, 1, 32, features), num_classes)
    discriminator = ConditionalDiscriminator(dcgan.Discriminator(1 + num_classes, 32, features), num_classes)
    dcgan.initialise(generator, 0.02)
    return generator, discriminator
