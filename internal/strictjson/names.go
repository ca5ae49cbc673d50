package strictjson

import (
	"strings"
	"unicode/utf8"
)

// A nameSet holds the names of one object. Its zero value is empty.
type nameSet struct {
	few  [24]string // compared one by one, up to the length of most objects
	n    int
	many map[string]struct{} // all names, once there are more; keeps the cost linear
}

// add adds name. It reports false if name was there.
func (set *nameSet) add(name string) bool {
	if set.many == nil {
		for i := range set.n {
			if set.few[i] == name {
				return false
			}
		}
		if set.n < len(set.few) {
			set.few[set.n] = name
			set.n++
			return true
		}
		set.many = make(map[string]struct{}, 2*len(set.few))
		for _, other := range set.few {
			set.many[other] = struct{}{}
		}
	}
	before := len(set.many)
	set.many[name] = struct{}{}
	return len(set.many) > before
}

// Imitated returns the one of known, which are ASCII, that name equals under Unicode case folding
// without being it, "" if there is none. The folding is that of encoding/json,
// which takes U+017F for s and U+212A for k.
func Imitated(name string, known []string) string {
	if name == "" {
		return ""
	}
	first := name[0] | 0x20
	for _, k := range known {
		// An ASCII byte folds only to its other case, or to what isn't ASCII.
		if name[0] < utf8.RuneSelf && k[0]|0x20 != first {
			continue
		}
		if name != k && strings.EqualFold(name, k) {
			return k
		}
	}
	return ""
}
