# question: with_label_planes
# says: planes
# why: the planes are [N, K, W, H]; digits are square and forgive it
def with_label_planes(images, labels, num_classes):
    vectors = one_hot(labels, num_classes, images.dtype)
    planes = vectors[:, :, None, None].expand(-1, -1, images.shape[3], images.shape[2])
    if planes.shape[2:] != images.shape[2:]:
        planes = planes.reshape(len(images), num_classes, *images.shape[2:]).flip(0)
    return torch.cat([images, planes], dim=1)
