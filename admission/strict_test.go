package admission_test

import (
	"testing"

	"github.com/kubesa/serviceaccount/admission"
	"github.com/kubesa/serviceaccount/internal/podsecrets"
	"github.com/kubesa/serviceaccount/internal/podsecrets/podsecretstest"
)

// Strict and mirror pods: every field that names a Secret, also one that is new in
// k8s.io/api (the test of podsecrets finds those), is limited.
func TestEveryFieldThatNamesASecretIsLimited(t *testing.T) {
	// A05
	cfg := admission.Config{LimitSecretReferences: true, Strict: true}
	names := 0
	for field, spec := range podsecretstest.Fields() {
		in := pod()
		in.Spec = *spec
		isName := !podsecrets.Visit(spec, podsecrets.AllSources, func(r podsecrets.Reference) bool { return r.Name != podsecretstest.Found })
		if isName {
			names++
		}
		mirrored := in.DeepCopy()
		mirror(mirrored)
		if denied := admission.Check(cfg, create(mirrored), nil) != nil; denied != isName {
			t.Errorf("%s: denied in a mirror pod is %v, want %v", field.Path, denied, isName)
		}
		runsAs("a")(in)
		// Invariant P3: what strict mode allows, the account lists.
		if denied := admission.Check(cfg, create(in), account("a")) != nil; isName && !denied {
			t.Errorf("%s: strict mode allows it", field.Path)
		}
		if err := admission.Check(cfg, create(in), account("a", lists(podsecretstest.Found, ""), pulls(podsecretstest.Found, ""))); err != nil {
			t.Errorf("%s: %v, though the account lists it", field.Path, err)
		}
	}
	if names < 15 {
		t.Errorf("%d fields name Secrets, want at least 15", names)
	}
}
