# question: discriminator_turn
# says: real ones judged as real
# why: generated images stand first in the batch and are taken for the real half
def discriminator_turn(discriminator, planes, real, fake):
    images = torch.cat([fake.detach(), real])
    of_real, of_fake = halves(discriminator(torch.cat([torch.cat([planes, planes]), images], dim=1)))
    return discriminator_over_scales(of_real, of_fake)
