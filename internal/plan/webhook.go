package plan

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"text/template"
	"time"
)

// templateFuncs are what the template of a webhook's body can call beside Go's
// own functions: json writes any value as JSON, time writes Unix nanoseconds as in
// RFC 3339, in UTC.
var templateFuncs = template.FuncMap{
	"json": func(v any) (string, error) {
		data, err := json.Marshal(v)
		return string(data), err
	},
	"time": func(nanoseconds int64) string { return time.Unix(0, nanoseconds).UTC().Format(time.RFC3339) },
}

// Template is what makes the body of a webhook, nil when the plan does not say
// one. What it names and the notice does not have is an error when it is
// executed.
func (w Webhook) Template() (*template.Template, error) {
	if w.Body == "" {
		return nil, nil
	}
	t, err := template.New("body").Option("missingkey=error").Funcs(templateFuncs).Parse(w.Body)
	if err == nil {
		return t, nil
	}
	text := strings.TrimPrefix(err.Error(), "template: body:")
	if line, rest, found := strings.Cut(text, ": "); found {
		return nil, fmt.Errorf("body, line %s: %s", line, rest)
	}
	return nil, errors.New("body: " + text)
}
