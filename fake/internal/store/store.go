// Package store keeps the objects of the fake cluster: the current state with its
// indices, every change so far, and with both the state at any resourceVersion,
// which lists are answered from.
package store

import (
	"maps"
	"slices"
	"sort"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubesa/serviceaccount/fake/internal/object"
	"github.com/kubesa/serviceaccount/internal/tokensecret"
)

// Store holds one state of the cluster: the current one, or what a [Reader]
// has seen so far. Its zero value is empty and ready.
type Store struct {
	tables [len(object.Kinds)]table
	// tokens finds the token Secrets of an account by name.
	tokens map[accountName]map[string]object.Object
}

type accountName struct{ namespace, name string }

// table holds the objects of one kind, by namespace.
type table struct {
	shelves map[string]*shelf
}

// shelf holds the objects of one kind in one namespace.
type shelf struct {
	objects map[string]object.Object
	sorted  []string // the names in order, or nil if they must be sorted again
}

func (s *Store) Get(k *object.Kind, namespace, name string) (object.Object, bool) {
	shelf := s.tables[k.ID].shelves[namespace]
	if shelf == nil {
		return nil, false
	}
	o, ok := shelf.objects[name]
	return o, ok
}

// put stores o under its name; old is what was there, or nil.
func (s *Store) put(k *object.Kind, o, old object.Object) {
	t := &s.tables[k.ID]
	if t.shelves == nil {
		t.shelves = map[string]*shelf{}
	}
	sh := t.shelves[o.GetNamespace()]
	if sh == nil {
		sh = &shelf{objects: map[string]object.Object{}}
		t.shelves[o.GetNamespace()] = sh
	}
	if old == nil {
		sh.sorted = nil
	}
	sh.objects[o.GetName()] = o
	s.unindex(old)
	s.index(o)
}

func (s *Store) remove(k *object.Kind, old object.Object) {
	t := &s.tables[k.ID]
	sh := t.shelves[old.GetNamespace()]
	delete(sh.objects, old.GetName())
	sh.sorted = nil
	if len(sh.objects) == 0 {
		delete(t.shelves, old.GetNamespace())
	}
	s.unindex(old)
}

func (s *Store) index(o object.Object) {
	secret, ok := o.(*corev1.Secret)
	if !ok || !tokensecret.Is(secret) {
		return
	}
	account, _ := tokensecret.Owner(secret)
	key := accountName{secret.Namespace, account}
	if s.tokens == nil {
		s.tokens = map[accountName]map[string]object.Object{}
	}
	if s.tokens[key] == nil {
		s.tokens[key] = map[string]object.Object{}
	}
	s.tokens[key][secret.Name] = secret
}

func (s *Store) unindex(o object.Object) {
	secret, ok := o.(*corev1.Secret)
	if !ok || !tokensecret.Is(secret) {
		return
	}
	account, _ := tokensecret.Owner(secret)
	key := accountName{secret.Namespace, account}
	delete(s.tokens[key], secret.Name)
	if len(s.tokens[key]) == 0 {
		delete(s.tokens, key)
	}
}

// TokenSecrets returns the token Secrets of an account in the order of their
// names. Its cost does not depend on what else the namespace holds.
func (s *Store) TokenSecrets(namespace, account string) []object.Object {
	found := s.tokens[accountName{namespace, account}]
	list := make([]object.Object, 0, len(found))
	for _, name := range slices.Sorted(maps.Keys(found)) {
		list = append(list, found[name])
	}
	return list
}

// List returns the objects of kind k in the order of an API server: by
// "namespace/name". An empty namespace means all.
func (s *Store) List(k *object.Kind, namespace string) []object.Object {
	t := &s.tables[k.ID]
	var list []object.Object
	for _, ns := range t.namespacesFor(k, namespace) {
		sh := t.shelves[ns]
		list = slices.Grow(list, len(sh.objects))
		for _, name := range sh.names() {
			list = append(list, sh.objects[name])
		}
	}
	return list
}

func (t *table) namespacesFor(k *object.Kind, namespace string) []string {
	if namespace != "" || !k.Namespaced {
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

// Count returns the number of objects in namespace, of every namespaced kind.
func (s *Store) Count(namespace string) int {
	n := 0
	for _, k := range object.Kinds {
		if k.Namespaced {
			if sh := s.tables[k.ID].shelves[namespace]; sh != nil {
				n += len(sh.objects)
			}
		}
	}
	return n
}

// Apply makes s see one change.
func (s *Store) Apply(ch *Change) {
	if ch.Deleted {
		s.remove(ch.Kind, ch.Old)
		return
	}
	s.put(ch.Kind, ch.Object, ch.Old)
}
