package main

import (
	"errors"
	"os"
	"strings"
	"syscall"

	"resilience/internal/store"
)

// logsOf is the folder for the output of what a run starts, by the path of its
// record. The run holds a lock on it for as long as it lives.
func logsOf(record string) string { return strings.TrimSuffix(record, store.Extension) + ".logs" }

// showAlive lets others see that a run goes on, until hide is called or this
// process ends, however that comes about. Where that is not possible nobody can
// tell, and the run goes on all the same.
func showAlive(record string) (hide func()) {
	if os.MkdirAll(logsOf(record), 0o755) != nil {
		return func() {}
	}
	folder, err := os.Open(logsOf(record))
	if err != nil {
		return func() {}
	}
	_ = syscall.Flock(int(folder.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	return func() { _ = folder.Close() }
}

// signOfLife says whether a run that has not written its end goes on, as far as
// that can be known: the record may be a copy, or its folder on a file system
// without locks.
func signOfLife(record string) string {
	folder, err := os.Open(logsOf(record))
	if err == nil {
		defer folder.Close() // and with it the lock
		err = syscall.Flock(int(folder.Fd()), syscall.LOCK_SH|syscall.LOCK_NB)
	}
	switch {
	case err == nil:
		return "the run was killed"
	case errors.Is(err, syscall.EWOULDBLOCK):
		return "the run is not over yet"
	}
	return "the run was killed, or is not over yet"
}
