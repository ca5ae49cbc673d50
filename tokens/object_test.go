package tokens_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/kubesa/serviceaccount/tokens"
)

// jobs are the Jobs of the namespace ci, a further kind.
type jobs struct {
	objects map[string]*metav1.ObjectMeta
	err     error
}

func (j *jobs) GetObject(_ context.Context, kind schema.GroupVersionKind, namespace, name string) (metav1.Object, error) {
	if kind != (schema.GroupVersionKind{Group: "batch", Version: "v1", Kind: "Job"}) {
		return nil, fmt.Errorf("%s: %w", kind, tokens.ErrUnsupportedKind)
	}
	if j.err != nil {
		return nil, j.err
	}
	object, ok := j.objects[name]
	if !ok || namespace != "ci" {
		return nil, apierrors.NewNotFound(schema.GroupResource{Group: "batch", Resource: "jobs"}, name)
	}
	if object == nil {
		return nil, nil
	}
	return object, nil
}

func newJobs() *jobs {
	nightly := meta("ci", "nightly")
	return &jobs{objects: map[string]*metav1.ObjectMeta{"nightly": &nightly}}
}

// REQ-15, REQ-36..38, REQ-58: a kind that Kubernetes binds no tokens to.
func TestTokenRequestForFurtherKind(t *testing.T) {
	tests := []struct {
		name             string
		apiVersion, kind string
		change           func(*requestWorld, *jobs)
		code             int32 // 0 if the token is made
	}{
		{"job", "batch/v1", "Job", func(*requestWorld, *jobs) {}, 0},
		{"the right UID", "batch/v1", "Job", func(w *requestWorld, _ *jobs) { w.request.Spec.BoundObjectRef.UID = "uid-of-nightly" }, 0},
		{"another UID", "batch/v1", "Job", func(w *requestWorld, _ *jobs) { w.request.Spec.BoundObjectRef.UID = "x" }, 409},
		{"missing", "batch/v1", "Job", func(_ *requestWorld, j *jobs) { delete(j.objects, "nightly") }, 404},
		{"down", "batch/v1", "Job", func(_ *requestWorld, j *jobs) { j.err = apierrors.NewServiceUnavailable("down") }, 503},
		{"neither object nor error", "batch/v1", "Job", func(_ *requestWorld, j *jobs) { j.objects["nightly"] = nil }, 500},
		{"of another namespace", "batch/v1", "Job", func(_ *requestWorld, j *jobs) { j.objects["nightly"].Namespace = "prod" }, 500},
		{"without UID", "batch/v1", "Job", func(_ *requestWorld, j *jobs) { j.objects["nightly"].UID = "" }, 400},
		{"unknown kind", "batch/v1", "CronJob", func(*requestWorld, *jobs) {}, 400},
		{"no version", "", "Job", func(*requestWorld, *jobs) {}, 400},
		{"switched off", "batch/v1", "Job", func(w *requestWorld, _ *jobs) { w.cfg.Objects = nil }, 400},
		{"a pod without the checks of pods", "v1", "Pod", func(w *requestWorld, _ *jobs) { w.cfg.Pods = nil; w.cfg.Objects = anything{} }, 400},
		{"a node", "v2", "Node", func(w *requestWorld, _ *jobs) { w.cfg.Objects = anything{} }, 400},
		{"a webhook", "admissionregistration.k8s.io/v1beta1", "ValidatingWebhookConfiguration", func(w *requestWorld, _ *jobs) {
			w.cfg.Objects = anything{}
			w.cfg.Webhooks = w.world
			w.cfg.Attest = func(context.Context, authenticationv1.UserInfo, string) (bool, string, error) { return true, "", nil }
		}, 400},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w, j := newRequestWorld(), newJobs()
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
			a := newAuthenticator(t, w.world, func(cfg *tokens.AuthenticatorConfig) { cfg.Objects = j })
			id, err := a.Authenticate(t.Context(), got.Status.Token)
			want := tokens.BoundObject{APIVersion: "batch/v1", Kind: "Job", Name: "nightly", UID: "uid-of-nightly"}
			if err != nil || id.Object != want {
				t.Fatalf("Authenticate() = %+v, %v, want it bound to %v", id, err, want)
			}
		})
	}
}

// anything has an object of every kind and name.
type anything struct{}

func (anything) GetObject(_ context.Context, _ schema.GroupVersionKind, namespace, name string) (metav1.Object, error) {
	object := meta(namespace, name)
	return &object, nil
}

func jobClaims() object {
	claims := boundClaims()
	bind(claims, "object", "nightly")
	delete(private(claims), "attestations")
	o := private(claims)["object"].(object)
	o["apiVersion"], o["kind"] = "batch/v1", "Job"
	return claims
}

// A token that is bound to an object of a further kind ends with it, through
// the signature cache, at the very next call (V10..14).
func TestBoundToFurtherKind(t *testing.T) {
	tests := []struct {
		name   string
		change func(*jobs)
		reason tokens.Reason
	}{
		{"there", func(*jobs) {}, ""},
		{"missing", func(j *jobs) { delete(j.objects, "nightly") }, tokens.ReasonNotFound},
		{"recreated", func(j *jobs) { j.objects["nightly"].UID = "x" }, tokens.ReasonRecreated},
		{"deleted 60 s ago", func(j *jobs) { j.objects["nightly"].DeletionTimestamp = &metav1.Time{Time: now.Add(-time.Minute)} }, ""},
		{"deleted 61 s ago", func(j *jobs) {
			j.objects["nightly"].DeletionTimestamp = &metav1.Time{Time: now.Add(-61 * time.Second)}
		}, tokens.ReasonDeleted},
		{"kind unknown by now", func(j *jobs) { j.err = tokens.ErrUnsupportedKind }, tokens.ReasonUnsupported},
		{"down", func(j *jobs) { j.err = errors.New("down") }, tokens.ReasonUnavailable},
		{"of another namespace", func(j *jobs) { j.objects["nightly"].Namespace = "prod" }, tokens.ReasonUnavailable},
		{"neither object nor error", func(j *jobs) { j.objects["nightly"] = nil }, tokens.ReasonUnavailable},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			j := newJobs()
			a := newCachedAuthenticator(t, newWorld(), func(cfg *tokens.AuthenticatorConfig) { cfg.Objects = j })
			token := mint(t, ecKey, jobClaims())
			a.warm(t, token)
			tt.change(j)
			_, err := a.Authenticate(t.Context(), token)
			if !a.cached {
				t.Error("the signature was checked again")
			}
			switch tt.reason {
			case "":
				if err != nil {
					t.Fatal(err)
				}
			case tokens.ReasonUnavailable:
				if _, ok := errors.AsType[*tokens.UnavailableError](err); !ok {
					t.Fatalf("Authenticate() = %v, want an UnavailableError", err)
				}
			default:
				wantInvalid(t, err, tt.reason, "Object")
			}
		})
	}

	_, err := newAuthenticator(t, newWorld(), nil).Authenticate(t.Context(), mint(t, ecKey, jobClaims()))
	wantInvalid(t, err, tokens.ReasonUnsupported, "Object")
}

// The claim is read strictly, and is a binding like any other (V03).
func TestObjectClaim(t *testing.T) {
	for name, tt := range map[string]struct {
		change func(private, o object)
		what   string
	}{
		"no kind":      {func(_, o object) { delete(o, "kind") }, "object"},
		"no version":   {func(_, o object) { delete(o, "apiVersion") }, "object"},
		"no name":      {func(_, o object) { delete(o, "name") }, "object"},
		"no UID":       {func(_, o object) { delete(o, "uid") }, "object"},
		"kind is null": {func(_, o object) { o["kind"] = nil }, "object"},
		"unknown":      {func(_, o object) { o["x"] = 1 }, "object"},
		"a text":       {func(p, _ object) { p["object"] = "x" }, "object"},
		"and a pod":    {func(p, _ object) { p["pod"] = object{"name": "job", "uid": "uid-of-job"} }, "kubernetes.io"},
	} {
		t.Run(name, func(t *testing.T) {
			claims := jobClaims()
			tt.change(private(claims), private(claims)["object"].(object))
			a := newAuthenticator(t, newWorld(), func(cfg *tokens.AuthenticatorConfig) { cfg.Objects = newJobs() })
			_, err := a.Authenticate(t.Context(), mint(t, ecKey, claims))
			wantInvalid(t, err, tokens.ReasonInvalidClaim, tt.what)
		})
	}
}

// M04
func TestIssueForFurtherKindRefuses(t *testing.T) {
	good := tokens.BoundObject{APIVersion: "batch/v1", Kind: "Job", Name: "nightly", UID: "1"}
	for name, change := range map[string]func(*tokens.IssueRequest){
		"no UID":     func(r *tokens.IssueRequest) { r.Object.UID = "" },
		"pod":        func(r *tokens.IssueRequest) { r.Object.APIVersion, r.Object.Kind = "v1", "Pod" },
		"and a pod":  func(r *tokens.IssueRequest) { r.Pod = pod() },
		"and a node": func(r *tokens.IssueRequest) { r.Node = node() },
		"a webhook": func(r *tokens.IssueRequest) {
			r.Object.APIVersion, r.Object.Kind = "admissionregistration.k8s.io/v1", "MutatingWebhookConfiguration"
		},
		"attestation": func(r *tokens.IssueRequest) { r.Attestations = map[string][]string{tokens.AttestedAPIGroups: {"apps"}} },
	} {
		req := tokens.IssueRequest{ServiceAccount: account(), Audiences: []string{api}, Object: good}
		change(&req)
		_, err := newIssuer(t, nil).Issue(t.Context(), req)
		if _, ok := errors.AsType[*tokens.RequestError](err); !ok {
			t.Errorf("%s: Issue() = %v, want a RequestError", name, err)
		}
	}
}
