package tokens_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubesa/serviceaccount/tokens"
	"github.com/kubesa/serviceaccount/tokens/internal/tokentest"
)

func jobClaims() object {
	claims := tokentest.BoundClaims()
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
		change func(*tokentest.Jobs)
		reason tokens.Reason
	}{
		{"there", func(*tokentest.Jobs) {}, ""},
		{"missing", func(j *tokentest.Jobs) { delete(j.Objects, "nightly") }, tokens.ReasonNotFound},
		{"recreated", func(j *tokentest.Jobs) { j.Objects["nightly"].UID = "x" }, tokens.ReasonRecreated},
		{"deleted 60 s ago", func(j *tokentest.Jobs) {
			j.Objects["nightly"].DeletionTimestamp = &metav1.Time{Time: now.Add(-time.Minute)}
		}, ""},
		{"deleted 61 s ago", func(j *tokentest.Jobs) {
			j.Objects["nightly"].DeletionTimestamp = &metav1.Time{Time: now.Add(-61 * time.Second)}
		}, tokens.ReasonDeleted},
		{"kind unknown by now", func(j *tokentest.Jobs) { j.Err = tokens.ErrUnsupportedKind }, tokens.ReasonUnsupported},
		{"down", func(j *tokentest.Jobs) { j.Err = errors.New("down") }, tokens.ReasonUnavailable},
		{"of another namespace", func(j *tokentest.Jobs) { j.Objects["nightly"].Namespace = "prod" }, tokens.ReasonUnavailable},
		{"neither object nor error", func(j *tokentest.Jobs) { j.Objects["nightly"] = nil }, tokens.ReasonUnavailable},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			j := tokentest.NewJobs()
			a := newCachedAuthenticator(t, tokentest.NewWorld(), func(cfg *tokens.AuthenticatorConfig) { cfg.Objects = j })
			token := tokentest.Mint(t, ecKey, jobClaims())
			a.warm(t, token)
			tt.change(j)
			id, err := a.Authenticate(t.Context(), token)
			if !a.cached {
				t.Error("the signature was checked again")
			}
			if tt.reason == tokens.ReasonUnsupported && !strings.HasPrefix(a.event.Detail, "batch/v1, Kind=Job: ") {
				t.Errorf("the detail is %q, want the kind", a.event.Detail)
			}
			switch tt.reason {
			case "":
				if err != nil {
					t.Fatal(err)
				}
				if id.Object != (tokens.BoundObject{APIVersion: "batch/v1", Kind: "Job", Name: "nightly", UID: "uid-of-nightly"}) {
					t.Errorf("Object = %+v, want what the token says", id.Object)
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

	_, err := tokentest.NewAuthenticator(t, tokentest.NewWorld(), nil).Authenticate(t.Context(), tokentest.Mint(t, ecKey, jobClaims()))
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
			a := tokentest.NewAuthenticator(t, tokentest.NewWorld(), func(cfg *tokens.AuthenticatorConfig) { cfg.Objects = tokentest.NewJobs() })
			_, err := a.Authenticate(t.Context(), tokentest.Mint(t, ecKey, claims))
			wantInvalid(t, err, tokens.ReasonInvalidClaim, tt.what)
		})
	}
}
