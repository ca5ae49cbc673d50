package clientgo_test

import (
	"testing"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes"
	kubernetesfake "k8s.io/client-go/kubernetes/fake"

	"github.com/kubesa/serviceaccount/fake"
	"github.com/kubesa/serviceaccount/fake/clientgo"
)

// world is a clientset in front of an Authority, with the settled Namespace ci.
func world(t *testing.T, objects ...runtime.Object) (kubernetes.Interface, *fake.Authority) {
	t.Helper()
	authority := newAuthority(t)
	clientset := kubernetesfake.NewClientset(append(objects, namespace("ci"))...)
	install(t, clientset, clientgo.Config{Authority: authority})
	settle(t, authority)
	return clientset, authority
}

func newAuthority(t *testing.T) *fake.Authority {
	t.Helper()
	authority, err := fake.NewAuthority(fake.AuthorityConfig{})
	if err != nil {
		t.Fatal(err)
	}
	return authority
}

func install(t *testing.T, clientset *kubernetesfake.Clientset, cfg clientgo.Config) {
	t.Helper()
	if err := clientgo.Install(clientset, cfg); err != nil {
		t.Fatal(err)
	}
}

func settle(t *testing.T, authority *fake.Authority) {
	t.Helper()
	if err := authority.Settle(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func token(t *testing.T, clientset kubernetes.Interface, namespace, name string, spec authenticationv1.TokenRequestSpec) string {
	t.Helper()
	answer, err := clientset.CoreV1().ServiceAccounts(namespace).CreateToken(t.Context(), name, &authenticationv1.TokenRequest{Spec: spec}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return answer.Status.Token
}

func review(t *testing.T, clientset kubernetes.Interface, token string, audiences ...string) authenticationv1.TokenReviewStatus {
	t.Helper()
	answer, err := clientset.AuthenticationV1().TokenReviews().Create(t.Context(), &authenticationv1.TokenReview{
		Spec: authenticationv1.TokenReviewSpec{Token: token, Audiences: audiences},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return answer.Status
}

func namespace(name string) *corev1.Namespace {
	return &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}
}

func account(namespace, name string) *corev1.ServiceAccount {
	return &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}}
}

func pod(namespace, name, account string) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		Spec: corev1.PodSpec{
			ServiceAccountName: account,
			Containers:         []corev1.Container{{Name: "main", Image: "example.com/main"}},
		},
	}
}

// wantReason checks that err is an answer of the API with a reason.
func wantReason(t *testing.T, err error, reason metav1.StatusReason) {
	t.Helper()
	if got := apierrors.ReasonForError(err); err == nil || got != reason {
		t.Errorf("got %v with reason %q, want the reason %q", err, got, reason)
	}
}
