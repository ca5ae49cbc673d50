package tokenrequest_test

import (
	"context"
	"errors"
	"testing"

	authenticationv1 "k8s.io/api/authentication/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/kubesa/serviceaccount/tokens"
	"github.com/kubesa/serviceaccount/tokens/internal/tokentest"
)

// REQ-15, REQ-36..38, REQ-58: a kind that Kubernetes binds no tokens to.
func TestTokenRequestForFurtherKind(t *testing.T) {
	tests := []struct {
		name             string
		apiVersion, kind string
		change           func(*requestWorld, *tokentest.Jobs)
		code             int32 // 0 if the token is made
	}{
		{"job", "batch/v1", "Job", func(*requestWorld, *tokentest.Jobs) {}, 0},
		{"the right UID", "batch/v1", "Job", func(w *requestWorld, _ *tokentest.Jobs) { w.request.Spec.BoundObjectRef.UID = "uid-of-nightly" }, 0},
		{"another UID", "batch/v1", "Job", func(w *requestWorld, _ *tokentest.Jobs) { w.request.Spec.BoundObjectRef.UID = "x" }, 409},
		{"missing", "batch/v1", "Job", func(_ *requestWorld, j *tokentest.Jobs) { delete(j.Objects, "nightly") }, 404},
		{"down", "batch/v1", "Job", func(_ *requestWorld, j *tokentest.Jobs) { j.Err = apierrors.NewServiceUnavailable("down") }, 503},
		{"neither object nor error", "batch/v1", "Job", func(_ *requestWorld, j *tokentest.Jobs) { j.Objects["nightly"] = nil }, 500},
		{"of another namespace", "batch/v1", "Job", func(_ *requestWorld, j *tokentest.Jobs) { j.Objects["nightly"].Namespace = "prod" }, 500},
		{"without UID", "batch/v1", "Job", func(_ *requestWorld, j *tokentest.Jobs) { j.Objects["nightly"].UID = "" }, 400},
		{"unknown kind", "batch/v1", "CronJob", func(*requestWorld, *tokentest.Jobs) {}, 400},
		{"no version", "", "Job", func(*requestWorld, *tokentest.Jobs) {}, 400},
		{"switched off", "batch/v1", "Job", func(w *requestWorld, _ *tokentest.Jobs) { w.cfg.Objects = nil }, 400},
		{"a pod without the checks of pods", "v1", "Pod", func(w *requestWorld, _ *tokentest.Jobs) { w.cfg.Pods = nil; w.cfg.Objects = tokentest.AnyObject{} }, 400},
		{"a node", "v2", "Node", func(w *requestWorld, _ *tokentest.Jobs) { w.cfg.Objects = tokentest.AnyObject{} }, 400},
		{"a webhook", "admissionregistration.k8s.io/v1beta1", "ValidatingWebhookConfiguration", func(w *requestWorld, _ *tokentest.Jobs) {
			w.cfg.Objects = tokentest.AnyObject{}
			w.cfg.Webhooks = w.World
			w.cfg.Attest = func(context.Context, authenticationv1.UserInfo, string) (bool, string, error) { return true, "", nil }
		}, 400},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w, j := newRequestWorld(), tokentest.NewJobs()
			w.cfg.Objects = j
			w.bindTo(tt.apiVersion, tt.kind, "nightly")
			tt.change(w, j)
			got, err := w.create(t)
			if tt.code != 0 {
				var status apierrors.APIStatus
				if !errors.As(err, &status) || status.Status().Code != tt.code {
					t.Fatalf("Create() = %v, want the code %d", err, tt.code)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			a := tokentest.NewAuthenticator(t, w.World, func(cfg *tokens.AuthenticatorConfig) { cfg.Objects = j })
			id, err := a.Authenticate(t.Context(), got.Status.Token)
			want := tokens.BoundObject{APIVersion: "batch/v1", Kind: "Job", Name: "nightly", UID: "uid-of-nightly"}
			if err != nil || id.Object != want {
				t.Fatalf("Authenticate() = %+v, %v, want it bound to %v", id, err, want)
			}
		})
	}
}
