package tokenrequest_test

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/kubesa/serviceaccount/tokens"
	"github.com/kubesa/serviceaccount/tokens/internal/tokentest"
	"github.com/kubesa/serviceaccount/tokens/tokenrequest"
)

// askedGetter is every getter, has every object, and remembers the names that it is
// asked for.
type askedGetter struct {
	asked []string
	node  string // of pods
}

func (g *askedGetter) ask(namespace, name string) metav1.ObjectMeta {
	g.asked = append(g.asked, namespace, name)
	return metav1.ObjectMeta{Namespace: namespace, Name: name, UID: "uid"}
}

func (g *askedGetter) GetServiceAccount(_ context.Context, namespace, name string) (*corev1.ServiceAccount, error) {
	return &corev1.ServiceAccount{ObjectMeta: g.ask(namespace, name)}, nil
}
func (g *askedGetter) GetSecret(_ context.Context, namespace, name string) (*corev1.Secret, error) {
	return &corev1.Secret{ObjectMeta: g.ask(namespace, name)}, nil
}
func (g *askedGetter) GetPod(_ context.Context, namespace, name string) (*corev1.Pod, error) {
	return &corev1.Pod{ObjectMeta: g.ask(namespace, name), Spec: corev1.PodSpec{ServiceAccountName: "builder", NodeName: g.node}}, nil
}
func (g *askedGetter) GetNode(_ context.Context, name string) (*corev1.Node, error) {
	return &corev1.Node{ObjectMeta: g.ask("", name)}, nil
}
func (g *askedGetter) GetValidatingWebhookConfiguration(_ context.Context, name string) (*admissionregistrationv1.ValidatingWebhookConfiguration, error) {
	return &admissionregistrationv1.ValidatingWebhookConfiguration{ObjectMeta: g.ask("", name)}, nil
}
func (g *askedGetter) GetMutatingWebhookConfiguration(_ context.Context, name string) (*admissionregistrationv1.MutatingWebhookConfiguration, error) {
	return &admissionregistrationv1.MutatingWebhookConfiguration{ObjectMeta: g.ask("", name)}, nil
}
func (g *askedGetter) GetObject(_ context.Context, _ schema.GroupVersionKind, namespace, name string) (metav1.Object, error) {
	return new(g.ask(namespace, name)), nil
}

// REQ-5, REQ-30..36: a name that no object can have is asked of no getter. The
// answers are those of the storage of kube-apiserver.
func TestTokenRequestNames(t *testing.T) {
	const traversal = "../../../namespaces/kube-system/secrets/x"
	for _, tt := range []struct {
		name string
		code int32
	}{
		{traversal, http.StatusBadRequest}, {"..", http.StatusBadRequest}, {".", http.StatusBadRequest}, {"a%2fb", http.StatusBadRequest}, {"a/b", http.StatusBadRequest},
		{"A", http.StatusNotFound}, {"a?watch=true", http.StatusNotFound}, {"a\x00", http.StatusNotFound}, {strings.Repeat("a", 254), http.StatusNotFound}, {"", http.StatusBadRequest},
	} {
		create := func(namespace, account, apiVersion, kind, name, node string) (*askedGetter, error) {
			g := &askedGetter{node: node}
			r := must(tokenrequest.New(tokenrequest.Config{
				Issuer: tokentest.NewIssuer(t, nil), APIAudiences: []string{api},
				ServiceAccounts: g, Secrets: g, Pods: g, Nodes: g, Objects: g, Webhooks: g,
				Attest: func(context.Context, authenticationv1.UserInfo, string) (bool, string, error) { return true, "", nil },
			}))
			tr := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{Audiences: []string{"https://hook.example"}}}
			if kind != "" {
				tr.Spec.BoundObjectRef = &authenticationv1.BoundObjectReference{APIVersion: apiVersion, Kind: kind, Name: name}
			}
			if strings.HasSuffix(kind, "WebhookConfiguration") {
				tr.Spec.Attestations = map[string]authenticationv1.AttestationValue{tokens.AttestedAPIGroups: {"apps"}}
			}
			_, err := r.Create(t.Context(), namespace, account, tr)
			return g, err
		}
		check := func(what string, g *askedGetter, err error, want int32, mayAsk ...string) {
			t.Helper()
			var status apierrors.APIStatus
			if !errors.As(err, &status) || status.Status().Code != want {
				t.Errorf("%s %q: %v, want the code %d", what, tt.name, err, want)
			}
			if !slices.Equal(g.asked, mayAsk) {
				t.Errorf("%s %q: the getters were asked for %q, want %q", what, tt.name, g.asked, mayAsk)
			}
		}
		g, err := create("ci", tt.name, "", "", "", "")
		check("account", g, err, tt.code)
		if tt.name != "" {
			g, err = create(tt.name, "builder", "", "", "", "")
			check("namespace", g, err, http.StatusNotFound)
		}
		for _, kind := range []string{"Pod", "Secret", "Node"} {
			g, err = create("ci", "builder", "v1", kind, tt.name, "")
			check(kind, g, err, tt.code, "ci", "builder")
		}
		if problem := tt.code == http.StatusBadRequest; problem {
			g, err = create("ci", "builder", "batch/v1", "Job", tt.name, "")
			check("Job", g, err, tt.code, "ci", "builder")
		}
		g, err = create("ci", "builder", "batch/v1", "Job/"+tt.name, "a", "")
		check("kind", g, err, http.StatusBadRequest, "ci", "builder")
		for _, kind := range []string{"ValidatingWebhookConfiguration", "MutatingWebhookConfiguration"} {
			g, err = create("ci", "builder", "admissionregistration.k8s.io/v1", kind, tt.name, "")
			check(kind, g, err, http.StatusForbidden, "ci", "builder")
		}
		if tt.name != "" {
			g, err = create("ci", "builder", "v1", "Pod", "job", tt.name)
			check("node of the pod", g, err, http.StatusBadRequest, "ci", "builder", "ci", "job")
		}
	}
}
