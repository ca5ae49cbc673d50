package fake

import (
	"maps"
	"slices"
	"sort"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// store holds one state of the cluster: the current one, or what a [Reader]
// has seen so far. Its zero value is empty and ready.
type store struct {
	tables [len(kinds)]table
	// tokens finds the token Secrets of an account by name.
	tokens map[accountName]map[string]object
}

type accountName struct{ namespace, name string }

// table holds the objects of one kind, by namespace.
type table struct {
	shelves map[string]*shelf
}

// shelf holds the objects of one kind in one namespace.
type shelf struct {
	objects map[string]object
	sorted  []string // the names in order, or nil if they must be sorted again
}

func (s *store) get(k *kind, namespace, name string) (object, bool) {
	shelf := s.tables[k.id].shelves[namespace]
	if shelf == nil {
		return nil, false
	}
	o, ok := shelf.objects[name]
	return o, ok
}

// put stores o under its name; old is what was there, or nil.
func (s *store) put(k *kind, o, old object) {
	t := &s.tables[k.id]
	if t.shelves == nil {
		t.shelves = map[string]*shelf{}
	}
	sh := t.shelves[o.GetNamespace()]
	if sh == nil {
		sh = &shelf{objects: map[string]object{}}
		t.shelves[o.GetNamespace()] = sh
	}
	if old == nil {
		sh.sorted = nil
	}
	sh.objects[o.GetName()] = o
	s.unindex(old)
	s.index(o)
}

func (s *store) remove(k *kind, old object) {
	t := &s.tables[k.id]
	sh := t.shelves[old.GetNamespace()]
	delete(sh.objects, old.GetName())
	sh.sorted = nil
	if len(sh.objects) == 0 {
		delete(t.shelves, old.GetNamespace())
	}
	s.unindex(old)
}

func (s *store) index(o object) {
	secret, ok := o.(*corev1.Secret)
	if !ok || secret.Type != corev1.SecretTypeServiceAccountToken {
		return
	}
	key := accountName{secret.Namespace, secret.Annotations[corev1.ServiceAccountNameKey]}
	if s.tokens == nil {
		s.tokens = map[accountName]map[string]object{}
	}
	if s.tokens[key] == nil {
		s.tokens[key] = map[string]object{}
	}
	s.tokens[key][secret.Name] = secret
}

func (s *store) unindex(o object) {
	secret, ok := o.(*corev1.Secret)
	if !ok || secret.Type != corev1.SecretTypeServiceAccountToken {
		return
	}
	key := accountName{secret.Namespace, secret.Annotations[corev1.ServiceAccountNameKey]}
	delete(s.tokens[key], secret.Name)
	if len(s.tokens[key]) == 0 {
		delete(s.tokens, key)
	}
}

// tokenSecrets returns the token Secrets of an account in the order of their
// names. Its cost does not depend on what else the namespace holds.
func (s *store) tokenSecrets(namespace, account string) []object {
	found := s.tokens[accountName{namespace, account}]
	list := make([]object, 0, len(found))
	for _, name := range slices.Sorted(maps.Keys(found)) {
		list = append(list, found[name])
	}
	return list
}

// list returns the objects of kind k in the order of an API server: by
// "namespace/name". An empty namespace means all.
func (s *store) list(k *kind, namespace string) []object {
	t := &s.tables[k.id]
	var list []object
	for _, ns := range t.namespacesFor(k, namespace) {
		sh := t.shelves[ns]
		list = slices.Grow(list, len(sh.objects))
		for _, name := range sh.names() {
			list = append(list, sh.objects[name])
		}
	}
	return list
}

func (t *table) namespacesFor(k *kind, namespace string) []string {
	if namespace != "" || !k.namespaced {
		if t.shelves[namespace] == nil {
			return nil
		}
		return []string{namespace}
	}
	list := slices.Collect(maps.Keys(t.shelves))
	slices.SortFunc(list, func(a, b string) int { return strings.Compare(a+"/", b+"/") })
	return list
}

func (sh *shelf) names() []string {
	if sh.sorted == nil {
		sh.sorted = slices.AppendSeq(make([]string, 0, len(sh.objects)), maps.Keys(sh.objects))
		sort.Strings(sh.sorted)
	}
	return sh.sorted
}

// count returns the number of objects in namespace, of every namespaced kind.
func (s *store) count(namespace string) int {
	n := 0
	for _, k := range kinds {
		if k.namespaced {
			if sh := s.tables[k.id].shelves[namespace]; sh != nil {
				n += len(sh.objects)
			}
		}
	}
	return n
}

// apply makes s see one change.
func (s *store) apply(ch *change) {
	if ch.deleted {
		s.remove(ch.kind, ch.old)
		return
	}
	s.put(ch.kind, ch.object, ch.old)
}
