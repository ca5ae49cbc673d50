package apiserver_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/kubesa/serviceaccount/fake"
	"github.com/kubesa/serviceaccount/fake/apiserver"
	"github.com/kubesa/serviceaccount/fake/fault"
)

// Whatever is answered over HTTP is one action of the client, and meets faults.
func TestEveryCallIsAnAction(t *testing.T) {
	for _, tt := range []struct{ line, body, want string }{
		{"POST /api/v1/namespaces/ci/serviceaccounts/builder/token", `{}`, "create serviceaccounts/token ci/builder"},
		{"POST /apis/authentication.k8s.io/v1/tokenreviews", `{"spec": {"token": "x"}}`, "create tokenreviews"},
		{"POST /apis/authentication.k8s.io/v1/selfsubjectreviews", `{}`, "create selfsubjectreviews"},
		{"GET /api/v1/namespaces/ci/pods/web/status", "", "get pods/status ci/web"},
		{"GET /api/v1/namespaces/ci/pods/web/ephemeralcontainers", "", "get pods/ephemeralcontainers ci/web"},
		{"GET /api/v1/namespaces/ci/events", "", "list events ci"},
		{"GET /api/v1/namespaces/ci/events/x", "", "get events ci/x"},
		{"DELETE /api/v1/namespaces/ci/configmaps", "", "deletecollection configmaps ci"},
		{"GET /openid/v1/jwks", "", "get /openid/v1/jwks"},
		{"GET /.well-known/openid-configuration", "", "get /.well-known/openid-configuration"},
	} {
		t.Run(tt.want, func(t *testing.T) {
			a := newAPI(t, apiserver.Config{})
			a.do("GET /api/v1/namespaces/ci", "") // the controllers have worked
			a.cluster.ClearActions()
			code, body := a.do(tt.line, tt.body)
			var calls []string
			for _, action := range a.cluster.Actions() {
				if action.Actor == "" {
					calls = append(calls, action.Op.String())
				}
			}
			if len(calls) != 1 || calls[0] != tt.want {
				t.Errorf("%d %s is the calls %q, want %q\n%s", code, body, calls, tt.want, fake.FormatActions(a.cluster.Actions()))
			}
			verb, rest, _ := strings.Cut(tt.want, " ")
			resource, _, _ := strings.Cut(rest, " ")
			a.cluster.Inject(fault.Nth(1, verb, resource, errors.New("out of order")))
			if code, body := a.do(tt.line, tt.body); code != http.StatusInternalServerError || !strings.Contains(string(body), "out of order") {
				t.Errorf("with a fault: %d %s", code, body)
			}
			if unfired := a.cluster.Unfired(); len(unfired) > 0 {
				t.Errorf("Unfired() = %v", unfired)
			}
		})
	}
}
