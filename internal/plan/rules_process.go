package plan

import (
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"
)

// knownServices wants names of services, or patterns that fit some.
func knownServices(c *checker, _ *Phase, d *Disruption) {
	if !c.given("services") || slices.Contains(c.bad, "services") {
		return
	}
	if len(d.Services) == 0 {
		c.wrong("services", "", "services wants at least one name")
		return
	}
	names := named(c.plan.Services)
	for _, wanted := range d.Services {
		_, err := path.Match(wanted, "")
		fits := slices.ContainsFunc(names, func(name string) bool {
			ok, _ := path.Match(wanted, name) // err says it
			return ok
		})
		switch {
		case err != nil:
			c.wrong("services", "write for example shop-*", "%q is no pattern", shorten(wanted))
		case !fits && strings.ContainsAny(wanted, `*?[\`):
			c.wrong("services", didYouMean(wanted, names), "no service has a name like %q", shorten(wanted))
		case !fits:
			c.wrong("services", didYouMean(wanted, names), "there is no service %q", shorten(wanted))
		}
	}
}

func validProcess(c *checker, _ *Phase, d *Disruption) {
	if d.Process == nil {
		return
	}
	at := c.under(".process")
	if at.given("pid_file") && (d.Process.PIDFile == "" || strings.ContainsRune(d.Process.PIDFile, 0)) {
		at.wrong("pid_file", "", "pid_file wants the path of a file")
	}
	if fault, _ := d.Fault(); d.Process.Start == "" && (fault == "kill" || fault == "restart") {
		at.wrong("", "give start: a command for the shell", "%s of a process wants start: nothing else can bring it back", fault)
	}
}

func validContainer(c *checker, _ *Phase, d *Disruption) {
	if d.Container == nil {
		return
	}
	at := c.under(".container")
	at.oneOf("container", "name", "label")
	if _, err := path.Match(d.Container.Name, ""); err != nil {
		at.wrong("name", "write for example shop-*", "%q is no pattern", shorten(d.Container.Name))
	}
	if socket, ok := strings.CutPrefix(d.Container.Engine, "unix://"); at.given("engine") && (!ok || !strings.HasPrefix(socket, "/")) {
		at.wrong("engine", "write for example unix:///var/run/docker.sock", "engine wants a Unix socket; got %q", shorten(d.Container.Engine))
	}
}

// killSignals are those that end a process unless it knows better.
var killSignals = []string{"KILL", "TERM", "INT", "QUIT", "HUP", "ABRT", "SEGV", "USR1", "USR2"}

func validKill(c *checker, _ *Phase, d *Disruption) {
	if d.Kill == nil {
		return
	}
	at := c.under(".kill")
	if at.given("signal") && !slices.Contains(killSignals, strings.TrimPrefix(d.Kill.Signal, "SIG")) {
		at.wrong("signal", "", "signal wants one of %s; got %q", choice(killSignals), shorten(d.Kill.Signal))
	}
	if at.given("grace") && d.Kubernetes == nil {
		at.wrongKey("grace", "give signal: TERM to ask first", "grace is for pods only")
	}
}

func validRestart(c *checker, _ *Phase, d *Disruption) {
	if d.Restart != nil && c.given("restart.gap") && !d.Restart.Rolling {
		c.under(".restart").wrongKey("gap", "add rolling: true", "a gap is between the restarts of a rolling one")
	}
}

func validCPU(c *checker, _ *Phase, d *Disruption) {
	if d.CPU == nil {
		return
	}
	at := c.under(".cpu")
	if at.given("load") && d.CPU.Load <= 0 {
		at.wrong("load", "", "load must be more than 0%%")
	}
	if at.given("cores") && (d.CPU.Cores < 1 || d.CPU.Cores > maxCores) {
		at.wrong("cores", "", "cores is 1 to %d; got %d", maxCores, d.CPU.Cores)
	}
}

const maxCores = 1024

func validMemory(c *checker, _ *Phase, d *Disruption) {
	if d.Memory == nil {
		return
	}
	at := c.under(".memory")
	at.oneOf("memory", "size", "fill")
	if at.given("size") && d.Memory.Size == 0 {
		at.wrong("size", "", "size must be more than 0B")
	}
	if at.given("fill") && (d.Memory.Fill <= 0 || d.Memory.Fill >= 1) {
		at.wrong("fill", "", "fill must be more than 0%% and less than 100%%")
	}
}

func validDisk(c *checker, _ *Phase, d *Disruption) {
	if d.Disk != nil && c.given("disk.dir") && (d.Disk.Dir == "" || strings.ContainsRune(d.Disk.Dir, 0)) {
		c.under(".disk").wrong("dir", "", "dir wants the path of a folder")
	}
}

func validExec(c *checker, _ *Phase, d *Disruption) {
	if d.Exec == nil {
		return
	}
	at := c.under(".exec")
	for key, command := range map[string]string{"inject": d.Exec.Inject, "lift": d.Exec.Lift, "verify": d.Exec.Verify} {
		if at.given(key) && strings.TrimSpace(command) == "" {
			at.wrong(key, "", "%s wants a command for the shell", key)
		}
	}
	at.variables("env", d.Exec.Env)
}

// keptName is what ${kept.NAME} may be called.
var keptName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_-]*$`)

// validHTTP wants calls that can be made; only the one that injects can keep
// something, and only the others can use it.
func validHTTP(c *checker, _ *Phase, d *Disruption) {
	if d.HTTP == nil {
		return
	}
	at := c.under(".http")
	at.under(".inject").call(d.HTTP.Inject, nil)
	keep := d.HTTP.Inject.Keep
	for _, name := range slices.Sorted(maps.Keys(keep)) {
		switch key := `inject.keep["` + name + `"]`; {
		case !keptName.MatchString(name):
			at.wrongKey(key, "", "a name to keep something under holds letters, digits, _ and - only; got %q", shorten(name))
		case strings.Trim(keep[name], ".") != keep[name] || keep[name] == "" || strings.Contains(keep[name], ".."):
			at.wrong(key, "", "keep wants dotted paths such as experiment.id; got %q", shorten(keep[name]))
		}
	}
	later := map[string]*Call{"lift": &d.HTTP.Lift, "verify": d.HTTP.Verify}
	for _, key := range []string{"lift", "verify"} {
		if call := later[key]; call != nil {
			at.under(".%s", key).call(*call, keep)
			if len(call.Keep) > 0 {
				at.wrongKey(key+".keep", "move it to inject", "only the call that injects can keep something")
			}
		}
	}
}

// call wants one call to be possible, with what is kept by then.
func (c *checker) call(call Call, kept map[string]string) {
	c.method(call.Method)
	c.headers("headers", call.Headers)
	address, _, _ := strings.Cut(call.URL, "?")
	c.url("url", address, "http", "https")
	if c.given("body") && c.given("json") {
		c.wrongKey("json", "keep one of the two", "a call can not have both body: and json:")
	}
	validExpect(c, &Request{Expect: call.Expect})
	_, err := Bind(call, func(name string) (string, bool) {
		name, is := strings.CutPrefix(name, "kept.")
		_, known := kept[name]
		if is && !known {
			c.wrong("", "name it in keep: of inject", "nothing is kept as %q by then", shorten(name))
		}
		return "", true
	})
	_ = err // placeholders have been looked at
}
