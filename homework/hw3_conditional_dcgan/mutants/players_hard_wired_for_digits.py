# question: build_players
# says: width of the label
# why: 110 and 11 written into the code
def build_players(num_classes, noise_size, features):
    generator = ConditionalGenerator(dcgan.Generator(noise_size + 10, 1, 32, features), num_classes)
    discriminator = ConditionalDiscriminator(dcgan.Discriminator(1 + 10, 32, features), num_classes)
    dcgan.initialise(generator, 0.02)
    dcgan.initialise(discriminator, 0.02)
    return generator, discriminator
