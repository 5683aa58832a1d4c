package cluster

import "syscall"

// unmount takes a mount away at once, even where something still uses it.
func unmount(path string) error { return syscall.Unmount(path, syscall.MNT_DETACH) }

// fsMagic is the kind of the file system that holds the path, see statfs(2); 0 if unknown.
func fsMagic(path string) int64 {
	var fs syscall.Statfs_t
	if err := syscall.Statfs(path, &fs); err != nil {
		return 0
	}
	return int64(fs.Type) //nolint:unconvert // it is an int32 on some architectures
}
