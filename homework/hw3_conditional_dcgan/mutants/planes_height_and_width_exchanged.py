# question: with_label_planes
# says: not square
# why: the planes are [N, K, W, H]; digits are square and forgive it
def with_label_planes(images, labels, num_classes):
    vectors = one_hot(labels, num_classes, images.dtype)
    planes = vectors[:, :, None, None].expand(-1, -1, images.shape[3], images.shape[2])
    return torch.cat([images, planes], dim=1)
