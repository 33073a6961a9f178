package shadow

import "strings"

// manyNamesSeen is how many fields of names that are missing or added an object has, in
// all exchanges together, whose names are taken for data: users, products, words.
const manyNamesSeen = 100

// Names of which nobody can tell by their looks that they are data would each be a field:
// seen once, undecided for ever, and so many that there is no room for others. So where
// very many come and go in one object they become one place, {key}. What was known of
// the single ones is forgotten: it was little.

// seeName counts a field that is new. It tells the object whose names are data from now on,
// "" for none.
func (r *routeFields) seeName(key fieldKey) (object string) {
	if key.kind != Missing && key.kind != Added {
		return ""
	}
	object, name := parentOf(key.place)
	if object == "" || name == "{key}" {
		return ""
	}
	if r.named == nil {
		r.named = map[string]int{}
	}
	if r.named[object]++; r.named[object] <= manyNamesSeen {
		return ""
	}
	return object
}

// foldNames makes one place of all names in an object.
func (f *Findings) foldNames(r *routeFields, object string) {
	if r.folded == nil {
		r.folded = map[string]bool{}
	}
	r.folded[object] = true
	f.folds.Store(true)
	delete(r.named, object)
	for key := range r.fields {
		if strings.HasPrefix(key.place, object+".") {
			delete(r.fields, key)
			f.fields--
			if strings.Contains(key.place, textMark) {
				r.wordFields--
			}
		}
	}
}

// fold gives the place that a place is a part of.
func (r *routeFields) fold(place string) string {
	if len(r.folded) == 0 {
		return place
	}
	for at := 0; at < len(place); at++ {
		switch place[at] {
		case '"':
			at = quoteEnd(place, at)
		case '.':
			if r.folded[place[:at]] {
				end := nameEnd(place, at+1)
				place = place[:at] + ".{key}" + place[end:]
			}
		}
	}
	return place
}

// parentOf splits a place into the object and the name that is looked up in it; both
// are "" where it is no name.
func parentOf(place string) (object, name string) {
	last := -1
	for at := 0; at < len(place); at++ {
		switch place[at] {
		case '"':
			at = quoteEnd(place, at)
		case '.':
			last = at
		}
	}
	if last < 0 || strings.HasSuffix(place, "]") || strings.HasPrefix(place[last:], textMark) {
		return "", ""
	}
	return place[:last], place[last+1:]
}

// nameEnd is where a name in a place ends that begins there.
func nameEnd(place string, at int) int {
	for ; at < len(place) && place[at] != '.' && place[at] != '['; at++ {
		if place[at] == '"' {
			at = quoteEnd(place, at)
		}
	}
	return min(at, len(place))
}

// quoteEnd is where a quoted name ends: at its last quote, or at the end.
func quoteEnd(place string, at int) int {
	for at++; at < len(place) && place[at] != '"'; at++ {
		if place[at] == '\\' {
			at++
		}
	}
	return at
}

// Folded gives the place under which differences at a place of a route are counted: one
// with {key} where the names of an object have turned out to be data.
func (f *Findings) Folded(route, place string) string {
	if !f.folds.Load() {
		return place
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	r := f.routes[route]
	if r == nil {
		r = f.routes[otherRoutes]
	}
	if r == nil {
		return place
	}
	return r.fold(place)
}
