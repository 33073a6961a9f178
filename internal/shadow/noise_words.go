package shadow

import "strings"

// Words that name values of a text are known from one exchange alone, and where they are
// data, such as the names of users, there are others in each. So an element (or a string,
// or all of a text) has a limited number of them in all exchanges: the first ones, and
// those that come again and again. All others are one place. What a place is called
// rests on earlier exchanges only, so that it is the same for the candidate's answer and
// for the baseline's second one.

// Limits of the words of an element, and of a route.
const (
	firstWords    = 16            // that have a place when they are first seen
	mostWords     = 32            // that have one at all
	againWords    = 4             // exchanges in which a later one must be seen
	waitedWords   = 64            // that are waited for
	maxWordFields = maxFields / 2 // of a route; what is left is for all else
)

// placed gives differences the places at which they will be counted.
func (f *Findings) placed(route string, all []Difference) []Difference {
	f.mu.Lock()
	defer f.mu.Unlock()
	r := f.route(route)
	for i, d := range all {
		all[i].Place = r.counted(fieldKey{d.Place, d.Kind, 0}).place
	}
	return all
}

// counted gives the field that a difference at a place is one of.
func (r *routeFields) counted(key fieldKey) fieldKey {
	key.place = r.fold(key.place)
	return r.wordPlace(key)
}

// elementWords are the words that name values of an element.
type elementWords struct {
	placed  map[string]bool
	waiting map[string]int // and in how many exchanges each was seen, about
}

// wordPlace gives the place at which a difference is counted: its own, or that of all
// other words of its element.
func (r *routeFields) wordPlace(key fieldKey) fieldKey {
	at := strings.Index(key.place, textMark)
	if at < 0 || r.fields[key] != nil {
		return key
	}
	of := r.elements[key.place[:at]]
	placed := of == nil || len(of.placed) < firstWords || of.placed[key.place[at:]]
	if !placed || r.wordFields >= maxWordFields {
		key.place = key.place[:at] + otherText
	}
	return key
}

// seen notes the words of an exchange, for those that come.
func (r *routeFields) seen(differences ...[]Difference) {
	r.wordFields, r.newWordFields = r.wordFields+r.newWordFields, 0
	for _, some := range differences {
		for _, d := range some {
			if at := strings.Index(d.Place, textMark); at >= 0 {
				r.see(d.Place[:at], d.Place[at:])
			}
		}
	}
}

// see notes a word of an element.
func (r *routeFields) see(element, word string) {
	of := r.elements[element]
	if of == nil && len(r.elements) >= maxFields {
		return
	}
	if of == nil {
		if r.elements == nil {
			r.elements = map[string]*elementWords{}
		}
		of = &elementWords{map[string]bool{}, map[string]int{}}
		r.elements[strings.Clone(element)] = of
	}
	of.see(word)
}

// see counts a word. What comes often is never lost, however much else comes between
// (Misra and Gries 1982).
func (e *elementWords) see(word string) {
	switch {
	case e.placed[word] || len(e.placed) >= mostWords:
		return
	case len(e.placed) < firstWords:
		e.placed[strings.Clone(word)] = true
		return
	case e.waiting[word] > 0 || len(e.waiting) < waitedWords:
		e.waiting[strings.Clone(word)]++
	default:
		for other := range e.waiting {
			if e.waiting[other]--; e.waiting[other] == 0 {
				delete(e.waiting, other)
			}
		}
	}
	if e.waiting[word] >= againWords {
		e.placed[strings.Clone(word)] = true
		delete(e.waiting, word)
	}
}
