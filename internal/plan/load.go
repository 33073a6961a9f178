package plan

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
)

// Options are what a plan is read with. The zero value reads from the
// operating system.
type Options struct {
	// Vars are the values of --var; they come before the environment.
	Vars map[string]string
	// Getenv looks up a variable of the environment; nil means os.LookupEnv.
	Getenv func(name string) (string, bool)
	// ReadFile reads the plan and what it includes; nil means from the disk.
	// More than 1 MiB need not be read.
	ReadFile func(path string) ([]byte, error)
	// Scenarios reports whether a script with this name is built in; nil
	// means that there are none.
	Scenarios func(name string) bool
	// Recorded says that the plan comes from the record of a run: the files
	// that it names may be gone, and nobody looks for them.
	Recorded bool
	// Dir is where relative paths start; "" means the folder of the plan, or
	// the working directory with [Parse].
	Dir string
}

func (o Options) lookup(name string) (string, bool) {
	if value, ok := o.Vars[name]; ok {
		return value, true
	}
	if o.Getenv == nil {
		return os.LookupEnv(name)
	}
	return o.Getenv(name)
}

func (o Options) read(path string) ([]byte, error) {
	if o.ReadFile != nil {
		return o.ReadFile(path)
	}
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, errors.New("not a file")
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // only read from
	return io.ReadAll(io.LimitReader(f, maxBytes+1))
}

// Load reads the plan in a file. What is wrong with it comes back as [Errors].
func Load(path string, opts Options) (Plan, error) {
	dir := opts.Dir
	if dir == "" {
		dir = filepath.Dir(path)
	}
	data, err := opts.read(path)
	if err != nil {
		return Plan{}, Errors{{File: path, Line: 1, Column: 1, Message: "the plan can not be read: " + reason(err)}}
	}
	return load(path, dir, data, opts)
}

// Parse reads a plan that is already in memory, such as one that [Resolved]
// wrote. Its places are in a file called "plan".
func Parse(data []byte, opts Options) (Plan, error) {
	return load("plan", opts.Dir, data, opts)
}

func load(name, dir string, data []byte, opts Options) (Plan, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return Plan{}, fmt.Errorf("the folder of the plan: %w", err)
	}
	var r report
	root := r.parse(name, data)
	if root == nil {
		return Plan{}, r.errs.ordered()
	}
	d := newDecoder(&r, opts, root)
	newIncluder(d, name, filepath.Dir(name), dir).all(root)
	plan := Plan{Dir: dir}
	d.value(root, reflect.ValueOf(&plan).Elem(), "", "")
	d.fillIn(&plan)
	d.validate(&plan)
	if err := r.errs.ordered(); err != nil {
		return Plan{}, err
	}
	plan.Include, plan.Defaults = nil, nil
	return plan, nil
}

// reason is why a file can not be read, without the path that is named anyway.
func reason(err error) string {
	var path *fs.PathError
	if errors.As(err, &path) {
		return path.Err.Error()
	}
	return err.Error()
}

// Locate gives the path of a file that a plan names: relative to the folder of
// the plan unless it is absolute.
func Locate(dir, path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(dir, path)
}
