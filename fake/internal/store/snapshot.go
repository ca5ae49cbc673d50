package store

import (
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubesa/serviceaccount/fake/internal/object"
	"github.com/kubesa/serviceaccount/internal/tokensecret"
)

// Snapshot is the state of the cluster at some revision: the current state with
// the changes since then undone.
type Snapshot struct {
	state    *Store
	undone   map[Ref]object.Object // nil values are objects that did not exist yet
	revision uint64
}

// A Ref names one object.
type Ref struct {
	kind            *object.Kind
	namespace, name string
}

// RefOf returns the Ref of o.
func RefOf(k *object.Kind, o object.Object) Ref { return Ref{k, o.GetNamespace(), o.GetName()} }

// SnapshotAt returns the state at revision, which must not be in the future:
// state with the changes since then undone. Its cost is that of these changes.
func SnapshotAt(state *Store, h *History, revision uint64) Snapshot {
	s := Snapshot{state: state, revision: revision}
	for i := h.Last(); i > revision; i-- {
		ch := h.Changes[i-1]
		if s.undone == nil {
			s.undone = map[Ref]object.Object{}
		}
		s.undone[RefOf(ch.Kind, ch.Object)] = ch.Old
	}
	return s
}

func (s Snapshot) Get(k *object.Kind, namespace, name string) (object.Object, bool) {
	if o, ok := s.undone[Ref{k, namespace, name}]; ok {
		return o, o != nil
	}
	return s.state.Get(k, namespace, name)
}

func (s Snapshot) list(k *object.Kind, namespace string) []object.Object {
	return s.merge(s.state.List(k, namespace), func(r Ref, _ object.Object) bool {
		return r.kind == k && (namespace == "" || r.namespace == namespace)
	})
}

func (s Snapshot) TokenSecrets(namespace, account string) []object.Object {
	return s.merge(s.state.TokenSecrets(namespace, account), func(r Ref, o object.Object) bool {
		secret, ok := o.(*corev1.Secret)
		if !ok || !tokensecret.Is(secret) || r.namespace != namespace {
			return false
		}
		name, _ := tokensecret.Owner(secret)
		return name == account
	})
}

// merge replaces in list what was undone, and keeps its order.
func (s Snapshot) merge(list []object.Object, belongs func(Ref, object.Object) bool) []object.Object {
	if len(s.undone) == 0 {
		return list
	}
	list = slices.DeleteFunc(list, func(o object.Object) bool {
		_, undone := s.undone[RefOf(object.KindOf(o), o)]
		return undone
	})
	for r, o := range s.undone {
		if o != nil && belongs(r, o) {
			list = append(list, o)
		}
	}
	slices.SortFunc(list, func(a, b object.Object) int { return strings.Compare(storageKey(a), storageKey(b)) })
	return list
}

// storageKey orders objects of one kind as an API server lists them.
func storageKey(o object.Object) string { return o.GetNamespace() + "/" + o.GetName() }
