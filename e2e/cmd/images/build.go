package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/jawaracloud/pubsub-operator/e2e/imagetar"
)

// build compiles the programs with the flags of the Dockerfile: static, so that they run
// in an image that holds nothing else.
func build(ctx context.Context, source, out, version string) error {
	var programs []string
	for _, p := range products {
		programs = append(programs, p.programs...)
	}
	return buildPrograms(ctx, source, out, version, programs)
}

func buildPrograms(ctx context.Context, source, out, version string, programs []string) error {
	out, err := filepath.Abs(out)
	if err != nil {
		return err
	}
	args := []string{"build", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w -X main.version=" + version, "-o", out + "/"}
	for _, program := range programs {
		args = append(args, "./cmd/"+program)
	}
	command := exec.CommandContext(ctx, "go", args...)
	command.Dir = source
	command.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux")
	command.Stdout, command.Stderr = os.Stdout, os.Stderr
	if err := command.Run(); err != nil {
		return fmt.Errorf("go %s: %w", strings.Join(args, " "), err)
	}
	return nil
}

// handlerName is the image of the tests' handler (e2e/cmd/handler).
const handlerName = "docker.io/pubsub-operator-e2e/handler:e2e"

// handlerImage builds the tests' handler, whose module is the one that this program is of.
func handlerImage(ctx context.Context, source, out string) (imagetar.Image, error) {
	const program = "handler"
	err := buildPrograms(ctx, filepath.Join(source, "e2e"), out, "dev", []string{program})
	return imagetar.Image{
		Name: handlerName, User: nonroot, Entrypoint: []string{"/" + program},
		Files: []imagetar.File{{Path: "/" + program, Source: filepath.Join(out, program), Mode: 0o755}},
	}, err
}

// redisName is the image of the tests' Redis.
const redisName = "docker.io/pubsub-operator-e2e/redis:debian"

// redisImage packs the machine's redis-server and redis-cli with the libraries that they
// are linked with.
func redisImage(ctx context.Context) (imagetar.Image, error) {
	image := imagetar.Image{Name: redisName, User: nonroot, Entrypoint: []string{"/usr/bin/redis-server"}}
	packed := map[string]bool{}
	for _, program := range []string{"redis-server", "redis-cli"} {
		path, err := exec.LookPath(program)
		if err != nil {
			return imagetar.Image{}, fmt.Errorf("%s is missing, which the tests' Redis is made from (make test-packages installs it): %w", program, err)
		}
		real, err := filepath.EvalSymlinks(path)
		if err != nil {
			return imagetar.Image{}, err
		}
		image.Files = append(image.Files, imagetar.File{Path: "/usr/bin/" + program, Source: real, Mode: 0o755})
		libraries, err := librariesOf(ctx, real)
		if err != nil {
			return imagetar.Image{}, err
		}
		for _, library := range libraries {
			if packed[library] {
				continue
			}
			packed[library] = true
			if real, err = filepath.EvalSymlinks(library); err != nil {
				return imagetar.Image{}, err
			}
			image.Files = append(image.Files, imagetar.File{Path: library, Source: real, Mode: 0o755})
		}
	}
	// A folder that a pod of any user can write to, for a server without a volume.
	image.Files = append(image.Files, imagetar.File{Path: "/data", Mode: fs.ModeDir | fs.ModeSticky | 0o777})
	image.WorkingDir = "/data"
	return image, nil
}

// librariesOf lists the shared libraries and the loader of a program, as ldd prints them:
// "libm.so.6 => /lib/x86_64-linux-gnu/libm.so.6 (0x…)" or "/lib64/ld-linux-x86-64.so.2 (0x…)".
func librariesOf(ctx context.Context, program string) ([]string, error) {
	out, err := exec.CommandContext(ctx, "ldd", program).CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("ldd %s: %w: %s", program, err, bytes.TrimSpace(out))
	}
	return parseLDD(program, string(out))
}

func parseLDD(program, out string) ([]string, error) {
	var libraries []string
	for line := range strings.Lines(out) {
		if strings.Contains(line, "not found") {
			return nil, fmt.Errorf("%s lacks a library: %s", program, strings.TrimSpace(line))
		}
		for _, word := range strings.Fields(line) {
			if strings.HasPrefix(word, "/") {
				libraries = append(libraries, word)
			}
		}
	}
	if len(libraries) == 0 {
		return nil, errors.New("ldd names no library of " + program)
	}
	return libraries, nil
}
