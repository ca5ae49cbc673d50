package apiserver_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/conversion"
	"k8s.io/apimachinery/pkg/runtime"
	genericadmission "k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"k8s.io/apiserver/pkg/warning"

	"github.com/kubesa/serviceaccount/admission"
	"github.com/kubesa/serviceaccount/apiserver"
	"github.com/kubesa/serviceaccount/fake"
)

// warnings records those of a request.
type warnings []string

func (w *warnings) AddWarning(_, text string) { *w = append(*w, text) }

// SRV-30: Validate checks a pod as it is, which admission plugins may have changed after
// Admit, and sends what it warns of with the response.
func TestAdmissionValidates(t *testing.T) {
	strict := shopAccount("strict")
	strict.Annotations = map[string]string{"kubernetes.io/enforce-mountable-secrets": "yes"}
	p := must(apiserver.NewAdmissionPlugin(admission.Config{ServiceAccounts: fake.New(shopAccount("default"), strict), DisableWait: true}))(t)
	for _, tt := range []struct {
		account  string
		warnings int
		wantErr  string // a part of it
	}{
		{account: "default"},
		{account: "strict", warnings: 1},
		{account: "ghost", wantErr: `pods "pod" is forbidden: `},
		{wantErr: `pods "pod" is forbidden: `}, // Admit would have set it
	} {
		var got warnings
		err := p.Validate(warning.WithWarningRecorder(t.Context(), &got), attributes(podOf(tt.account, ""), "pods", "", genericadmission.Create), nil)
		if (err == nil) != (tt.wantErr == "") || err != nil && !strings.Contains(err.Error(), tt.wantErr) || len(got) != tt.warnings {
			t.Errorf("%q: Validate() = %v with the warnings %q, want %q and %d", tt.account, err, got, tt.wantErr, tt.warnings)
		}
	}
}

// SRV-29: a pod that can't be converted back isn't admitted, and its update isn't
// converted at all.
func TestAdmissionConverts(t *testing.T) {
	p := must(apiserver.NewAdmissionPlugin(admission.Config{ServiceAccounts: fake.New(shopAccount("web")), DisableWait: true}))(t)
	scheme, back := runtime.NewScheme(), 0
	check(t, scheme.AddConversionFunc((*internalPod)(nil), (*corev1.Pod)(nil), func(a, b any, _ conversion.Scope) error {
		a.(*internalPod).Pod.DeepCopyInto(b.(*corev1.Pod))
		return nil
	}))
	check(t, scheme.AddConversionFunc((*corev1.Pod)(nil), (*internalPod)(nil), func(_, _ any, _ conversion.Scope) error {
		back++
		return errors.New("no room")
	}))
	types := genericadmission.NewObjectInterfacesFromScheme(scheme)
	pod := &internalPod{Pod: *podOf("web", "")}
	if err := p.Admit(t.Context(), attributes(pod, "pods", "", genericadmission.Create), types); err == nil || !strings.HasSuffix(err.Error(), "a *apiserver_test.internalPod is not a Pod: no room") {
		t.Errorf("Admit() = %v, want the error of the conversion", err)
	}
	if err := p.Admit(t.Context(), attributes(pod, "pods", "ephemeralcontainers", genericadmission.Update), types); err != nil || back != 1 {
		t.Errorf("Admit() of an update = %v, after %d conversions, want one", err, back)
	}
}

// The authorizer of the server is asked by Attest, who is who asks.
func TestAttestAsks(t *testing.T) {
	down := errors.New("down")
	info := authenticationv1.UserInfo{Username: "system:node:a", UID: "7", Groups: []string{"system:nodes"}}
	for _, tt := range []struct {
		decision authorizer.Decision
		reason   string
		err      error
		allowed  bool
		want     string
	}{
		{decision: authorizer.DecisionAllow, reason: "by RBAC", allowed: true},
		{decision: authorizer.DecisionDeny, reason: "no role", want: "no role"},
		{decision: authorizer.DecisionNoOpinion},
		{decision: authorizer.DecisionDeny, err: down, want: "down"},
		{decision: authorizer.DecisionDeny, reason: "no role", err: down, want: "down: no role"},
	} {
		allowed, reason, err := apiserver.Attest(authorizer.AuthorizerFunc(func(_ context.Context, a authorizer.Attributes) (authorizer.Decision, string, error) {
			if u := a.GetUser(); u.GetName() != info.Username || u.GetUID() != "7" || len(u.GetGroups()) != 1 || a.GetVerb() != "attest" || a.GetAPIGroup() != "authentication.k8s.io" ||
				a.GetAPIVersion() != "*" || a.GetResource() != "admissionReviewAPIGroups" || a.GetName() != "example.org" || !a.IsResourceRequest() {
				t.Errorf("the authorizer is asked for %+v", a)
			}
			return tt.decision, tt.reason, tt.err
		}))(t.Context(), info, "example.org")
		if allowed != tt.allowed || reason != tt.want || err != nil {
			t.Errorf("%+v: Attest() = %v, %q, %v", tt, allowed, reason, err)
		}
	}
}
