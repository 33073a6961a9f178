package main

import (
	"fmt"
	"net/http"
	"regexp"
	"strings"

	"golang.org/x/net/http/httpguts"

	"resilience/internal/plan"
	"resilience/internal/shadow"
)

var (
	inHeader       = regexp.MustCompile(`\$?\$\{([^}]*)\}?`)
	secretVariable = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
)

// sentHeaders reads flags of the form NAME: VALUE as the headers of a target. Where a
// value names variables of the environment, as ${NAME}, they are secrets of the plan:
// what these hold is in no plan, and shown nowhere. Nor are values in errors, which
// may be secrets that a shell has put in.
func sentHeaders(given []string) (map[string]string, map[string]plan.Secret, error) {
	headers, secrets := map[string]string{}, map[string]plan.Secret{}
	for _, text := range given {
		name, value, found := strings.Cut(text, ":")
		name = http.CanonicalHeaderKey(strings.TrimSpace(name))
		if !found || !httpguts.ValidHeaderFieldName(name) {
			return nil, nil, &usageError{"--header wants a name and a value: 'X-Gateway-Key: ${GATEWAY_KEY}'"}
		}
		if _, twice := headers[name]; twice {
			return nil, nil, &usageError{fmt.Sprintf("--header %s is given twice", name)}
		}
		value, named, err := secretsIn(name, strings.TrimSpace(value), secrets)
		if err != nil {
			return nil, nil, err
		}
		if !named && value != "" && shadow.SecretHeader(name) {
			return nil, nil, &usageError{fmt.Sprintf("--header %s is a credential, which reports would show: put it into a variable of the environment, and write '%s: ${NAME}' in single quotes", name, name)}
		}
		headers[name] = value
	}
	return headers, secrets, nil
}

// secretsIn makes the variables in the value of a header secrets, and tells whether
// there are any. As in plans, $${ stands for the characters ${.
func secretsIn(header, value string, secrets map[string]plan.Secret) (inPlan string, named bool, wrong error) {
	inPlan = inHeader.ReplaceAllStringFunc(value, func(match string) string {
		if strings.HasPrefix(match, "$$") {
			return match
		}
		variable, closed := strings.CutSuffix(strings.TrimPrefix(match, "${"), "}")
		if !closed || !secretVariable.MatchString(variable) {
			wrong = &usageError{fmt.Sprintf("--header %s: what stands in ${ and } is a variable of the environment, such as ${GATEWAY_KEY}; $${ stands for the characters ${", header)}
			return match
		}
		named = true
		secrets[variable] = plan.Secret{Env: variable}
		return "${secrets." + variable + "}"
	})
	return inPlan, named, wrong
}
