package clustertest

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

func aboutDeletes() []Promise {
	return []Promise{
		promise("a deleted object is gone, and a second delete is NotFound", deleteRemoves),
		promise("a delete with another UID is a Conflict and deletes nothing", deleteOfAnother),        // F01
		promise("a delete with an old resourceVersion is a Conflict and deletes nothing", staleDelete), // F01
		promise("a delete as a dry run deletes nothing", dryRunDelete),
		promise("a namesake has another UID, and what is meant for the first does not touch it", namesakes), // C04
		promise("a finalizer keeps a deleted object until it is removed", finalizersKeep),                   // F02
		promise("an update can't take a deletionTimestamp back or add a finalizer then", deletionIsFinal),   // F02
	}
}

// remove deletes o at once.
func (k kind) remove(r *room, o object, want *metav1.Preconditions) error {
	now := int64(0)
	return k.delete(r.cluster, r.ctx, o.GetNamespace(), o.GetName(), metav1.DeleteOptions{GracePeriodSeconds: &now, Preconditions: want})
}

func deleteRemoves(r *room) {
	r.each(func(k kind) {
		nobody := k.new()
		nobody.SetNamespace(r.namespace)
		nobody.SetName("clustertest-nothing")
		r.rejected("delete of a "+k.name+" that isn't there", k.remove(r, nobody, nil), rejection{metav1.StatusReasonNotFound, k.resource, nobody.GetName()})
	})
	r.removable(func(k kind) {
		o := k.make(r, nil)
		r.done("delete of a "+k.name, k.remove(r, o, nil))
		k.absent(r, o)
		r.rejected("second delete of a "+k.name, k.remove(r, o, nil), rejection{metav1.StatusReasonNotFound, k.resource, o.GetName()})
	})
}

func deleteOfAnother(r *room) {
	other := types.UID("00000000-dead-4000-8000-000000000000")
	r.each(func(k kind) {
		o := k.make(r, nil)
		r.rejected("delete of a "+k.name+" with another UID", k.remove(r, o, &metav1.Preconditions{UID: &other}), rejection{reason: metav1.StatusReasonConflict})
		k.unchanged(r, "a rejected delete", o)
	})
	r.removable(func(k kind) {
		o := k.make(r, nil)
		r.done("delete of a "+k.name+" with its UID", k.remove(r, o, &metav1.Preconditions{UID: uidOf(o)}))
		k.absent(r, o)
	})
}

func staleDelete(r *room) {
	r.updatable(func(k kind) {
		old := k.make(r, nil)
		current := k.change(r, labelled(old, "new"))
		stale, fresh := old.GetResourceVersion(), current.GetResourceVersion()
		r.rejected("delete of a "+k.name+" with an old resourceVersion", k.remove(r, old, &metav1.Preconditions{ResourceVersion: &stale}), rejection{reason: metav1.StatusReasonConflict})
		k.unchanged(r, "a rejected delete", current)
		r.done("delete of a "+k.name+" with its resourceVersion", k.remove(r, old, &metav1.Preconditions{UID: uidOf(old), ResourceVersion: &fresh}))
		k.absent(r, old)
	})
}

func dryRunDelete(r *room) {
	r.removable(func(k kind) {
		o := k.make(r, nil)
		err := k.delete(r.cluster, r.ctx, o.GetNamespace(), o.GetName(), metav1.DeleteOptions{DryRun: []string{metav1.DryRunAll}})
		r.done("dry run of a delete of a "+k.name, err)
		k.unchanged(r, "a dry run", o)
	})
}

func namesakes(r *room) {
	r.removable(func(k kind) {
		first := k.make(r, nil)
		r.done("delete of a "+k.name, k.remove(r, first, nil))
		second := k.new()
		second.SetName(first.GetName())
		second.SetNamespace(first.GetNamespace())
		second = k.must(r, "create", second)(k.create(r.cluster, r.ctx, second))
		if second.GetUID() == first.GetUID() {
			r.failf("a %s that was created again has the UID of the first", k.name)
		}
		r.newer("create of a "+k.name+" after a delete", second, first)
		conflict := rejection{reason: metav1.StatusReasonConflict}
		r.rejected("delete of the first "+k.name, k.remove(r, first, &metav1.Preconditions{UID: uidOf(first)}), conflict)
		if k.update != nil {
			_, err := k.update(r.cluster, r.ctx, labelled(first, "late"))
			r.rejected("update of the first "+k.name, err, conflict)
		}
		k.unchanged(r, "what was meant for the first", second)
	})
}

const finalizer = "kubesa.github.com/clustertest"

// kept returns an object that was deleted and that a finalizer keeps.
func (k kind) kept(r *room) object {
	o := k.make(r, func(o object) { o.SetFinalizers([]string{finalizer}) })
	r.done("delete of a "+k.name+" with a finalizer", k.remove(r, o, nil))
	got := k.read(r, o)
	if got.GetDeletionTimestamp() == nil || len(got.GetFinalizers()) != 1 || got.GetUID() != o.GetUID() {
		r.failf("a deleted %s with a finalizer has deletionTimestamp %v and finalizers %q", k.name, got.GetDeletionTimestamp(), got.GetFinalizers())
	}
	r.newer("delete of a "+k.name+" with a finalizer", got, o)
	return got
}

func finalizersKeep(r *room) {
	r.updatable(func(k kind) {
		marked := k.kept(r)
		r.done("second delete of a "+k.name, k.remove(r, marked, nil))
		if again := k.read(r, marked); !again.GetDeletionTimestamp().Equal(marked.GetDeletionTimestamp()) {
			r.failf("the second delete of a %s moved its deletionTimestamp", k.name)
		}
		changed := k.change(r, labelled(k.read(r, marked), "new"))
		if !changed.GetDeletionTimestamp().Equal(marked.GetDeletionTimestamp()) || len(changed.GetFinalizers()) != 1 {
			r.failf("an update of a deleted %s changed its deletionTimestamp or finalizers", k.name)
		}
		namesake := k.new()
		namesake.SetName(marked.GetName())
		namesake.SetNamespace(marked.GetNamespace())
		_, err := k.create(r.cluster, r.ctx, namesake)
		r.rejected("create of a "+k.name+" while a deleted one is there", err, rejection{reason: metav1.StatusReasonAlreadyExists})
		free := copyOf(changed)
		free.SetFinalizers(nil)
		last := k.change(r, free)
		if last.GetUID() != marked.GetUID() {
			r.failf("the update that removes the last finalizer of a %s returned another object", k.name)
		}
		k.absent(r, marked)
	})
}

func deletionIsFinal(r *room) {
	r.updatable(func(k kind) {
		marked := k.kept(r)
		alive := labelled(marked, "alive")
		alive.SetDeletionTimestamp(nil)
		alive.SetDeletionGracePeriodSeconds(nil)
		got := k.change(r, alive)
		if !got.GetDeletionTimestamp().Equal(marked.GetDeletionTimestamp()) {
			r.failf("an update of a %s changed its deletionTimestamp from %v to %v", k.name, marked.GetDeletionTimestamp(), got.GetDeletionTimestamp())
		}
		more := copyOf(got)
		more.SetFinalizers([]string{finalizer, finalizer + "-2"})
		_, err := k.update(r.cluster, r.ctx, more)
		r.invalid("update that adds a finalizer to a deleted "+k.name, err, k.name, marked.GetName(), metav1.CauseTypeForbidden, "metadata.finalizers")
		free := copyOf(got)
		free.SetFinalizers(nil)
		k.change(r, free)
		k.absent(r, marked)
	})
}
