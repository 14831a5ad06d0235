package osdisk

import "golang.org/x/sys/unix"

// spaceOf counts as usable what others than root may write.
func spaceOf(path string) (total, usable int64, err error) {
	var s unix.Statfs_t
	if err := unix.Statfs(path, &s); err != nil {
		return -1, -1, err
	}
	return int64(s.Blocks) * s.Frsize, int64(s.Bavail) * s.Frsize, nil
}
