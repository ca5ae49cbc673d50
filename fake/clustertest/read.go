package clustertest

import (
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func aboutReads() []Promise {
	return []Promise{
		promise("a get of nothing is NotFound and says what was asked for", getOfNothing),
		promise("a get in a namespace that does not exist is NotFound of the object", getInNoNamespace),
		promise("a list is of one namespace, or of all", listsAreByNamespace),
		promise("a list of nothing is empty", listsOfNothing),
		promise("a list shows a write at once", listsAreLive),
		promise("TokenSecrets finds the token Secrets of an account and no others", tokenSecretsOfAccount),
		promise("TokenSecrets follows the annotation", tokenSecretsFollow),
	}
}

func getOfNothing(r *room) {
	r.each(func(k kind) {
		got, err := k.get(r.cluster, r.ctx, r.namespace, "clustertest-nothing")
		r.rejected("get of a "+k.name+" that isn't there", err, rejection{metav1.StatusReasonNotFound, k.resource, "clustertest-nothing"})
		_ = got // whatever it is, nobody may look at it
	})
}

func getInNoNamespace(r *room) {
	r.each(func(k kind) {
		if !k.namespaced {
			return
		}
		_, err := k.get(r.cluster, r.ctx, "clustertest-nowhere", "nothing")
		r.rejected("get of a "+k.name+" in no namespace", err, rejection{metav1.StatusReasonNotFound, k.resource, "nothing"})
	})
}

func listsAreByNamespace(r *room) {
	second := r.newNamespace()
	for _, name := range []string{"b", "a"} {
		create(r, Cluster.CreateSecret, r.secret(name))
	}
	secret := r.secret("c")
	secret.Namespace = second
	create(r, Cluster.CreateSecret, secret)

	list, err := r.cluster.ListSecrets(r.ctx, r.namespace)
	r.same("the Secrets of one namespace", names(r, "list of Secrets", list, err), "a", "b")
	list, err = r.cluster.ListSecrets(r.ctx, second)
	r.same("the Secrets of the other namespace", names(r, "list of Secrets", list, err), "c")
	list, err = r.cluster.ListSecrets(r.ctx, "")
	list = slices.DeleteFunc(list, func(s *corev1.Secret) bool { return s.Namespace != r.namespace && s.Namespace != second })
	if all := names(r, "list of all Secrets", list, err); len(all) != 3 {
		r.failf("the Secrets of all namespaces are %q in the two of the test, want a, b and c", all)
	}

	namespaces, err := r.cluster.ListNamespaces(r.ctx)
	if all := names(r, "list of Namespaces", namespaces, err); !slices.Contains(all, r.namespace) || !slices.Contains(all, second) || !slices.IsSorted(all) {
		r.failf("the Namespaces are %q, want %s and %s among them, in order", all, r.namespace, second)
	}
}

// same fails unless got are the names that are wanted, in their order.
func (r *room) same(what string, got []string, want ...string) {
	if !slices.Equal(got, want) {
		r.failf("%s are %q, want %q", what, got, want)
	}
}

func listsOfNothing(r *room) {
	for _, namespace := range []string{r.namespace, "clustertest-nowhere"} {
		secrets, err := r.cluster.ListSecrets(r.ctx, namespace)
		r.same("Secrets of "+namespace, names(r, "list of Secrets", secrets, err))
		secrets, err = r.cluster.TokenSecrets(r.ctx, namespace, "nobody")
		r.same("token Secrets of "+namespace, names(r, "token Secrets", secrets, err))
	}
}

func listsAreLive(r *room) {
	secret := create(r, Cluster.CreateSecret, r.tokenSecret("s", "builder"))
	for i := range 5 {
		secret.Labels = map[string]string{"round": fmt.Sprint(i)}
		secret = update(r, Cluster.UpdateSecret, secret)
		list, err := r.cluster.ListSecrets(r.ctx, r.namespace)
		r.same("the Secrets", names(r, "list of Secrets", list, err), "s")
		tokens, err := r.cluster.TokenSecrets(r.ctx, r.namespace, "builder")
		r.same("the token Secrets", names(r, "token Secrets", tokens, err), "s")
		for _, got := range append(list, tokens...) {
			if got.ResourceVersion != secret.ResourceVersion || got.Labels["round"] != fmt.Sprint(i) {
				r.failf("a list shows resourceVersion %s after an update to %s", got.ResourceVersion, secret.ResourceVersion)
			}
		}
	}
	r.done("delete", r.cluster.DeleteSecret(r.ctx, r.namespace, "s", metav1.DeleteOptions{}))
	list, err := r.cluster.ListSecrets(r.ctx, r.namespace)
	r.same("the Secrets after the delete", names(r, "list of Secrets", list, err))
}

func tokenSecretsOfAccount(r *room) {
	second := r.newNamespace()
	for _, name := range []string{"builder-c", "builder-a", "builder-b"} {
		create(r, Cluster.CreateSecret, r.tokenSecret(name, "builder"))
	}
	create(r, Cluster.CreateSecret, r.tokenSecret("other-a", "other"))
	create(r, Cluster.CreateSecret, r.tokenSecret("builder-longer", "builder2"))
	foreign := r.tokenSecret("builder-d", "builder")
	foreign.Namespace = second
	create(r, Cluster.CreateSecret, foreign)
	opaque := r.tokenSecret("builder-opaque", "builder")
	opaque.Type = corev1.SecretTypeOpaque
	create(r, Cluster.CreateSecret, opaque)
	uid := r.tokenSecret("builder-uid", "builder")
	uid.Annotations[corev1.ServiceAccountUIDKey] = "of-an-earlier-account"
	create(r, Cluster.CreateSecret, uid)

	list, err := r.cluster.TokenSecrets(r.ctx, r.namespace, "builder")
	r.same("the token Secrets of builder", names(r, "token Secrets", list, err), "builder-a", "builder-b", "builder-c", "builder-uid")
	list, err = r.cluster.TokenSecrets(r.ctx, second, "builder")
	r.same("the token Secrets of builder elsewhere", names(r, "token Secrets", list, err), "builder-d")
	list, err = r.cluster.TokenSecrets(r.ctx, r.namespace, "build")
	r.same("the token Secrets of build", names(r, "token Secrets", list, err))
}

func tokenSecretsFollow(r *room) {
	secret := create(r, Cluster.CreateSecret, r.tokenSecret("s", "builder"))
	metav1.SetMetaDataAnnotation(&secret.ObjectMeta, corev1.ServiceAccountNameKey, "other")
	update(r, Cluster.UpdateSecret, secret)
	list, err := r.cluster.TokenSecrets(r.ctx, r.namespace, "builder")
	r.same("the token Secrets of builder, after the annotation names another account", names(r, "token Secrets", list, err))
	list, err = r.cluster.TokenSecrets(r.ctx, r.namespace, "other")
	r.same("the token Secrets of other", names(r, "token Secrets", list, err), "s")
	r.done("delete", r.cluster.DeleteSecret(r.ctx, r.namespace, "s", metav1.DeleteOptions{}))
	list, err = r.cluster.TokenSecrets(r.ctx, r.namespace, "other")
	r.same("the token Secrets of other, after the delete", names(r, "token Secrets", list, err))
}
