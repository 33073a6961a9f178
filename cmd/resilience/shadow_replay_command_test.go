package main

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"resilience/internal/plan"
)

// TestReplayExamples wants the replays that the page and the help show to stand for
// plans that can be read, whose files may be anywhere.
func TestReplayExamples(t *testing.T) {
	cmd, _, err := newRoot(&streams{}).Find([]string{"shadow", "replay"})
	require.NoError(t, err)
	examples := regexp.MustCompile(`(?m)^ +resilience (shadow replay .*)$`).FindAllStringSubmatch(readPage(t, "../../docs/shadow.md")+"\n"+cmd.Example, -1)
	require.GreaterOrEqual(t, len(examples), 4)
	for _, e := range examples {
		command, _, _ := strings.Cut(e[1], " --print >")
		args := regexp.MustCompile(`'[^']*'|\S+`).FindAllString(command, -1)
		for i := range args {
			args[i] = strings.Trim(args[i], "'")
		}
		code, out, errs := call(t, slices.Concat(args, []string{"--print"})...)
		require.Zero(t, code, "%s\n%s", command, errs)
		_, err := plan.Parse([]byte(out), plan.Options{Recorded: true})
		require.NoError(t, err, "%s\n%s", command, out)
	}
}

func TestSentHeaders(t *testing.T) {
	for text, want := range map[string]string{
		"X-Env: staging":                  "X-Env: staging",
		" x-env :staging: a ":             "X-Env: staging: a",
		"X-Env:":                          "X-Env: ",
		"X-Key: ${KEY}":                   "X-Key: ${secrets.KEY}",
		"Authorization: Bearer ${KEY}":    "Authorization: Bearer ${secrets.KEY}",
		"Cookie: a=${KEY}; b=${OTHER_2}":  "Cookie: a=${secrets.KEY}; b=${secrets.OTHER_2}",
		"X-Env: $${KEY} $1":               "X-Env: $${KEY} $1",
		"X-Env":                           "wants a name and a value",
		": hunter2":                       "wants a name and a value",
		"Bearer hunter2: a":               "wants a name and a value",
		"Authorization: Bearer hunter2":   "Authorization is a credential",
		"Cookie: sid=hunter2":             "Cookie is a credential",
		"X-Api-Key: $${KEY}":              "X-Api-Key is a credential",
		"X-Key: ${KEY:-hunter2}":          "a variable of the environment",
		"X-Key: ${secrets.hunter2}":       "a variable of the environment",
		"X-Key: ${}":                      "a variable of the environment",
		"X-Key: ${hunter2":                "a variable of the environment",
		"X-Key: ${1HUNTER} and ${HUNTER}": "a variable of the environment",
	} {
		t.Run(text, func(t *testing.T) {
			headers, secrets, err := sentHeaders([]string{text})
			if err != nil {
				require.ErrorContains(t, err, want)
				require.NotContains(t, err.Error(), "hunter2")
				require.ErrorAs(t, err, new(*usageError))
				return
			}
			name, value, _ := strings.Cut(want, ": ")
			require.Equal(t, map[string]string{name: value}, headers)
			for variable, secret := range secrets {
				require.Equal(t, plan.Secret{Env: variable}, secret)
				require.Contains(t, value, "${secrets."+variable+"}")
			}
			require.Len(t, secrets, strings.Count(value, "${secrets."))
		})
	}
}
