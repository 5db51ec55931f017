# question: with_label_planes
# says: dtype of the image
# why: the planes are float32 and torch.cat promotes the image
def with_label_planes(images, labels, num_classes):
    planes = one_hot(labels, num_classes)[:, :, None, None].expand(-1, -1, *images.shape[2:])
    return torch.cat([images, planes], dim=1)
