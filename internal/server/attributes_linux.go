package server

import "syscall"

// roomyBytes is what a server may write: max_wal_size and as much data.
const roomyBytes = 4 << 30

// attributes makes the server end with the thread that starts it, and keeps
// Ctrl-C at the terminal from it: Close stops it.
func attributes(id *syscall.Credential) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Credential: id, Setpgid: true, Pdeathsig: syscall.SIGQUIT}
}

// roomy reports whether the file system of dir has space for a server. In a
// container /dev/shm is often of 64 MB.
func roomy(dir string) bool {
	var fs syscall.Statfs_t
	if err := syscall.Statfs(dir, &fs); err != nil {
		return false
	}
	return fs.Bavail*uint64(fs.Bsize) >= roomyBytes
}
