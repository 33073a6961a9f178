package plan

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
)

// Traffic names what a phase sends and what it disrupts, so that only runs are
// compared that asked the same of the system: the SHA-256, in hexadecimal, of
// its tests and disruptions and of the contents of their scripts and data files
// below dir, with the files that those name by a relative path. Targets, gates
// and limits are not in it: a new version is what is to be compared.
func Traffic(p Phase, dir string) string {
	h := sha256.New()
	for _, part := range []any{p.Tests, p.Disruptions} {
		data, _ := json.Marshal(plainly(reflect.ValueOf(part))) // as in Digest
		h.Write(data)
	}
	for _, t := range p.Tests {
		if t.Canary != nil { // what it does is said elsewhere in the plan
			data, _ := json.Marshal(plainly(reflect.ValueOf(t.Canary.Tasks)))
			h.Write(data)
			data, _ = json.Marshal(plainly(reflect.ValueOf(t.Canary.Shape)))
			h.Write(data)
		}
	}
	seen := map[string]bool{}
	for _, t := range p.Tests {
		if t.Shadow != nil {
			hashRecording(h, Locate(dir, t.Shadow.Recording))
		}
		_, profile := t.Kind()
		for _, name := range []string{profile.Script, profile.Data} {
			if name != "" {
				hashFile(h, dir, name, seen)
			}
		}
	}
	return hex.EncodeToString(h.Sum(nil))
}

// recordingHead is how much of a recording tells it from others, in bytes. All of
// it may be gigabytes.
const recordingHead = 1 << 20

func hashRecording(h hash.Hash, path string) {
	f, err := os.Open(path)
	if err != nil {
		return
	}
	defer f.Close()
	_, _ = io.Copy(h, io.LimitReader(f, recordingHead))
	if info, err := f.Stat(); err == nil {
		fmt.Fprintf(h, ":%d", info.Size())
	}
}

// relative finds what a script imports or opens beside itself.
var relative = regexp.MustCompile(`["'](\.\.?/[^"'\n]+)["']`)

// hashFile adds a file and what it names. One that can not be read, such as a
// built-in script, is its name, which the tests hold.
func hashFile(h hash.Hash, dir, name string, seen map[string]bool) {
	path := name
	if !filepath.IsAbs(path) {
		path = filepath.Join(dir, name)
	}
	f, err := os.Open(path)
	if err != nil || seen[path] {
		return
	}
	defer f.Close()
	seen[path] = true
	var script bytes.Buffer
	into := io.Writer(h)
	if ext := filepath.Ext(path); ext == ".js" || ext == ".ts" || ext == ".mjs" {
		into = io.MultiWriter(h, &script)
	}
	n, _ := io.Copy(into, f)
	fmt.Fprintf(h, ":%d", n)
	for _, match := range relative.FindAllSubmatch(script.Bytes(), -1) {
		hashFile(h, filepath.Dir(path), string(match[1]), seen)
	}
}
