package jobs_test

import (
	"context"
	"testing"

	admissionv1 "k8s.io/api/admission/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubesa/serviceaccount/admission"
	"github.com/kubesa/serviceaccount/fake"
)

// A world is a cluster with everything that service accounts are about. It takes
// milliseconds to make, so each test has its own: there is no TestMain, and nothing
// to clean up.
type world struct {
	*fake.Authority
	client
}

// client is the API as programs see it: pods are admitted before they are stored.
type client struct {
	*fake.Cluster
	plugin *admission.Plugin
}

func (c client) CreatePod(ctx context.Context, pod *corev1.Pod) (*corev1.Pod, error) {
	pod = pod.DeepCopy()
	err := c.plugin.Admit(ctx, admission.Request{Operation: admissionv1.Create, Namespace: pod.Namespace, Name: pod.Name, Pod: pod})
	if err != nil {
		return nil, err
	}
	return c.Cluster.CreatePod(ctx, pod)
}

// newWorld returns a world with the namespaces, at rest.
func newWorld(t *testing.T, namespaces ...string) *world {
	t.Helper()
	authority, err := fake.NewAuthority(fake.AuthorityConfig{})
	if err != nil {
		t.Fatal(err)
	}
	plugin, err := admission.New(admission.Config{ServiceAccounts: authority.Cluster, Strict: true})
	if err != nil {
		t.Fatal(err)
	}
	w := &world{authority, client{authority.Cluster, plugin}}
	for _, name := range namespaces {
		if _, err := w.CreateNamespace(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}); err != nil {
			t.Fatal(err)
		}
	}
	w.settle(t)
	return w
}

// settle lets the controllers come to rest: each namespace has its default account,
// and one that was deleted is gone.
func (w *world) settle(t *testing.T) {
	t.Helper()
	if err := w.Authority.Settle(t.Context()); err != nil {
		t.Fatalf("the controllers don't come to rest: %v\n%s", err, fake.FormatActions(w.Actions()))
	}
}

// mount returns the token that a kubelet puts into the pod.
func (w *world) mount(t *testing.T, pod *corev1.Pod) string {
	t.Helper()
	for _, volume := range pod.Spec.Volumes {
		if volume.Projected == nil {
			continue
		}
		for _, source := range volume.Projected.Sources {
			if source.ServiceAccountToken == nil {
				continue
			}
			request := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{
				ExpirationSeconds: source.ServiceAccountToken.ExpirationSeconds,
				BoundObjectRef:    &authenticationv1.BoundObjectReference{APIVersion: "v1", Kind: "Pod", Name: pod.Name, UID: pod.UID},
			}}
			if audience := source.ServiceAccountToken.Audience; audience != "" {
				request.Spec.Audiences = []string{audience}
			}
			answer, err := w.CreateToken(t.Context(), pod.Namespace, pod.Spec.ServiceAccountName, request)
			if err != nil {
				t.Fatal(err)
			}
			return answer.Status.Token
		}
	}
	t.Fatalf("pod %s has no volume with a token", pod.Name)
	return ""
}

// who returns who has the token, as the API server says; empty if it is refused.
func (w *world) who(t *testing.T, token string) string {
	t.Helper()
	review, err := w.Review(t.Context(), &authenticationv1.TokenReview{Spec: authenticationv1.TokenReviewSpec{Token: token}})
	if err != nil {
		t.Fatal(err)
	}
	return review.Status.User.Username
}
