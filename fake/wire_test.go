package fake_test

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/kubesa/serviceaccount/fake"
)

// What the API server forgives, the Cluster forgives: the answers were compared with those
// of kube-apiserver.
func TestForgiven(t *testing.T) {
	c := newCI(t)
	node := must[*corev1.Node](t)(c.CreateNode(t.Context(), &corev1.Node{ObjectMeta: meta("ci", "n1")}))
	if node.Namespace != "" {
		t.Errorf("the node is in the namespace %q", node.Namespace)
	}
	node.Namespace = "other"
	if node = must[*corev1.Node](t)(c.UpdateNode(t.Context(), node)); node.Namespace != "" {
		t.Errorf("the node was moved to the namespace %q", node.Namespace)
	}
	secret := secretNamed("a")
	secret.Kind, secret.ResourceVersion = "Secret", "old"
	must[*corev1.Secret](t)(c.CreateSecret(t.Context(), secret))
	_, err := c.UpdateSecret(t.Context(), secret)
	checkError(t, err, metav1.StatusReasonUnknown, `strconv.ParseUint: parsing "old": invalid syntax`)

	ns := must[*corev1.Namespace](t)(c.GetNamespace(t.Context(), "ci"))
	ns.Status.Phase = ""
	if ns = must[*corev1.Namespace](t)(c.UpdateNamespaceStatus(t.Context(), ns)); ns.Status.Phase != corev1.NamespaceActive {
		t.Errorf("the phase is %q, want the default", ns.Status.Phase)
	}
	ns.Status.Phase = corev1.NamespaceTerminating
	_, err = c.UpdateNamespaceStatus(t.Context(), ns)
	checkError(t, err, metav1.StatusReasonInvalid, "Namespace \"ci\" is invalid: status.Phase: Invalid value: \"Terminating\": may only be 'Active' if `deletionTimestamp` is empty")
	_, err = c.PatchSecret(t.Context(), "ci", "a", types.MergePatchType, []byte(`{"apiVersion":"v2"}`))
	if err == nil {
		t.Error("a patch of the version is accepted")
	}
}

// Lists that the API server answers from its cache, or with one get, have one page.
func TestOnePage(t *testing.T) {
	c := newCI(t, secretNamed("a"), secretNamed("b"))
	for _, tt := range []struct {
		namespace, want string
		opts            metav1.ListOptions
	}{
		{"ci", "a …", metav1.ListOptions{}},
		{"ci", "a b", metav1.ListOptions{ResourceVersion: "0"}},
		{"ci", "a", metav1.ListOptions{FieldSelector: "metadata.name=a"}},
		{"", "a", metav1.ListOptions{FieldSelector: "metadata.name=a,metadata.namespace=ci"}},
		{"", "a …", metav1.ListOptions{FieldSelector: "metadata.name=a"}},
	} {
		tt.opts.Limit = 1
		found := must[*corev1.SecretList](t)(c.CoreV1().Secrets(tt.namespace).List(t.Context(), tt.opts))
		got := listed(found)
		if found.Continue != "" {
			got += " …"
		}
		if got != tt.want {
			t.Errorf("a page of %+v is %q, want %q", tt.opts, got, tt.want)
		}
	}
}

// A Pod is found by fields of more than one name.
func TestPodFields(t *testing.T) {
	pod := &corev1.Pod{ObjectMeta: meta("ci", "web")}
	pod.Spec.NodeName, pod.Status.PodIPs = "n1", []corev1.PodIP{{IP: "10.0.0.1"}}
	c := newCI(t, pod)
	for _, selector := range []string{"spec.host=n1", "spec.nodeName=n1", "status.podIPs=10.0.0.1"} {
		if found := must[*corev1.PodList](t)(c.CoreV1().Pods("ci").List(t.Context(), metav1.ListOptions{FieldSelector: selector})); len(found.Items) != 1 {
			t.Errorf("%s selects %d pods, want 1", selector, len(found.Items))
		}
	}
}

// A watch without initial events begins now.
func TestWatchWithoutInitialEvents(t *testing.T) {
	c := newCI(t, secretNamed("a"))
	no := false
	w := must[*fake.Watch](t)(c.Watch(t.Context(), "secrets", "ci", metav1.ListOptions{SendInitialEvents: &no}))
	defer w.Stop()
	must[*corev1.Secret](t)(c.CreateSecret(t.Context(), secretNamed("b")))
	if events := w.Pending(); len(events) != 1 {
		t.Errorf("got %d events, want that of b only", len(events))
	}
}

// Tokens are content: a Namespace that is being deleted takes none.
func TestTokensOfNamespaces(t *testing.T) {
	a := must[*fake.Authority](t)(fake.NewAuthority(fake.AuthorityConfig{Cluster: newCI(t, &corev1.ServiceAccount{ObjectMeta: meta("ci", "builder")})}))
	if err := a.Cluster.DeleteNamespace(t.Context(), "ci", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	_, err := a.CreateToken(t.Context(), "ci", "builder", nil)
	checkError(t, err, metav1.StatusReasonForbidden, `serviceaccounts "builder" is forbidden: unable to create new content in namespace ci because it is being terminated`)
	_, err = a.CreateToken(t.Context(), "gone", "builder", nil)
	checkError(t, err, metav1.StatusReasonNotFound, `namespaces "gone" not found`)
}
