package fake

import (
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// snapshot is the state of the cluster at some revision: the current state with
// the changes since then undone.
type snapshot struct {
	state    *store
	undone   map[ref]object // nil values are objects that did not exist yet
	revision uint64
}

type ref struct {
	kind            *kind
	namespace, name string
}

func refOf(k *kind, o object) ref { return ref{k, o.GetNamespace(), o.GetName()} }

// at returns the state at revision, which must not be in the future. Its cost
// is that of the changes since.
func (c *Cluster) at(revision uint64) snapshot {
	s := snapshot{state: &c.state, revision: revision}
	for i := c.history.last(); i > revision; i-- {
		ch := c.history.changes[i-1]
		if s.undone == nil {
			s.undone = map[ref]object{}
		}
		s.undone[refOf(ch.kind, ch.object)] = ch.old
	}
	return s
}

// seenBy returns the state that a read sees: the current one, or an older one
// if a fault asked for it.
func (c *Cluster) seenBy(action *Action) snapshot {
	last := c.history.last()
	return c.at(last - min(last, uint64(action.lag)))
}

func (s snapshot) get(k *kind, namespace, name string) (object, bool) {
	if o, ok := s.undone[ref{k, namespace, name}]; ok {
		return o, o != nil
	}
	return s.state.get(k, namespace, name)
}

func (s snapshot) list(k *kind, namespace string) []object {
	return s.merge(s.state.list(k, namespace), func(r ref, _ object) bool {
		return r.kind == k && (namespace == "" || r.namespace == namespace)
	})
}

func (s snapshot) tokenSecrets(namespace, account string) []object {
	return s.merge(s.state.tokenSecrets(namespace, account), func(r ref, o object) bool {
		return r.kind == secrets && r.namespace == namespace && isTokenSecretOf(o, account)
	})
}

// merge replaces in list what was undone, and keeps its order.
func (s snapshot) merge(list []object, belongs func(ref, object) bool) []object {
	if len(s.undone) == 0 {
		return list
	}
	list = slices.DeleteFunc(list, func(o object) bool {
		_, undone := s.undone[refOf(kindOf(o), o)]
		return undone
	})
	for r, o := range s.undone {
		if o != nil && belongs(r, o) {
			list = append(list, o)
		}
	}
	slices.SortFunc(list, func(a, b object) int { return strings.Compare(storageKey(a), storageKey(b)) })
	return list
}

// storageKey orders objects of one kind as an API server lists them.
func storageKey(o object) string { return o.GetNamespace() + "/" + o.GetName() }

func isTokenSecretOf(o object, account string) bool {
	secret, ok := o.(*corev1.Secret)
	return ok && secret.Type == corev1.SecretTypeServiceAccountToken && secret.Annotations[corev1.ServiceAccountNameKey] == account
}
