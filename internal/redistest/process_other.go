//go:build !linux

package redistest

import "os/exec"

// dieWithParent can't be had here: a test that is killed leaves its server.
func dieWithParent(*exec.Cmd) {}
