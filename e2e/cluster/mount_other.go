//go:build unix && !linux

package cluster

import "errors"

// Elsewhere only kind can run, which mounts nothing itself.

func unmount(string) error { return errors.ErrUnsupported }

func fsMagic(string) int64 { return 0 }
