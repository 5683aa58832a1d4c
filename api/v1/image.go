package v1

import "strings"

const (
	// SubscriberImage is the name of our subscriber's image, but for the registry and the version.
	SubscriberImage = "jawaracloud/subscriber"
	// DefaultImage is the default of spec.image.
	DefaultImage = SubscriberImage + ":latest"
)

// IsSubscriber tells whether an image is our subscriber, of any version and from any registry: its
// name ends with SubscriberImage. Only of ours is it known which variables it reads and where it
// tells its health. The empty name is the default's.
func IsSubscriber(image string) bool {
	if image == "" {
		return true
	}
	name, _, _ := strings.Cut(image, "@")
	if slash := strings.LastIndexByte(name, '/'); strings.LastIndexByte(name, ':') > slash {
		name = name[:strings.LastIndexByte(name, ':')]
	}
	return name == SubscriberImage || strings.HasSuffix(name, "/"+SubscriberImage)
}
