package main

import (
	"slices"
	"testing"
)

func TestParseLDD(t *testing.T) {
	got, err := parseLDD("redis-server", "\tlinux-vdso.so.1 (0x00007f)\n\tlibm.so.6 => /lib/x86_64-linux-gnu/libm.so.6 (0x00007f)\n\t/lib64/ld-linux-x86-64.so.2 (0x00007f)\n")
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"/lib/x86_64-linux-gnu/libm.so.6", "/lib64/ld-linux-x86-64.so.2"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	for name, out := range map[string]string{"a missing library": "\tliblzf.so.1 => not found\n", "a static program": "\tnot a dynamic executable\n"} {
		if libraries, err := parseLDD("redis-server", out); err == nil {
			t.Errorf("%s: got %v, want an error", name, libraries)
		}
	}
}

func TestProductImagesAreNonRootAndNamedByVersion(t *testing.T) {
	images, err := productImages(t.TempDir(), "v1.2.3")
	if err != nil {
		t.Fatal(err)
	}
	for tar, name := range map[string]string{"operator.tar": "docker.io/jawaracloud/pubsub-operator:v1.2.3", "subscriber.tar": "docker.io/jawaracloud/subscriber:v1.2.3", "publisher.tar": "docker.io/jawaracloud/publisher:v1.2.3"} {
		if image := images[tar]; image.Name != name || image.User != nonroot {
			t.Errorf("%s: got %s by user %s, want %s by %s", tar, image.Name, image.User, name, nonroot)
		}
	}
}
