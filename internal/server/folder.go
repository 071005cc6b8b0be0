//go:build unix

package server

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

const (
	folderPrefix = "tandem-"
	lockName     = "lock"
	// pathMax keeps <folder>/.s.PGSQL.5432.lock within the 103 bytes that a
	// socket address has on every unix (Linux: 107).
	pathMax = 84
)

// folder holds the data, socket and log of a server. It is locked while the
// process that made it lives, so that the next one can tell it from a left one.
type folder struct {
	path string
	lock *os.File
}

// newFolder makes a folder that belongs to id, in memory if there is room.
func newFolder(id *syscall.Credential) (*folder, error) {
	var all error
	for _, base := range bases() {
		sweep(base)
		f, err := makeFolder(base, id)
		if err == nil {
			return f, nil
		}
		all = errors.Join(all, err)
	}
	return nil, fmt.Errorf("no folder for the data: %w", all)
}

// bases returns where folders can be, best first.
func bases() []string {
	var dirs []string
	if roomy("/dev/shm") {
		dirs = append(dirs, "/dev/shm")
	}
	if tmp := os.TempDir(); len(tmp) < pathMax-len(folderPrefix)-11 { // MkdirTemp adds up to 10 digits
		dirs = append(dirs, tmp)
	}
	return append(dirs, "/tmp")
}

// makeFolder makes a locked folder in base.
func makeFolder(base string, id *syscall.Credential) (*folder, error) {
	path, err := os.MkdirTemp(base, folderPrefix)
	if err != nil {
		return nil, err
	}
	f := &folder{path: path}
	if f.lock, err = newLock(path); err != nil {
		return nil, errors.Join(err, f.remove())
	}
	if id != nil {
		if err := os.Chown(path, int(id.Uid), int(id.Gid)); err != nil {
			return nil, errors.Join(err, f.remove())
		}
	}
	return f, nil
}

// newLock makes the lock file. It gets its name when it is locked already:
// a sweep must not find it free.
func newLock(path string) (*os.File, error) {
	lock, err := os.CreateTemp(path, "new")
	if err != nil {
		return nil, err
	}
	if err = syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err == nil {
		err = os.Rename(lock.Name(), filepath.Join(path, lockName))
	}
	if err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	return lock, nil
}

// sweep removes the folders in base whose process was killed. What belongs to
// others, and cannot be opened or removed, stays.
func sweep(base string) {
	paths, _ := filepath.Glob(filepath.Join(base, folderPrefix+"*"))
	for _, path := range paths {
		name := filepath.Join(path, lockName)
		lock, err := os.OpenFile(name, os.O_RDWR|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
		if err != nil {
			continue
		}
		if syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) == nil {
			_ = os.RemoveAll(path)
		}
		_ = lock.Close()
	}
}

func (f *folder) data() string { return filepath.Join(f.path, "data") }

// log opens the server's log to append to it. It is opened here, by us, and
// needs no right of the server's user.
func (f *folder) log() (*os.File, error) {
	return os.OpenFile(filepath.Join(f.path, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
}

// logTail returns the end of the log.
func (f *folder) logTail() string {
	var t tail
	all, err := os.ReadFile(filepath.Join(f.path, "log"))
	if err != nil {
		return err.Error()
	}
	_, _ = t.Write(all)
	return t.String()
}

// remove removes the folder, then frees its lock.
func (f *folder) remove() error {
	err := os.RemoveAll(f.path)
	if f.lock != nil {
		err = errors.Join(err, f.lock.Close())
	}
	return err
}
