package clustertest

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func aboutNamespaces() []Promise {
	return []Promise{
		promise("a new namespace is active, and says its name in a label", newNamespaces),
		promise("a create in a namespace that does not exist is NotFound of the namespace", createInNoNamespace),                   // C16
		promise("a create in a namespace that is being deleted is Forbidden with cause NamespaceTerminating", createInTerminating), // C16
		promise("what is in a namespace that is being deleted can be read, changed and deleted", changeInTerminating),
	}
}

func newNamespaces(r *room) {
	ns, err := r.cluster.GetNamespace(r.ctx, r.namespace)
	answer(r, "get of a Namespace", ns, err)
	if ns.Status.Phase != corev1.NamespaceActive || ns.Labels[corev1.LabelMetadataName] != ns.Name || !slices.Contains(ns.Spec.Finalizers, corev1.FinalizerKubernetes) {
		r.failf("a new Namespace has phase %q, labels %v and finalizers %q", ns.Status.Phase, ns.Labels, ns.Spec.Finalizers)
	}
}

func createInNoNamespace(r *room) {
	r.each(func(k kind) {
		if !k.namespaced {
			return
		}
		o := k.new()
		o.SetNamespace("clustertest-nowhere")
		o.SetName("nothing")
		_, err := k.create(r.cluster, r.ctx, o)
		r.rejected("create of a "+k.name+" in no namespace", err, rejection{metav1.StatusReasonNotFound, "namespaces", "clustertest-nowhere"})
	})
}

// terminating deletes the namespace of the room, and returns what keeps it from
// going away: a Secret with a finalizer.
func (r *room) terminating() *corev1.Secret {
	secret := r.secret("kept")
	secret.Finalizers = []string{finalizer}
	create(r, Cluster.CreateSecret, secret)
	r.done("delete of a Namespace", r.cluster.DeleteNamespace(r.ctx, r.namespace, metav1.DeleteOptions{}))
	ns, err := r.cluster.GetNamespace(r.ctx, r.namespace)
	answer(r, "get of a deleted Namespace with something in it", ns, err)
	if ns.DeletionTimestamp == nil || ns.Status.Phase != corev1.NamespaceTerminating {
		r.failf("a deleted Namespace with something in it has deletionTimestamp %v and phase %q", ns.DeletionTimestamp, ns.Status.Phase)
	}
	return get(r, Cluster.GetSecret, "kept")
}

// release lets go of what terminating returned.
func (r *room) release(secret *corev1.Secret) {
	r.done("delete", r.cluster.DeleteSecret(r.ctx, r.namespace, secret.Name, metav1.DeleteOptions{}))
	secret = get(r, Cluster.GetSecret, secret.Name)
	secret.Finalizers = nil
	update(r, Cluster.UpdateSecret, secret)
}

func createInTerminating(r *room) {
	secret := r.terminating()
	r.each(func(k kind) {
		if !k.namespaced {
			return
		}
		o := k.new()
		o.SetNamespace(r.namespace)
		o.SetName("late")
		_, err := k.create(r.cluster, r.ctx, o)
		what := "create of a " + k.name + " in a namespace that is being deleted"
		status := r.rejected(what, err, rejection{metav1.StatusReasonForbidden, k.resource, "late"})
		if !slices.ContainsFunc(status.Details.Causes, func(c metav1.StatusCause) bool { return c.Type == corev1.NamespaceTerminatingCause }) {
			r.failf("%s: the causes are %+v, want %s", what, status.Details.Causes, corev1.NamespaceTerminatingCause)
		}
		k.absent(r, o)
	})
	r.release(secret)
}

func changeInTerminating(r *room) {
	create(r, Cluster.CreateServiceAccount, r.account("builder"))
	secret := r.terminating()
	secret.Labels = map[string]string{"a": "b"}
	secret = update(r, Cluster.UpdateSecret, secret)
	if secret.Labels["a"] != "b" {
		r.failf("an update in a namespace that is being deleted gave labels %v", secret.Labels)
	}
	account, err := r.cluster.GetServiceAccount(r.ctx, r.namespace, "builder")
	if err == nil { // the namespace controller may have been faster
		answer(r, "get", account, err)
		_ = r.cluster.DeleteServiceAccount(r.ctx, r.namespace, "builder", metav1.DeleteOptions{})
	}
	r.release(secret)
	_, err = r.cluster.GetSecret(r.ctx, r.namespace, "kept")
	r.rejected("get of what lost its last finalizer", err, rejection{metav1.StatusReasonNotFound, "secrets", "kept"})
}
