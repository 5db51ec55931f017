# question: with_label_planes
# says: image itself comes first
# why: the planes stand before the image's channels
def with_label_planes(images, labels, num_classes):
    planes = one_hot(labels, num_classes, images.dtype)[:, :, None, None].expand(-1, -1, *images.shape[2:])
    return torch.cat([planes, images], dim=1)
