// Package imagetar writes container images as tar files in the form of `docker save`
// without a container engine: one layer of given files and a configuration. The same
// input gives the same bytes, so a tar can be cached and compared by its digest.
package imagetar

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

// An Image is a container image of one layer.
type Image struct {
	// Name is repository:tag. An untagged name is an error: a node would pull "latest".
	Name string
	// Files are the layer, in any order. Their parent folders are added, mode 0755.
	Files []File
	// User is "uid" or "uid:gid"; default root. Use numbers: without an /etc/passwd the
	// kubelet can't resolve a name for runAsNonRoot.
	User string
	// Entrypoint is the program and its fixed arguments.
	Entrypoint []string
	// Cmd are the default arguments, which a pod's args replace.
	Cmd []string
	// Env are KEY=value pairs.
	Env []string
	// Labels are the image's labels.
	Labels map[string]string
	// WorkingDir is the folder that the entrypoint starts in; default "/".
	WorkingDir string
	// Architecture is Go's name of the CPU architecture; default the running one.
	Architecture string
}

// A File is one entry of an image's layer, owned by root.
type File struct {
	// Path is the absolute path in the image.
	Path string
	// Source is the file on this machine. It is read when the image is written, and must
	// not change meanwhile. Empty for a folder.
	Source string
	// Mode holds the permission bits; default 0644. With fs.ModeDir the entry is an
	// (empty) folder, whose default is 0755; fs.ModeSticky is honoured.
	Mode fs.FileMode
}

// caBundles are the places where distributions keep the CA certificates.
var caBundles = []string{"/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt"}

// CACertificates is this machine's CA certificates as a file of an image, at the place
// where Go's crypto/x509 looks first, or nothing where the machine has none.
func CACertificates() []File {
	for _, path := range caBundles {
		if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() {
			return []File{{Path: caBundles[0], Source: path, Mode: 0o644}}
		}
	}
	return nil
}

// Write writes the image to the file at path, which appears whole or not at all.
func Write(path string, img Image) error {
	tag, err := name.NewTag(img.Name, name.StrictValidation)
	if err != nil {
		return fmt.Errorf("image name: %w", err)
	}
	built, err := build(img)
	if err != nil {
		return fmt.Errorf("image %s: %w", img.Name, err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return fmt.Errorf("image %s: %w", img.Name, err)
	}
	tmp, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".tmp-*")
	if err != nil {
		return fmt.Errorf("image %s: %w", img.Name, err)
	}
	defer os.Remove(tmp.Name()) // fails, as it should, once the file has its own name
	err = errors.Join(tarball.Write(tag, built, tmp), tmp.Chmod(0o644), tmp.Close())
	if err == nil {
		err = os.Rename(tmp.Name(), path)
	}
	if err != nil {
		return fmt.Errorf("image %s: %w", img.Name, err)
	}
	return nil
}

func build(img Image) (v1.Image, error) {
	layer, err := newLayer(img.Files)
	if err != nil {
		return nil, err
	}
	built, err := mutate.AppendLayers(empty.Image, layer)
	if err != nil {
		return nil, err
	}
	config, err := built.ConfigFile()
	if err != nil {
		return nil, err
	}
	config = config.DeepCopy()
	config.OS = "linux"
	config.Architecture = img.Architecture
	if config.Architecture == "" {
		config.Architecture = runtime.GOARCH
	}
	config.Created = v1.Time{Time: time.Unix(0, 0).UTC()}
	config.Config = v1.Config{
		User:       img.User,
		Entrypoint: img.Entrypoint,
		Cmd:        img.Cmd,
		Env:        img.Env,
		Labels:     img.Labels,
		WorkingDir: img.WorkingDir,
	}
	return mutate.ConfigFile(built, config)
}
