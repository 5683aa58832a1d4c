// Command images builds the project's container images as tars, without a container
// engine: the same programs, paths, user and labels as the Dockerfile has. Beside them it
// packs this machine's redis-server, so that tests can run a real Redis as a pod, and the handler
// that accounts for their messages.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/jawaracloud/pubsub-operator/e2e/imagetar"
)

// nonroot is the user of distroless images.
const nonroot = "65532:65532"

// product is one image (a containerd node needs the registry in its name, which a pod need not
// spell out) and the programs that it holds; the first is the entrypoint.
type product struct {
	tar        string
	repository string
	programs   []string
}

var products = []product{
	{"operator.tar", "docker.io/jawaracloud/pubsub-operator", []string{"controller", "scaler"}},
	{"subscriber.tar", "docker.io/jawaracloud/subscriber", []string{"subscriber"}},
	{"publisher.tar", "docker.io/jawaracloud/publisher", []string{"publisher"}},
}

func main() {
	out := flag.String("out", "../dist/images", "folder that gets the tars")
	version := flag.String("version", "dev", "tag of the images, and the programs' version")
	source := flag.String("source", "..", "folder of the product's module")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *source, *out, *version); err != nil {
		fmt.Fprintln(os.Stderr, "images:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, source, out, version string) error {
	began := time.Now()
	if err := os.MkdirAll(out, 0o750); err != nil {
		return err
	}
	programs, err := os.MkdirTemp(out, "build-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(programs) }() // a leftover is in the way of nobody
	fmt.Printf("building the programs, version %s (about 2 minutes the first time, then seconds)\n", version)
	if err := build(ctx, source, programs, version); err != nil {
		return err
	}
	images, err := productImages(programs, version)
	if err != nil {
		return err
	}
	redis, err := redisImage(ctx)
	if err != nil {
		return err
	}
	images["redis.tar"] = redis
	if images["handler.tar"], err = handlerImage(ctx, source, programs); err != nil {
		return err
	}
	for name, image := range images {
		path := filepath.Join(out, name)
		if err := imagetar.Write(path, image); err != nil {
			return fmt.Errorf("writing %s: %w", path, err)
		}
		fmt.Printf("[%3.0f s] %s: %s\n", time.Since(began).Seconds(), name, image.Name)
	}
	return nil
}

// productImages describes the images of the programs in that folder.
func productImages(programs, version string) (map[string]imagetar.Image, error) {
	passwd := filepath.Join(programs, "passwd")
	if err := os.WriteFile(passwd, []byte("root:x:0:0:root:/root:/sbin/nologin\nnonroot:x:65532:65532:nonroot:/home/nonroot:/sbin/nologin\n"), 0o600); err != nil {
		return nil, err
	}
	images := map[string]imagetar.Image{}
	for _, p := range products {
		image := imagetar.Image{
			Name:       p.repository + ":" + version,
			Files:      append(imagetar.CACertificates(), imagetar.File{Path: "/etc/passwd", Source: passwd}),
			User:       nonroot,
			Entrypoint: []string{"/" + p.programs[0]},
			Labels: map[string]string{
				"org.opencontainers.image.title":    filepath.Base(p.repository),
				"org.opencontainers.image.version":  version,
				"org.opencontainers.image.source":   "https://github.com/jawaracloud/pubsub-operator",
				"org.opencontainers.image.licenses": "MIT",
			},
		}
		for _, program := range p.programs {
			image.Files = append(image.Files, imagetar.File{Path: "/" + program, Source: filepath.Join(programs, program), Mode: 0o755})
		}
		images[p.tar] = image
	}
	return images, nil
}
