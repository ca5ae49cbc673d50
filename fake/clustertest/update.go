package clustertest

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func aboutUpdates() []Promise {
	return []Promise{
		promise("an update gives a larger resourceVersion and keeps the UID", updateMovesOn),            // F02
		promise("an update that changes nothing keeps the resourceVersion", updateOfNothing),            // S6
		promise("an update with an old resourceVersion is a Conflict and changes nothing", staleUpdate), // F01
		promise("an update without a resourceVersion replaces whatever is there", unconditionalUpdate),  // ADM-233
		promise("an update with another UID is a Conflict and changes nothing", updateOfAnother),        // F01
		promise("an update of nothing is NotFound and creates nothing", updateOfNobody),                 // ADM-233
		promise("an update can't change the UID or the creationTimestamp", updateKeepsOrigin),           // F02
		promise("an update that begins a deletion is Invalid", updateCantDelete),                        // F02
		promise("an update can't make a name or a label bad", updateIsValidated),
		promise("an update removes what it leaves out", updateReplaces),
	}
}

func copyOf(o object) object { return o.DeepCopyObject().(object) }

func labelled(o object, value string) object {
	o = copyOf(o)
	o.SetLabels(map[string]string{"label": value})
	return o
}

func updateMovesOn(r *room) {
	r.updatable(func(k kind) {
		before := k.make(r, nil)
		after := k.change(r, labelled(before, "new"))
		r.newer("update of a "+k.name, after, before)
		created, was := after.GetCreationTimestamp(), before.GetCreationTimestamp()
		if after.GetUID() != before.GetUID() || !created.Equal(&was) {
			r.failf("update of a %s changed its UID or creationTimestamp", k.name)
		}
		if got := k.read(r, before); !equality.Semantic.DeepEqual(got, after) || got.GetLabels()["label"] != "new" {
			r.failf("update of a %s returned %v, and get %v", k.name, after, got)
		}
	})
}

func updateOfNothing(r *room) {
	r.updatable(func(k kind) {
		before := k.change(r, labelled(k.make(r, nil), "old"))
		after := k.change(r, copyOf(before))
		if after.GetResourceVersion() != before.GetResourceVersion() || k.read(r, before).GetResourceVersion() != before.GetResourceVersion() {
			r.failf("update of a %s with itself gave resourceVersion %s after %s", k.name, after.GetResourceVersion(), before.GetResourceVersion())
		}
	})
}

func staleUpdate(r *room) {
	r.updatable(func(k kind) {
		old := k.make(r, nil)
		current := k.change(r, labelled(old, "first"))
		_, err := k.update(r.cluster, r.ctx, labelled(old, "second"))
		r.rejected("update of a "+k.name+" with an old resourceVersion", err, rejection{metav1.StatusReasonConflict, k.resource, old.GetName()})
		k.unchanged(r, "a rejected update", current)

		never := labelled(current, "third")
		never.SetResourceVersion(fmt.Sprint(revision(r, current) + 1<<40))
		_, err = k.update(r.cluster, r.ctx, never)
		r.rejected("update of a "+k.name+" with a resourceVersion that never was", err, rejection{metav1.StatusReasonConflict, k.resource, old.GetName()})
		k.unchanged(r, "a rejected update", current)
	})
}

// unchanged fails unless o is what the cluster has.
func (k kind) unchanged(r *room, what string, o object) {
	if got := k.read(r, o); !equality.Semantic.DeepEqual(got, o) {
		r.failf("%s changed the %s from %v to %v", what, k.name, o, got)
	}
}

func unconditionalUpdate(r *room) {
	r.updatable(func(k kind) {
		for _, rv := range []string{"", "0"} {
			old := k.make(r, nil)
			current := k.change(r, labelled(old, "first"))
			blind := labelled(old, "second")
			blind.SetResourceVersion(rv)
			blind.SetUID("")
			after := k.change(r, blind)
			r.newer("update of a "+k.name+" without a resourceVersion", after, current)
			if after.GetLabels()["label"] != "second" || after.GetUID() != old.GetUID() {
				r.failf("update of a %s with resourceVersion %q gave %v", k.name, rv, after)
			}
		}
	})
}

func updateOfAnother(r *room) {
	r.updatable(func(k kind) {
		current := k.make(r, nil)
		other := labelled(current, "other")
		other.SetUID("00000000-dead-4000-8000-000000000000")
		for _, rv := range []string{current.GetResourceVersion(), ""} {
			other.SetResourceVersion(rv)
			_, err := k.update(r.cluster, r.ctx, other)
			r.rejected("update of a "+k.name+" with another UID", err, rejection{metav1.StatusReasonConflict, k.resource, current.GetName()})
		}
		k.unchanged(r, "a rejected update", current)
	})
}

func updateOfNobody(r *room) {
	r.updatable(func(k kind) {
		o := k.new()
		o.SetNamespace(r.namespace)
		o.SetName("clustertest-nothing")
		_, err := k.update(r.cluster, r.ctx, o)
		r.rejected("update of a "+k.name+" that isn't there", err, rejection{metav1.StatusReasonNotFound, k.resource, o.GetName()})
		o.SetUID("00000000-dead-4000-8000-000000000000")
		_, err = k.update(r.cluster, r.ctx, o)
		r.rejected("update of a "+k.name+" that isn't there any more", err, rejection{metav1.StatusReasonNotFound, k.resource, o.GetName()})
		k.absent(r, o)
	})
}

func updateKeepsOrigin(r *room) {
	r.updatable(func(k kind) {
		before := k.make(r, nil)
		o := labelled(before, "new")
		o.SetUID("")
		o.SetCreationTimestamp(metav1.NewTime(longAgo))
		after := k.change(r, o)
		created, was := after.GetCreationTimestamp(), before.GetCreationTimestamp()
		if after.GetUID() != before.GetUID() || !created.Equal(&was) {
			r.failf("update of a %s without a UID and with another creationTimestamp changed them", k.name)
		}
	})
}

func updateCantDelete(r *room) {
	at, seconds := metav1.NewTime(longAgo), int64(1)
	r.updatable(func(k kind) {
		before := k.make(r, nil)
		for field, set := range map[string]func(object){
			"metadata.deletionTimestamp":          func(o object) { o.SetDeletionTimestamp(&at) },
			"metadata.deletionGracePeriodSeconds": func(o object) { o.SetDeletionGracePeriodSeconds(&seconds) },
		} {
			o := labelled(before, "new")
			set(o)
			_, err := k.update(r.cluster, r.ctx, o)
			r.invalid("update of a "+k.name+" that sets "+field, err, k.name, before.GetName(), metav1.CauseTypeFieldValueInvalid, field)
		}
		k.unchanged(r, "a rejected update", before)
	})
}

func updateIsValidated(r *room) {
	r.updatable(func(k kind) {
		before := k.make(r, nil)
		_, err := k.update(r.cluster, r.ctx, labelled(before, "two words"))
		r.invalid("update of a "+k.name+" with a bad label", err, k.name, before.GetName(), metav1.CauseTypeFieldValueInvalid, "metadata.labels")
		k.unchanged(r, "a rejected update", before)
	})
}

func updateReplaces(r *room) {
	secret := r.secret("s")
	secret.Labels, secret.Annotations = map[string]string{"a": "b"}, map[string]string{"a": "b"}
	secret = create(r, Cluster.CreateSecret, secret)
	secret.Labels, secret.Annotations, secret.Data = nil, nil, map[string][]byte{"other": []byte("value")}
	update(r, Cluster.UpdateSecret, secret)
	got := get(r, Cluster.GetSecret, "s")
	if got.Labels != nil || got.Annotations != nil || len(got.Data) != 1 || string(got.Data["other"]) != "value" {
		r.failf("a Secret has labels %v, annotations %v and %d keys after an update without labels and annotations and with one key", got.Labels, got.Annotations, len(got.Data))
	}
	account := r.account("builder")
	account.Secrets = []corev1.ObjectReference{{Name: "a"}, {Name: "b"}}
	account = create(r, Cluster.CreateServiceAccount, account)
	account.Secrets = account.Secrets[1:]
	update(r, Cluster.UpdateServiceAccount, account)
	if got := get(r, Cluster.GetServiceAccount, "builder").Secrets; len(got) != 1 || got[0].Name != "b" {
		r.failf("an account has the secrets %v after an update with b alone", got)
	}
}
