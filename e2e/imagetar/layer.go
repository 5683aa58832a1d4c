package imagetar

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// A layer is an uncompressed layer that is streamed from its files each time that it is
// read: a Go binary is not worth compressing for the one import that it is made for.
type layer struct {
	entries []File
	hash    v1.Hash
	size    int64
}

var _ v1.Layer = (*layer)(nil)

func newLayer(files []File) (*layer, error) {
	entries, err := withParents(files)
	if err != nil {
		return nil, err
	}
	l := &layer{entries: entries}
	content, err := l.Uncompressed()
	if err != nil {
		return nil, err
	}
	defer content.Close()
	if l.hash, l.size, err = v1.SHA256(content); err != nil {
		return nil, err
	}
	return l, nil
}

func (l *layer) Digest() (v1.Hash, error)            { return l.hash, nil }
func (l *layer) DiffID() (v1.Hash, error)            { return l.hash, nil }
func (l *layer) Size() (int64, error)                { return l.size, nil }
func (l *layer) MediaType() (types.MediaType, error) { return types.DockerUncompressedLayer, nil }
func (l *layer) Compressed() (io.ReadCloser, error)  { return l.Uncompressed() }
func (l *layer) Uncompressed() (io.ReadCloser, error) {
	reader, writer := io.Pipe()
	// Ends when all is read or when the reader is closed, which fails the next write.
	go func() { writer.CloseWithError(writeTar(writer, l.entries)) }()
	return reader, nil
}

// withParents returns the entries sorted by path, with a folder for each parent that is
// not given: some runtimes create a missing parent with mode 0700.
func withParents(files []File) ([]File, error) {
	byPath := map[string]File{}
	for _, f := range files {
		if !path.IsAbs(f.Path) || path.Clean(f.Path) != f.Path || f.Path == "/" {
			return nil, fmt.Errorf("file %q: the path must be absolute and clean", f.Path)
		}
		if _, twice := byPath[f.Path]; twice {
			return nil, fmt.Errorf("file %s is given twice", f.Path)
		}
		if f.Mode.IsDir() != (f.Source == "") {
			return nil, fmt.Errorf("file %s: a file needs a source and a folder can't have one", f.Path)
		}
		byPath[f.Path] = f
	}
	for _, f := range files {
		for dir := path.Dir(f.Path); dir != "/"; dir = path.Dir(dir) {
			parent, found := byPath[dir]
			if !found {
				byPath[dir] = File{Path: dir, Mode: fs.ModeDir | 0o755}
			} else if !parent.Mode.IsDir() {
				return nil, fmt.Errorf("file %s: %s is not a folder", f.Path, dir)
			}
		}
	}
	entries := make([]File, 0, len(byPath))
	for _, f := range byPath {
		entries = append(entries, f)
	}
	slices.SortFunc(entries, func(a, b File) int { return strings.Compare(a.Path, b.Path) })
	return entries, nil
}

func writeTar(w io.Writer, entries []File) error {
	archive := tar.NewWriter(w)
	for _, f := range entries {
		if err := writeEntry(archive, f); err != nil {
			return fmt.Errorf("%s: %w", f.Path, err)
		}
	}
	return archive.Close()
}

func writeEntry(archive *tar.Writer, f File) error {
	// A fixed time and owner: the layer's digest must depend on content alone.
	header := &tar.Header{
		Format:  tar.FormatPAX,
		Name:    strings.TrimPrefix(f.Path, "/"),
		Mode:    permissions(f.Mode),
		ModTime: time.Unix(0, 0),
	}
	if f.Mode.IsDir() {
		header.Typeflag = tar.TypeDir
		header.Name += "/"
		return archive.WriteHeader(header)
	}
	source, err := os.Open(f.Source)
	if err != nil {
		return err
	}
	defer source.Close()
	info, err := source.Stat()
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return errors.New(f.Source + " is not a regular file")
	}
	header.Typeflag, header.Size = tar.TypeReg, info.Size()
	if err := archive.WriteHeader(header); err != nil {
		return err
	}
	_, err = io.Copy(archive, source)
	return err
}

// permissions are the bits of a tar header, whose sticky bit is not where Go keeps it.
func permissions(mode fs.FileMode) int64 {
	perm := int64(mode.Perm())
	if perm == 0 {
		perm = 0o644
		if mode.IsDir() {
			perm = 0o755
		}
	}
	if mode&fs.ModeSticky != 0 {
		perm |= 0o1000
	}
	return perm
}
