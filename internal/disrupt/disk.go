package disrupt

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"

	"resilience/internal/plan"
)

// filling fills the file system of a folder with a file that has no name: its
// blocks are free again once its process has ended, however that came about.
type filling struct {
	stressOrder
	file *os.File
	size int64
}

const (
	fillAgain = 250 * time.Millisecond // how often it is looked for space that others freed
	fillPart  = 64 << 10               // bytes; less than that is not worth asking for
	// sparedDisk is what stays free of a disk that the harness or the system
	// itself needs, in bytes.
	sparedDisk = 1 << 30
)

func (f *filling) begin() (uint64, error) {
	file, err := os.CreateTemp(f.Dir, ".resilience-disk-")
	if err != nil {
		return 0, fmt.Errorf("a file to fill the disk with: %w", err)
	}
	if err := os.Remove(file.Name()); err != nil {
		return 0, err
	}
	f.file = file
	if inMemory(f.Dir) {
		if err := sacrifice(); err != nil {
			return 0, fmt.Errorf("make sure that memory is freed here first when it runs out: %w", err)
		}
	}
	if err := spareMemory(f.Dir, f.Leave); err != nil {
		return 0, err
	}
	free, err := freeSpace(f.Dir)
	if err != nil {
		return 0, err
	}
	if free <= f.Leave {
		return 0, fmt.Errorf("only %d bytes are free in %s already", free, f.Dir)
	}
	return free - f.Leave, f.fill()
}

// fill takes what is free beyond what shall stay so.
func (f *filling) fill() error {
	for {
		free, err := freeSpace(f.Dir)
		if err != nil {
			return err
		}
		if free < f.Leave+fillPart {
			return nil
		}
		part := int64(min(free-f.Leave, 1<<30)) //nolint:gosec // bounded
		for err = allocate(f.file, f.size, part); errors.Is(err, syscall.ENOSPC) && part > fillPart; part /= 2 {
			err = allocate(f.file, f.size, part/2)
		}
		if errors.Is(err, syscall.ENOSPC) { // the rest is what the file system needs for itself
			return nil
		}
		if err != nil {
			return fmt.Errorf("fill the disk of %s: %w", f.Dir, err)
		}
		f.size += part
	}
}

func (f *filling) keepUp(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(fillAgain):
			_ = f.fill() // what is taken already weighs
		}
	}
}

// weighed is what the file occupies.
func (f *filling) weighed() uint64 {
	var is syscall.Stat_t
	if err := syscall.Fstat(int(f.file.Fd()), &is); err != nil {
		return 0
	}
	return uint64(is.Blocks) * 512 //nolint:gosec // never negative
}

// freeSpace is what an ordinary user can still write to the file system of a
// folder, in bytes.
func freeSpace(dir string) (uint64, error) {
	var fs syscall.Statfs_t
	if err := syscall.Statfs(dir, &fs); err != nil {
		return 0, fmt.Errorf("look how full the disk of %s is: %w", dir, err)
	}
	return fs.Bavail * uint64(fs.Bsize), nil //nolint:gosec,unconvert // never negative; its type differs by system
}

// writeZeros fills a part of a file.
func writeZeros(f *os.File, from, n int64) error {
	zeros := make([]byte, min(n, 1<<20))
	for end := from + n; from < end; {
		wrote, err := f.WriteAt(zeros[:min(int64(len(zeros)), end-from)], from)
		from += int64(wrote)
		if err != nil {
			return err
		}
	}
	return f.Sync()
}

// spareDisk refuses to fill the disk that the record of the run, the plan or
// the system itself is on, unless enough stays free.
func spareDisk(dir string, leave plan.Size, s Site) error {
	info, err := os.Stat(dir)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return plan.Misfitf("the folder that shall be full: %v", err)
	case err != nil:
		return fmt.Errorf("the folder that shall be full: %w", err)
	case !info.IsDir():
		return plan.Misfitf("%s is not a folder", dir)
	case leave >= sparedDisk:
		return nil
	}
	device, err := deviceOf(dir)
	if err != nil {
		return err
	}
	for what, other := range map[string]string{
		"the system": "/", "temporary files": os.TempDir(), "the record of this run": ".", "the plan": s.Dir,
	} {
		if same, err := deviceOf(other); err == nil && same == device {
			return plan.Misfitf("%s is on the same disk as %s (%s): leave at least 1GiB, or use a folder on a disk of its own", dir, what, other)
		}
	}
	return nil
}

// spareMemory refuses to fill a disk that is kept in memory beyond what there is
// to spare of that: such a disk may have a size that is all of it.
func spareMemory(dir string, leave uint64) error {
	if !inMemory(dir) {
		return nil
	}
	free, err := freeSpace(dir)
	if err != nil {
		return err
	}
	if _, err := memoryToTake(free-min(free, leave), 0); err != nil {
		return fmt.Errorf("the disk of %s is kept in memory, mount it with a smaller size or leave more: %w", dir, err)
	}
	return nil
}

func deviceOf(path string) (uint64, error) {
	var is syscall.Stat_t
	if err := syscall.Stat(path, &is); err != nil {
		return 0, fmt.Errorf("look at %s: %w", path, err)
	}
	return uint64(is.Dev), nil //nolint:gosec,unconvert // its type differs by system
}
