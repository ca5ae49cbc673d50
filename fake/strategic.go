package fake

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
)

// strategicPatch applies a strategic merge patch to a document of type t: the
// merge patch that kubectl sends. It differs from a JSON merge patch in lists,
// which are merged by a key if the API type says so. It may change target.
func strategicPatch(target, patch map[string]any, t reflect.Type) (map[string]any, error) {
	switch patch["$patch"] {
	case nil, "merge":
	case "replace":
		delete(patch, "$patch")
		return patch, nil
	case "delete":
		return map[string]any{}, nil
	default:
		return nil, fmt.Errorf("unknown $patch directive %v", patch["$patch"])
	}
	if target == nil {
		target = map[string]any{}
	}
	var orders, deletions []string
	for key, value := range patch {
		name, isDirective := strings.CutPrefix(key, "$setElementOrder/")
		switch deleted, isDeletion := strings.CutPrefix(key, "$deleteFromPrimitiveList/"); {
		case key == "$patch" || key == "$retainKeys":
		case isDirective:
			orders = append(orders, name)
		case isDeletion:
			deletions = append(deletions, deleted)
		case value == nil:
			delete(target, key)
		default:
			merged, err := strategicMember(target[key], value, memberOf(t, key))
			if err != nil {
				return nil, fmt.Errorf("%s: %w", key, err)
			}
			target[key] = merged
		}
	}
	for _, name := range deletions {
		target[name] = without(target[name], patch["$deleteFromPrimitiveList/"+name])
	}
	for _, name := range orders {
		target[name] = inOrder(target[name], patch["$setElementOrder/"+name], memberOf(t, name).mergeKey)
	}
	retain(target, patch["$retainKeys"])
	return target, nil
}

// member is what an API type says about one of its fields.
type member struct {
	typ      reflect.Type // nil if unknown
	merge    bool         // a list that is merged and not replaced
	mergeKey string       // what identifies an item of such a list; "" for plain values
}

// memberOf finds the field of t that is called key in JSON.
func memberOf(t reflect.Type, key string) member {
	for t != nil && t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t == nil {
		return member{}
	}
	if t.Kind() == reflect.Map {
		return member{typ: t.Elem()}
	}
	if t.Kind() != reflect.Struct {
		return member{}
	}
	for i := range t.NumField() {
		f := t.Field(i)
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name == key {
			strategies := strings.Split(f.Tag.Get("patchStrategy"), ",")
			return member{typ: f.Type, merge: slices.Contains(strategies, "merge"), mergeKey: f.Tag.Get("patchMergeKey")}
		}
		if name == "" && (f.Anonymous || strings.Contains(options, "inline")) {
			if m := memberOf(f.Type, key); m.typ != nil {
				return m
			}
		}
	}
	return member{}
}

func strategicMember(target, patch any, m member) (any, error) {
	switch patch := patch.(type) {
	case map[string]any:
		old, _ := target.(map[string]any)
		return strategicPatch(old, patch, m.typ)
	case []any:
		old, _ := target.([]any)
		if !m.merge {
			return patch, nil
		}
		if m.mergeKey == "" {
			return union(old, patch), nil
		}
		return mergeByKey(old, patch, m)
	}
	return patch, nil
}

// union adds what is missing in a list of plain values.
func union(list, more []any) []any {
	var named []any
	for _, value := range more {
		if find(named, value, "") < 0 {
			named = append(named, value)
		}
	}
	rest := slices.DeleteFunc(slices.Clone(list), func(v any) bool { return find(named, v, "") >= 0 })
	return weave(rest, named, list, "")
}

// find returns the index of the item of list that has the identity of v, or -1.
func find(list []any, v any, key string) int {
	return slices.IndexFunc(list, func(w any) bool { return reflect.DeepEqual(identity(v, key), identity(w, key)) })
}

// weave joins the items that a patch does not name with those that it does. Both
// keep their order; where they meet, the named one comes first unless the list
// had it behind the other.
func weave(rest, named, list []any, key string) []any {
	joined := make([]any, 0, len(rest)+len(named))
	for len(rest) > 0 && len(named) > 0 {
		if n := find(list, named[0], key); n >= 0 && find(list, rest[0], key) < n {
			joined, rest = append(joined, rest[0]), rest[1:]
		} else {
			joined, named = append(joined, named[0]), named[1:]
		}
	}
	return slices.Concat(joined, rest, named)
}

// mergeByKey merges items with the same key, and adds the others.
func mergeByKey(list, patches []any, m member) ([]any, error) {
	element := m.typ
	if element != nil && element.Kind() == reflect.Slice {
		element = element.Elem()
	}
	rest := slices.Clone(list)
	var named []any
	for _, p := range patches {
		patch, ok := p.(map[string]any)
		if !ok {
			return nil, errors.New("want a list of objects")
		}
		if patch["$patch"] == "replace" && patch[m.mergeKey] == nil {
			rest, named = nil, nil
			continue
		}
		if patch[m.mergeKey] == nil {
			return nil, fmt.Errorf("no %q in an item of the list", m.mergeKey)
		}
		var old map[string]any
		if i := find(rest, patch, m.mergeKey); i >= 0 {
			old, _ = rest[i].(map[string]any)
			rest = slices.Delete(rest, i, i+1)
		}
		i := find(named, patch, m.mergeKey)
		if i >= 0 {
			old, _ = named[i].(map[string]any)
			named = slices.Delete(named, i, i+1)
		} else {
			i = len(named)
		}
		if patch["$patch"] == "delete" {
			continue
		}
		merged, err := strategicPatch(old, patch, element)
		if err != nil {
			return nil, err
		}
		named = slices.Insert(named, i, any(merged))
	}
	return weave(rest, named, list, m.mergeKey), nil
}

// without removes values from a list of plain values.
func without(list, values any) any {
	old, _ := list.([]any)
	gone, _ := values.([]any)
	return slices.DeleteFunc(old, func(v any) bool {
		return slices.ContainsFunc(gone, func(w any) bool { return reflect.DeepEqual(v, w) })
	})
}

// inOrder sorts list as order says; items that order does not name keep their
// place at the end.
func inOrder(list, order any, key string) any {
	items, _ := list.([]any)
	if items == nil {
		return list
	}
	wanted, _ := order.([]any)
	rank := func(v any) int {
		i := slices.IndexFunc(wanted, func(w any) bool { return reflect.DeepEqual(identity(v, key), identity(w, key)) })
		if i < 0 {
			return len(wanted)
		}
		return i
	}
	slices.SortStableFunc(items, func(a, b any) int { return rank(a) - rank(b) })
	return items
}

func identity(v any, key string) any {
	if item, ok := v.(map[string]any); ok && key != "" {
		return item[key]
	}
	return v
}

// retain removes the keys that $retainKeys does not name.
func retain(target map[string]any, keys any) {
	list, ok := keys.([]any)
	if !ok {
		return
	}
	for key := range target {
		if !slices.Contains(list, any(key)) {
			delete(target, key)
		}
	}
}
