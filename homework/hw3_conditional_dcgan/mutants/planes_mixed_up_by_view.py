# question: with_label_planes
# says: plane k is 1
# why: repeated along the wrong axis and viewed into shape, so that the planes are not constant
def with_label_planes(images, labels, num_classes):
    count, _, height, width = images.shape
    vectors = one_hot(labels, num_classes, images.dtype)
    planes = vectors.repeat(1, height * width).view(count, num_classes, height, width)
    return torch.cat([images, planes], dim=1)
