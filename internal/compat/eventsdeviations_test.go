package compat

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/kubesa/serviceaccount/fake"
)

// eventDeviations are the differences that a sequence may leave, each by the
// object that differs and by what both sides did. The first that fits counts.
func eventDeviations() []deviation[eventDifference] {
	type d = deviation[eventDifference]
	return []d{
		{"CTL-51: a signature that failed is tried again", func(d *eventDifference) bool {
			theirs, ours := d.secrets()
			return theirs != nil && ours != nil && d.signFailed && !hasToken(theirs) && hasToken(ours)
		}},
		{"CTL-21, CTL-23: a stale cache doesn't cost a Secret of an account that exists", func(d *eventDifference) bool {
			// Nor its reference. The Secret is a difference of its own then.
			lost, only := d.lostReferences()
			if only && all(lost, func(name string) bool {
				return d.oursState.has("Secret", d.key.namespace, name) && d.upstreamDid("delete", "secrets", name)
			}) {
				return true
			}
			_, ours := d.secrets()
			return d.onlyUpstreamDeleted() && d.oursState.hasOwner(ours) && d.userDid("delete", "serviceaccounts", ours.Annotations[corev1.ServiceAccountNameKey])
		}},
		{"CTL-21, CTL-42: a Secret that was given to an account since then is not deleted", func(d *eventDifference) bool {
			_, ours := d.secrets()
			return d.onlyUpstreamDeleted() && d.oursState.hasOwner(ours) && d.userDid("update", "secrets", d.key.name)
		}},
		{"CTL-69: the reference to a Secret that was created again stays", func(d *eventDifference) bool {
			lost, only := d.lostReferences()
			return only && d.upstreamDid("update", "serviceaccounts", d.key.name) && all(lost, func(name string) bool {
				return d.oursState.has("Secret", d.key.namespace, name) && d.userDid("create", "secrets", name)
			})
		}},
		{"CTL-7: the reference to a Secret goes whose deletion was noticed late", func(d *eventDifference) bool {
			kept, only := d.keptReferences()
			return only && d.relist && all(kept, func(name string) bool { return !d.oursState.has("Secret", d.key.namespace, name) })
		}},
		{"CTL-5, CTL-7: the tokens of an account go that was created again while no watch told", func(d *eventDifference) bool {
			theirs, ours := d.secrets()
			account := ""
			if theirs != nil {
				account = theirs.Annotations[corev1.ServiceAccountNameKey]
			}
			deleted := ours == nil || ours.DeletionTimestamp != nil
			return deleted && account != "" && theirs.DeletionTimestamp == nil && d.relist && !d.upstreamState.hasOwner(theirs) &&
				d.upstreamState.has("ServiceAccount", d.key.namespace, account) && d.userDid("delete", "serviceaccounts", account)
		}},
		{"CTL-68: removing a reference that failed is tried again", func(d *eventDifference) bool {
			kept, only := d.keptReferences()
			return only && (d.upstreamFailed("get", "serviceaccounts") || d.upstreamFailed("update", "serviceaccounts")) && all(kept, func(name string) bool { return !d.oursState.has("Secret", d.key.namespace, name) })
		}},
		{"CTL-4, CTL-60: a Secret that was given away and is gone is looked up under its first account, too", func(d *eventDifference) bool {
			// Upstream has this chance as well, when an attempt failed and comes late.
			kept, only := d.keptReferences()
			if !only && d.upstreamFailures() > 0 {
				kept, only = d.lostReferences()
			}
			return only && all(kept, func(name string) bool {
				return !d.oursState.has("Secret", d.key.namespace, name) && !d.upstreamState.has("Secret", d.key.namespace, name) && d.userDid("update", "secrets", name)
			})
		}},
		{"CTL-54: a Secret that is being deleted is not filled", func(d *eventDifference) bool {
			theirs, ours := d.secrets()
			return theirs != nil && ours != nil && ours.DeletionTimestamp != nil && theirs.DeletionTimestamp != nil && onlyFilled(theirs, ours)
		}},
		{"CTL-55: a Secret of an account that is being deleted is not filled", func(d *eventDifference) bool {
			theirs, ours := d.secrets()
			return theirs != nil && ours != nil && ours.DeletionTimestamp == nil && d.oursState.ownerDeleted(ours) && onlyFilled(theirs, ours)
		}},
		{"CTL-55, CTL-65: an account that is being deleted keeps its references", func(d *eventDifference) bool {
			lost, only := d.lostReferences()
			return only && d.ours.GetDeletionTimestamp() != nil && all(lost, func(name string) bool { return !d.oursState.has("Secret", d.key.namespace, name) })
		}},
		{"CTL-9: a key that failed eleven times is tried again", func(d *eventDifference) bool {
			return (d.key.kind == "Secret" || d.key.kind == "ServiceAccount") && d.upstreamFailures() >= 11
		}},
		{"RCA-3, RCA-9: nothing is written in a Namespace that is being deleted", func(d *eventDifference) bool {
			ns, ok := d.oursState.objects[objectKey{"Namespace", "", d.key.namespace}]
			return ok && ns.GetDeletionTimestamp() != nil && d.upstreamDid("update", map[string]string{
				"ConfigMap": "configmaps", "ServiceAccount": "serviceaccounts", "Secret": "secrets",
			}[d.key.kind], d.key.name)
		}},
		{"RCA-9: a ConfigMap that is being deleted is left alone", func(d *eventDifference) bool {
			return d.key.kind == "ConfigMap" && d.upstream != nil && d.ours != nil && d.ours.GetDeletionTimestamp() != nil &&
				d.upstreamDid("update", "configmaps", d.key.name)
		}},
	}
}

// secrets returns the Secrets that differ, nil for one that does not exist.
func (d *eventDifference) secrets() (theirs, ours *corev1.Secret) {
	theirs, _ = d.upstream.(*corev1.Secret)
	ours, _ = d.ours.(*corev1.Secret)
	return theirs, ours
}

// onlyUpstreamDeleted says whether upstream deleted a Secret that we left alone.
func (d *eventDifference) onlyUpstreamDeleted() bool {
	theirs, ours := d.secrets()
	return ours != nil && ours.DeletionTimestamp == nil && (theirs == nil || theirs.DeletionTimestamp != nil) && d.upstreamDid("delete", "secrets", d.key.name)
}

// lostReferences returns the Secrets that the account lists on our side only, and
// whether nothing else differs.
func (d *eventDifference) lostReferences() (names []string, only bool) {
	theirs, _ := d.upstream.(*corev1.ServiceAccount)
	ours, _ := d.ours.(*corev1.ServiceAccount)
	return moreReferences(ours, theirs)
}

// keptReferences returns the Secrets that the account lists on upstream's side only.
func (d *eventDifference) keptReferences() (names []string, only bool) {
	theirs, _ := d.upstream.(*corev1.ServiceAccount)
	ours, _ := d.ours.(*corev1.ServiceAccount)
	return moreReferences(theirs, ours)
}

func moreReferences(more, less *corev1.ServiceAccount) (names []string, only bool) {
	if more == nil || less == nil {
		return nil, false
	}
	has := func(a *corev1.ServiceAccount, name string) bool {
		return slices.ContainsFunc(a.Secrets, func(r corev1.ObjectReference) bool { return r.Name == name })
	}
	for _, r := range more.Secrets {
		if !has(less, r.Name) {
			names = append(names, r.Name)
		}
	}
	extra := slices.ContainsFunc(less.Secrets, func(r corev1.ObjectReference) bool { return !has(more, r.Name) })
	return names, len(names) > 0 && !extra && slices.Equal(more.ImagePullSecrets, less.ImagePullSecrets) &&
		(more.DeletionTimestamp == nil) == (less.DeletionTimestamp == nil)
}

func hasToken(s *corev1.Secret) bool { return len(s.Data[corev1.ServiceAccountTokenKey]) > 0 }

// onlyFilled says whether filled is other with more data.
func onlyFilled(filled, other *corev1.Secret) bool {
	for name, value := range other.Data {
		random := name == corev1.ServiceAccountTokenKey && hasToken(filled) // so is its signature
		if name != corev1.ServiceAccountRootCAKey && !random && len(value) > 0 && string(filled.Data[name]) != string(value) {
			return false
		}
	}
	return filled.Type == other.Type && string(filled.Data[corev1.ServiceAccountRootCAKey]) == eventsRootCA
}

func (s worldState) has(kind, namespace, name string) bool {
	_, ok := s.objects[objectKey{kind, namespace, name}]
	return ok
}

// owner returns the account that a Secret belongs to, or nil.
func (s worldState) owner(n *corev1.Secret) metav1.Object {
	owner, ok := s.objects[objectKey{"ServiceAccount", n.Namespace, n.Annotations[corev1.ServiceAccountNameKey]}]
	if uid := n.Annotations[corev1.ServiceAccountUIDKey]; !ok || uid != "" && types.UID(uid) != owner.GetUID() {
		return nil
	}
	return owner
}

func (s worldState) hasOwner(n *corev1.Secret) bool { return s.owner(n) != nil }

func (s worldState) ownerDeleted(n *corev1.Secret) bool {
	owner := s.owner(n)
	return owner != nil && owner.GetDeletionTimestamp() != nil
}

// upstreamDid says whether upstream did something; the answer may have been lost.
func (d *eventDifference) upstreamDid(verb, resource, name string) bool {
	return d.did(d.upstreamActions, func(a fake.Action) bool { return a.Actor == upstreamActor && (a.Err == nil || a.Fault != "") }, verb, resource, name)
}

func (d *eventDifference) userDid(verb, resource, name string) bool {
	return d.did(d.oursActions, func(a fake.Action) bool { return a.Actor == userActor && a.Err == nil }, verb, resource, name)
}

// upstreamFailed says whether an attempt of upstream's failed on purpose.
func (d *eventDifference) upstreamFailed(verb, resource string) bool {
	return slices.ContainsFunc(d.upstreamActions, func(a fake.Action) bool {
		return a.Actor == upstreamActor && a.Fault != "" && a.Verb == verb && a.Resource == resource
	})
}

// upstreamFailures counts the attempts of upstream's that failed on purpose.
func (d *eventDifference) upstreamFailures() (n int) {
	for _, a := range d.upstreamActions {
		if a.Actor == upstreamActor && a.Fault != "" {
			n++
		}
	}
	return n
}

func (d *eventDifference) did(actions []fake.Action, by func(fake.Action) bool, verb, resource, name string) bool {
	return slices.ContainsFunc(actions, func(a fake.Action) bool {
		return by(a) && a.Verb == verb && a.Resource == resource && a.Namespace == d.key.namespace && a.Name == name
	})
}

func all(names []string, holds func(string) bool) bool {
	return !slices.ContainsFunc(names, func(name string) bool { return !holds(name) })
}
