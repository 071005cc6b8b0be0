//go:build unix && !linux

package server

import "syscall"

// attributes keeps Ctrl-C at the terminal from the server: Close stops it.
// Only Linux can end it together with its parent.
func attributes(id *syscall.Credential) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Credential: id, Setpgid: true}
}

// roomy is asked for /dev/shm, which only Linux has.
func roomy(string) bool { return false }
