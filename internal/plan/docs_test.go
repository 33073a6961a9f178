package plan

import (
	"fmt"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"resilience/gates"
)

const (
	docsPath       = "../../docs/plan.md"
	canaryDocsPath = "../../docs/canary.md"
)

// docsIntro has ' where the page has a backquote.
const docsIntro = `# Plan reference

Every key of a plan, made from the types that read it ('go test ./internal/plan
-run Docs -update'). 'resilience schema' prints a JSON Schema for editors;
'resilience validate' says file, line and column of every mistake.

A plan is strict YAML: an unknown key is an error. Keys that begin with 'x-' at
the top are a place for anchors. '${VAR}' and '${VAR:-default}' take a variable
from '--var' or the environment; '$${' stands for '${'. Paths are relative to
the plan.

The column "may hold" lists the placeholders that are filled in while the plan
runs: 'services' and 'dependencies' stand for '${services.NAME.url}' and the
like ('url', 'host' or 'port'), 'secrets' for '${secrets.NAME}', 'port' for
'${port}' of the service itself, 'data' for '${data.COLUMN}' of the current row,
'query' for what a query is about ([telemetry](telemetry.md#placeholders)).

A duration is written with its unit ('300ms', '15s', '1h30m', '28d'), a rate as '50/s',
'600/m' or '3600/h', a speed as 'x2', 'x0.5' or 'max', a percentage as '99.5%', a size as '512B', '64KiB' or '10MB', an
amount of instances as '2', '50%' or 'all'. A sentence is one of the gate
language, such as 'availability >= 99.5% during payments-slow'.
`

// documented are the defaults that are values; the comments of the types must
// say the same.
func documented() map[string]string {
	return map[string]string{
		"Service.ready_timeout": defaultReadyTimeout.String(), "Service.stop_timeout": defaultStopTimeout.String(),
		"Target.accept": strings.Join(defaultAccept, " and "), "AuthHeader.name": defaultAuthHeader,
		"Dependency.protocol": defaultProtocol, "Profile.arrival": defaultArrival,
		"Profile.grace": defaultGrace.String(), "Profile.timeout": defaultTimeout.String(),
		"Request.weight": fmt.Sprint(defaultWeight), "Disruption.settle": defaultSettle.String(),
		"Disruption.share": defaultShare.String(), "Error.status": fmt.Sprint(defaultStatus),
		"Query.every": defaultEvery.String(), "Query.stale": defaultStale.String(), "Query.delay": defaultDelay.String(),
		"FailureMode.detection": fmt.Sprint(defaultDetection), "Parallel.need": fmt.Sprint(defaultNeed),
		"Distribute.namespace": defaultNamespace, "Distribute.begin": "5m",
		"Canary.vus": fmt.Sprint(defaultCanaryVUs), "CanaryTask.tries": fmt.Sprint(defaultTries), "CanaryTask.wait": defaultWait.String(),
		"CanaryHealth.every": defaultHealthEvery.String(), "CanaryRule.by": defaultBy, "CanaryRule.open": Trigger{Row: defaultRow}.String(),
		"CanaryRule.close": Trigger{Row: defaultRow}.String(), "CanaryRule.severity": defaultSeverity, "PagerDuty.url": defaultPagerDuty,
		"Webhook.type": defaultWebhookType, "CanaryKeep.attempts": defaultKeepAttempts.String(), "CanaryKeep.minutes": defaultKeepMinutes.String(),
		"CanaryKeep.hours": defaultKeepHours.String(),
		"Shadow.speed":     defaultSpeed.String(), "Shadow.sample": Percent(1).String(), "Shadow.max_vus": fmt.Sprint(defaultShadowVUs),
		"Shadow.grace": defaultGrace.String(), "Shadow.timeout": defaultTimeout.String(), "Writes.idempotency": defaultIdempotency,
		"Carry.as": defaultCarried, "Comparison.false_alarms": defaultAlarms.String(),
		"Parallel.common": Percent(0).String(), "Objective.over": fmt.Sprintf("%gd", time.Duration(defaultOver).Hours()/24),
	}
}

// TestDocs wants docs/plan.md to be what the types say, and so the keys of
// docs/canary.md.
func TestDocs(t *testing.T) {
	said, err := comments(sources()...)
	require.NoError(t, err)
	defaults := documented()
	page := docs{home: "plan.md", level: "##", comments: said, defaults: defaults}
	page.b.WriteString(strings.ReplaceAll(docsIntro, "'", "`"))
	page.sections(t, reflect.TypeFor[Plan]())
	same(t, docsPath, "", "", page.b.String())

	page = docs{home: "canary.md", level: "###", comments: said, defaults: defaults}
	page.sections(t, reflect.TypeFor[Canary]())
	same(t, canaryDocsPath, "<!-- keys -->\n", "<!-- end of keys -->", page.b.String()+"\n")
	require.Empty(t, defaults, "defaults of keys that there are not")
}

// same wants the part of a page between two marks to be what was made of it.
func same(t *testing.T, path, from, to, made string) {
	t.Helper()
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	whole := string(text)
	begin := strings.Index(whole, from) + len(from)
	end := len(whole)
	if to != "" {
		end = strings.Index(whole, to)
	}
	require.Less(t, begin, end, "the marks of %s", path)
	if *update {
		require.NoError(t, os.WriteFile(path, []byte(whole[:begin]+made+whole[end:]), 0o644))
		return
	}
	require.Equal(t, made, whole[begin:end], "go test ./internal/plan -run Docs -update writes it anew")
}

// docs is a page while it is written: a section for each type.
type docs struct {
	b        strings.Builder
	home     string // its file
	level    string // of headings
	comments map[string]string
	defaults map[string]string // not yet seen
	queue    []reflect.Type
}

// sections writes about a type and all that it leads to on the same page.
func (p *docs) sections(t *testing.T, first reflect.Type) {
	p.queue = []reflect.Type{first}
	for i := 0; i < len(p.queue); i++ {
		p.section(t, p.queue[i])
	}
}

// canaryTypes have their sections in canary.md.
var canaryTypes = []reflect.Type{
	reflect.TypeFor[Canary](), reflect.TypeFor[CanaryTask](), reflect.TypeFor[CanaryHealth](), reflect.TypeFor[CanaryRule](), reflect.TypeFor[Receiver](),
	reflect.TypeFor[Alertmanager](), reflect.TypeFor[Slack](), reflect.TypeFor[PagerDuty](), reflect.TypeFor[Webhook](), reflect.TypeFor[Maintenance](),
	reflect.TypeFor[Location](), reflect.TypeFor[Peer](), reflect.TypeFor[CanaryServe](), reflect.TypeFor[Heartbeat](), reflect.TypeFor[CanaryKeep](),
}

// link leads to the section of a type, on whatever page it is.
func (p *docs) link(typ reflect.Type) string {
	home := "plan.md"
	if slices.Contains(canaryTypes, typ) {
		home = "canary.md"
	}
	anchor := "#" + strings.ReplaceAll(strings.ToLower(heading(typ)), " ", "-")
	if home != p.home {
		return fmt.Sprintf("[%s](%s%s)", heading(typ), home, anchor)
	}
	if !slices.Contains(p.queue, typ) {
		p.queue = append(p.queue, typ)
	}
	return fmt.Sprintf("[%s](%s)", heading(typ), anchor)
}

func (p *docs) section(t *testing.T, typ reflect.Type) {
	fmt.Fprintf(&p.b, "\n%s %s\n\n%s\n\n| key | type | default | meaning | may hold |\n| --- | --- | --- | --- | --- |\n",
		p.level, heading(typ), description(typ, p.comments[typ.Name()+"."]))
	for _, f := range reflect.VisibleFields(typ) {
		key := fieldName(f)
		if key == "" {
			continue
		}
		meaning, value := splitDefault(p.comments[typ.Name()+"."+f.Name])
		id := typ.Name() + "." + key
		if want, is := p.defaults[id]; is {
			require.Equal(t, want, value, "the default of %s in the comment of its type", id)
			delete(p.defaults, id)
		}
		if f.Tag.Get("jsonschema") == "required" {
			value = "(required)"
		}
		fmt.Fprintf(&p.b, "| `%s` | %s | %s | %s | %s |\n", key, p.kind(f.Type), cell(value), cell(meaning),
			strings.ReplaceAll(f.Tag.Get("bind"), ",", ", "))
	}
}

// splitDefault takes what follows the word default off a comment.
func splitDefault(comment string) (meaning, value string) {
	meaning, value, _ = strings.Cut("; "+comment, "; default ")
	return strings.TrimPrefix(meaning, "; "), value
}

func cell(text string) string { return strings.NewReplacer("|", `\|`, "*", `\*`).Replace(text) }

// description is the comment of a type without its name, which is the heading.
func description(typ reflect.Type, comment string) string {
	rest, _ := strings.CutPrefix(comment, typ.Name()+" ")
	if what, is := strings.CutPrefix(rest, "is "); is {
		return strings.ToUpper(what[:1]) + what[1:]
	}
	if strings.HasPrefix(rest, "are ") {
		return "They " + rest
	}
	return "It " + rest
}

// kind names a type for readers, and puts structures up for a section.
func (p *docs) kind(typ reflect.Type) string {
	switch typ {
	case reflect.TypeFor[Duration]():
		return "duration"
	case reflect.TypeFor[Rate]():
		return "rate"
	case reflect.TypeFor[Percent]():
		return "percentage"
	case reflect.TypeFor[Size]():
		return "size"
	case reflect.TypeFor[Amount]():
		return "amount"
	case reflect.TypeFor[Revenue]():
		return "money per time"
	case reflect.TypeFor[Names]():
		return "name or list of names"
	case reflect.TypeFor[gates.Severity]():
		return "text"
	case reflect.TypeFor[Baseline]():
		return "target or " + p.kind(reflect.TypeFor[longBaseline]())
	case reflect.TypeFor[Date]():
		return "day"
	case reflect.TypeFor[Retention]():
		return "duration"
	case reflect.TypeFor[Instant]():
		return "date and time"
	case reflect.TypeFor[Trigger]():
		return "evidence"
	case reflect.TypeFor[Triggers]():
		return "evidence or list of evidence"
	case reflect.TypeFor[Speed]():
		return "speed"
	case reflect.TypeFor[Gate]():
		return "sentence or " + p.kind(reflect.TypeFor[longGate]())
	}
	switch typ.Kind() {
	case reflect.Pointer:
		return p.kind(typ.Elem())
	case reflect.Slice:
		return "list of " + p.kind(typ.Elem())
	case reflect.Map:
		return "names, each with " + p.kind(typ.Elem())
	case reflect.Struct:
		return p.link(typ)
	case reflect.String:
		return "text"
	case reflect.Bool:
		return "true or false"
	case reflect.Int, reflect.Uint64:
		return "whole number"
	}
	return "anything"
}

// heading is the name of a type in words.
func heading(typ reflect.Type) string {
	words := map[string]string{
		"longGate": "Gate in long form", "longBaseline": "Baseline in long form", "AuthHeader": "Header of auth", "DefaultDisruption": "Defaults of disruptions",
		"DefaultGate": "Defaults of gates", "OAuth2": "OAuth2 of auth",
		"CanaryTask": "Transaction", "CanaryHealth": "Health", "CanaryRule": "Rule", "CanaryServe": "Serving", "CanaryKeep": "Keeping", "CanaryTest": "Canary as a test",
		"Intended": "Intended change",
	}
	if w := words[typ.Name()]; w != "" {
		return w
	}
	return typ.Name()
}
