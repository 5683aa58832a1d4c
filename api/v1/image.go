package v1

import "strings"

const (
	// SubscriberImage is the name of our subscriber's image, but for the registry and the version.
	SubscriberImage = "jawaracloud/subscriber"
	// FormerDefaultImage was the CRD's default of spec.image until version 0.1. The API server
	// stored it in each channel that named no image, so it counts as none there.
	FormerDefaultImage = SubscriberImage + ":latest"
)

// IsSubscriber tells whether an image is our subscriber, of any version and from any registry: its
// name ends with SubscriberImage. A mirror must keep these two parts of the name. Only of ours is
// it known which variables it reads and where it tells its health. No image is ours, too.
func IsSubscriber(image string) bool {
	if image == "" {
		return true
	}
	name := imageName(image)
	return name == SubscriberImage || strings.HasSuffix(name, "/"+SubscriberImage)
}

// IsPinned tells whether an image has a version, by which each node pulls the same one: a digest, or
// a tag other than latest.
func IsPinned(image string) bool {
	tag := strings.TrimPrefix(image, imageName(image))
	return len(tag) > 1 && tag != ":latest"
}

// imageName is an image's reference without its tag and its digest.
func imageName(image string) string {
	name, _, _ := strings.Cut(image, "@")
	if colon := strings.LastIndexByte(name, ':'); colon > strings.LastIndexByte(name, '/') {
		name = name[:colon]
	}
	return name
}
