package run

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"resilience/internal/plan"
)

// Noncharacters, which no text of a plan may hold, stand around the name of a
// secret where its value was.
const hideOpen, hideClose = "\ufdd0", "\ufdd1"

// shortest is how long a secret is at least, in bytes, for its value to be
// taken out of texts: a shorter one would hit everywhere, and protect nothing.
const shortest = 4

// hiding takes the values of a plan's secrets out of what goes to the disk,
// and puts them back into what is read from there.
type hiding struct{ hide, show *strings.Replacer }

func newHiding(p plan.Plan, getenv func(string) (string, bool)) *hiding {
	type pair struct{ value, mark string }
	var pairs []pair
	for _, name := range sorted(p.Secrets) {
		if value, err := p.Secret(name, getenv); err == nil && len(value) >= shortest {
			pairs = append(pairs, pair{value, hideOpen + name + hideClose})
		}
	}
	slices.SortStableFunc(pairs, func(a, b pair) int { return cmp.Compare(len(b.value), len(a.value)) }) // or a part of one would be taken for another
	var hide, show []string
	for _, p := range pairs {
		hide, show = append(hide, p.value, p.mark), append(show, p.mark, p.value)
	}
	return &hiding{strings.NewReplacer(hide...), strings.NewReplacer(show...)}
}

// hidden encodes a value without secrets, and without what is null in it.
func (h *hiding) hidden(value any) (json.RawMessage, error) {
	data, err := json.Marshal(value)
	if err != nil {
		return nil, err
	}
	if h.hide == nil {
		return data, nil
	}
	return replaced(data, h.hide)
}

// shown decodes what hidden gave. A secret whose value can not be had any more
// is an error.
func (h *hiding) shown(data json.RawMessage, into any) error {
	if h.show != nil {
		var err error
		if data, err = replaced(data, h.show); err != nil {
			return err
		}
	}
	if _, rest, missing := strings.Cut(string(data), hideOpen); missing {
		name, _, _ := strings.Cut(rest, hideClose)
		return fmt.Errorf("the secret %s is wanted: make it available as the plan says", name)
	}
	return json.Unmarshal(data, into)
}

// kept takes the secrets out of what it takes to undo a fault. What the journal
// itself goes by stays as it is.
func (h *hiding) kept(k kept) (safe kept, err error) {
	safe, safe.Env = k, map[string]string{}
	for _, part := range []*json.RawMessage{&safe.Disruption, &safe.Dependency, &safe.Undo} {
		if len(*part) == 0 {
			continue
		}
		if *part, err = h.hidden(*part); err != nil {
			return k, err
		}
	}
	env, err := h.hidden(k.Env)
	if err != nil {
		return k, err
	}
	return safe, json.Unmarshal(env, &safe.Env)
}

// disruption is the one of the plan that a journal tells of, as far as that can
// be read without the secrets that can not be had: enough to say which it is,
// and how to undo it by hand.
func (h *hiding) disruption(k kept) (d plan.Disruption) {
	if h.shown(k.Disruption, &d) == nil {
		return d
	}
	d = plan.Disruption{}
	var fields map[string]json.RawMessage
	_ = json.Unmarshal(k.Disruption, &fields) // nothing is known then
	for _, name := range sorted(fields) {
		one, err := json.Marshal(map[string]json.RawMessage{name: fields[name]})
		next := d
		if err == nil && json.Unmarshal(one, &next) == nil {
			d = next
		}
	}
	return d
}

// replaced goes through all strings of a JSON value, and leaves out nulls.
func replaced(data json.RawMessage, by *strings.Replacer) (json.RawMessage, error) {
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber()
	var value any
	if err := decoder.Decode(&value); err != nil {
		return nil, err
	}
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	err := encoder.Encode(replacedIn(value, by))
	return bytes.TrimSpace(out.Bytes()), err
}

func replacedIn(value any, by *strings.Replacer) any {
	switch is := value.(type) {
	case string:
		return by.Replace(is)
	case []any:
		for i := range is {
			is[i] = replacedIn(is[i], by)
		}
	case map[string]any:
		for key, inside := range is {
			if inside == nil {
				delete(is, key)
				continue
			}
			is[key] = replacedIn(inside, by)
		}
	}
	return value
}
