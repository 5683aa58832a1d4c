package imagetar

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/validate"
)

type entry struct {
	mode    int64
	content string
}

func TestWriteRoundTrip(t *testing.T) {
	dir := t.TempDir()
	source := filepath.Join(dir, "program")
	if err := os.WriteFile(source, []byte("the program"), 0o600); err != nil {
		t.Fatal(err)
	}
	want := Image{
		Name: "e2e.local/program:1.2.3",
		Files: []File{
			{Path: "/opt/bin/program", Source: source, Mode: 0o755},
			{Path: "/tmp", Mode: fs.ModeDir | fs.ModeSticky | 0o777},
			{Path: "/etc/program.conf", Source: source},
		},
		User:       "65532:65532",
		Entrypoint: []string{"/opt/bin/program", "--flag"},
		Env:        []string{"A=b"},
		Labels:     map[string]string{"k": "v"},
	}
	path := filepath.Join(dir, "image.tar")
	if err := Write(path, want); err != nil {
		t.Fatal(err)
	}

	tag, err := name.NewTag(want.Name)
	if err != nil {
		t.Fatal(err)
	}
	img, err := tarball.ImageFromPath(path, &tag)
	if err != nil {
		t.Fatal(err)
	}
	if err := validate.Image(img); err != nil {
		t.Error(err)
	}
	config, err := img.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	got := Image{
		Name: want.Name, Files: want.Files,
		User: config.Config.User, Entrypoint: config.Config.Entrypoint,
		Env: config.Config.Env, Labels: config.Config.Labels,
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("configuration: got %+v, want %+v", got, want)
	}
	if config.OS != "linux" || config.Architecture != runtime.GOARCH {
		t.Errorf("platform: got %s/%s", config.OS, config.Architecture)
	}
	files := extract(t, img)
	wantFiles := map[string]entry{
		"etc": {0o755, ""}, "etc/program.conf": {0o644, "the program"},
		"opt": {0o755, ""}, "opt/bin": {0o755, ""}, "opt/bin/program": {0o755, "the program"},
		"tmp": {0o1777, ""},
	}
	if !reflect.DeepEqual(files, wantFiles) {
		t.Errorf("files: got %+v, want %+v", files, wantFiles)
	}
}

// extract returns the files of an image by their names.
func extract(t *testing.T, img v1.Image) map[string]entry {
	t.Helper()
	files := map[string]entry{}
	content := mutate.Extract(img)
	defer content.Close()
	for archive := tar.NewReader(content); ; {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return files
		}
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(archive)
		if err != nil {
			t.Fatal(err)
		}
		files[header.Name] = entry{header.Mode, string(data)}
	}
}

func TestWriteIsReproducible(t *testing.T) {
	var tars [2][]byte
	for i := range tars {
		dir := t.TempDir() // another folder and other file times
		source := filepath.Join(dir, "program")
		if err := os.WriteFile(source, bytes.Repeat([]byte{1}, 100_000), 0o755); err != nil {
			t.Fatal(err)
		}
		files := []File{{Path: "/a", Source: source}, {Path: "/b/c", Source: source}}
		if i == 1 {
			files[0], files[1] = files[1], files[0]
		}
		path := filepath.Join(dir, "image.tar")
		if err := Write(path, Image{Name: "e2e.local/x:1", Files: files}); err != nil {
			t.Fatal(err)
		}
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		tars[i] = data
	}
	if !bytes.Equal(tars[0], tars[1]) {
		t.Error("the same image was written as different bytes")
	}
}

func TestWriteRefuses(t *testing.T) {
	source := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(source, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for label, img := range map[string]Image{
		"no tag":          {Name: "e2e.local/x"},
		"relative path":   {Name: "e2e.local/x:1", Files: []File{{Path: "a", Source: source}}},
		"unclean path":    {Name: "e2e.local/x:1", Files: []File{{Path: "/a/../b", Source: source}}},
		"twice":           {Name: "e2e.local/x:1", Files: []File{{Path: "/a", Source: source}, {Path: "/a", Source: source}}},
		"file as folder":  {Name: "e2e.local/x:1", Files: []File{{Path: "/a", Source: source}, {Path: "/a/b", Source: source}}},
		"missing source":  {Name: "e2e.local/x:1", Files: []File{{Path: "/a", Source: source + "x"}}},
		"no source":       {Name: "e2e.local/x:1", Files: []File{{Path: "/a"}}},
		"folder's source": {Name: "e2e.local/x:1", Files: []File{{Path: "/a", Source: filepath.Dir(source), Mode: 0o644}}},
	} {
		path := filepath.Join(t.TempDir(), "image.tar")
		if err := Write(path, img); err == nil {
			t.Errorf("%s: no error", label)
		}
		if left, _ := filepath.Glob(path + "*"); len(left) > 0 {
			t.Errorf("%s: left %v", label, left)
		}
	}
}
