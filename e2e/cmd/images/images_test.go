package main

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/stretchr/testify/require"

	"github.com/jawaracloud/pubsub-operator/e2e/imagetar"
)

// unpack writes an image and reads it back from the tar: its files to a folder, and each
// one's mode and size by its path in the image.
func unpack(t *testing.T, image imagetar.Image) (dir string, headers map[string]*tar.Header) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "image.tar")
	require.NoError(t, imagetar.Write(path, image))
	img, err := tarball.ImageFromPath(path, nil)
	require.NoError(t, err)
	content := mutate.Extract(img)
	defer content.Close()
	dir, headers = t.TempDir(), map[string]*tar.Header{}
	for reader := tar.NewReader(content); ; {
		header, err := reader.Next()
		if errors.Is(err, io.EOF) {
			return dir, headers
		}
		require.NoError(t, err)
		name := "/" + strings.TrimSuffix(header.Name, "/")
		headers[name] = header
		target := filepath.Join(dir, name)
		if header.Typeflag == tar.TypeDir {
			require.NoError(t, os.MkdirAll(target, 0o755))
			continue
		}
		file, err := os.OpenFile(target, os.O_CREATE|os.O_WRONLY, os.FileMode(header.Mode))
		require.NoError(t, err)
		_, err = io.Copy(file, reader)
		require.NoError(t, errors.Join(err, file.Close()))
	}
}

// The program in the image is static, executable and of the version that was asked for.
func TestPublisherImageRuns(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("images hold Linux programs")
	}
	programs := t.TempDir()
	version := "v1.2.3-test"
	require.NoError(t, buildPrograms(t.Context(), filepath.Join("..", "..", ".."), programs, version, []string{"publisher"}))
	for _, p := range products {
		for _, program := range p.programs {
			if program != "publisher" { // the others are not looked at
				require.NoError(t, os.WriteFile(filepath.Join(programs, program), nil, 0o600))
			}
		}
	}
	images, err := productImages(programs, version)
	require.NoError(t, err)
	dir, headers := unpack(t, images["publisher.tar"])
	require.EqualValues(t, 0o755, headers["/publisher"].Mode)
	passwd, err := os.ReadFile(filepath.Join(dir, "etc", "passwd"))
	require.NoError(t, err)
	require.Contains(t, string(passwd), "nonroot:x:65532:65532:")
	if len(imagetar.CACertificates()) > 0 {
		require.Contains(t, headers, "/etc/ssl/certs/ca-certificates.crt")
	}
	out, err := exec.Command(filepath.Join(dir, "publisher"), "--version").CombinedOutput()
	require.NoError(t, err, string(out))
	require.Equal(t, version+"\n", string(out))
	_, err = exec.Command("ldd", filepath.Join(dir, "publisher")).Output()
	require.Error(t, err, "it needs no libraries")
}

// Each program under cmd tells its version without any setting: in an empty environment.
func TestProgramsTellTheirVersion(t *testing.T) {
	source := filepath.Join("..", "..", "..")
	mains, err := filepath.Glob(filepath.Join(source, "cmd", "*", "main.go"))
	require.NoError(t, err)
	require.NotEmpty(t, mains)
	var programs []string
	for _, path := range mains {
		programs = append(programs, filepath.Base(filepath.Dir(path)))
	}
	out, version := t.TempDir(), "v1.2.3-test"
	require.NoError(t, buildPrograms(t.Context(), source, out, version, programs))
	for _, program := range programs {
		cmd := exec.CommandContext(t.Context(), filepath.Join(out, program), "--version")
		cmd.Env = []string{}
		told, err := cmd.CombinedOutput()
		require.NoError(t, err, "%s --version: %s", program, told)
		require.Equal(t, version+"\n", string(told), program)
	}
}

// The server in the image runs with nothing but what the image holds.
func TestRedisImageRuns(t *testing.T) {
	image, err := redisImage(t.Context())
	require.NoError(t, err)
	dir, headers := unpack(t, image)
	require.EqualValues(t, 0o1777, headers["/data"].Mode)
	if os.Getuid() != 0 {
		t.Skip("only root may change the root directory to see whether the image is complete")
	}
	for _, program := range []string{"redis-server", "redis-cli"} {
		var out bytes.Buffer
		cmd := exec.Command("chroot", dir, "/usr/bin/"+program, "--version")
		cmd.Stdout, cmd.Stderr = &out, &out
		require.NoError(t, cmd.Run(), out.String())
		require.Regexp(t, `\d+\.\d+\.\d+`, out.String())
	}
}
