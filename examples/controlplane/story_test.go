package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

const (
	shop       = "/api/v1/namespaces/shop"
	newShop    = `{"apiVersion":"v1","kind":"Namespace","metadata":{"name":"shop"}}`
	tillSecret = `{"metadata":{"name":"till-token","annotations":{"kubernetes.io/service-account.name":"till"}},"type":"kubernetes.io/service-account-token"}`
)

func podOf(name, account string) string {
	return fmt.Sprintf(`{"metadata":{"name":%q},"spec":{"serviceAccountName":%q,"containers":[{"name":"main","image":"busybox"}]}}`, name, account)
}

// The whole story, over HTTP, on a program of its own.
func TestStory(t *testing.T) {
	c := start(t, t.TempDir())

	c.want(t, 201, "POST", "/api/v1/namespaces", newShop)
	account := c.want(t, 200, "GET", shop+"/serviceaccounts/default", "") // at once
	if account.Kind != "ServiceAccount" || account.APIVersion != "v1" || account.Metadata.UID == "" {
		t.Errorf("the default account is %s", account.body)
	}

	pod := c.want(t, 201, "POST", shop+"/pods", podOf("front", ""))
	for _, want := range []string{`"serviceAccountName":"default"`, `"kube-api-access-`, `"expirationSeconds":3607`, `"mountPath":"/var/run/secrets/kubernetes.io/serviceaccount"`} {
		if !strings.Contains(string(pod.Spec), want) {
			t.Errorf("the pod lacks %s: %s", want, pod.Spec)
		}
	}
	refusal := c.want(t, 403, "POST", shop+"/pods", podOf("haunted", "ghost"))
	if refusal.Kind != "Status" || refusal.Reason != "Forbidden" || !strings.Contains(refusal.Message, `serviceaccount "ghost" not found`) {
		t.Errorf("the refusal is %s", refusal.body)
	}
	c.want(t, 404, "GET", shop+"/pods/haunted", "")

	till := c.want(t, 201, "POST", shop+"/serviceaccounts", `{"metadata":{"name":"till"}}`)
	token := c.token(t, "till", `{"spec":{"expirationSeconds":600}}`)
	c.accepted(t, token, "till", till.Metadata.UID)
	c.accepted(t, c.token(t, "till", ""), "till", till.Metadata.UID)
	frontPod := fmt.Sprintf(`{"spec":{"boundObjectRef":{"apiVersion":"v1","kind":"Pod","name":"front","uid":%q}}}`, pod.Metadata.UID)
	bound := c.token(t, "default", frontPod)
	c.accepted(t, bound, "default", account.Metadata.UID)
	c.want(t, 200, "DELETE", shop+"/pods/front", "")
	c.refused(t, bound)

	c.want(t, 201, "POST", shop+"/secrets", tillSecret)
	secret := c.filled(t, shop+"/secrets/till-token")
	c.accepted(t, secret, "till", till.Metadata.UID)

	c.want(t, 409, "DELETE", shop+"/serviceaccounts/till", `{"preconditions":{"uid":"another"}}`)
	c.accepted(t, secret, "till", till.Metadata.UID)
	c.want(t, 200, "DELETE", shop+"/serviceaccounts/till", fmt.Sprintf(`{"preconditions":{"uid":%q}}`, till.Metadata.UID))
	c.refused(t, token)
	c.refused(t, secret)
	eventually(t, func() string {
		if d, err := c.call("GET", shop+"/secrets/till-token", ""); err != nil || d.code != 404 {
			return fmt.Sprintf("the Secret of the deleted account is there: %d, %v", d.code, err)
		}
		return ""
	})

	// A namesake is another account.
	c.want(t, 201, "POST", shop+"/serviceaccounts", `{"metadata":{"name":"till"}}`)
	c.refused(t, token)

	c.want(t, 200, "DELETE", shop+"/serviceaccounts/default", "")
	eventually(t, func() string {
		if d, err := c.call("GET", shop+"/serviceaccounts/default", ""); err != nil || d.code != 200 || d.Metadata.UID == account.Metadata.UID {
			return fmt.Sprintf("the default account was not created again: %d %s, %v", d.code, d.body, err)
		}
		return ""
	})
	c.want(t, 200, "DELETE", shop, "")
	for _, kind := range []string{"serviceaccounts", "secrets", "pods"} {
		if d := c.want(t, 200, "GET", shop+"/"+kind, ""); len(d.Items) != 0 || d.Kind == "" {
			t.Errorf("the namespace is gone, but not its %s: %s", kind, d.body)
		}
	}
	c.want(t, 404, "POST", shop+"/secrets", tillSecret)
}

// token asks for one, as body says.
func (a api) token(t *testing.T, account, body string) string {
	t.Helper()
	d := a.want(t, 201, "POST", shop+"/serviceaccounts/"+account+"/token", body)
	var status struct{ Token string }
	if err := json.Unmarshal(d.Status, &status); err != nil || status.Token == "" {
		t.Fatalf("no token in %s: %v", d.body, err)
	}
	return status.Token
}

// filled waits for the token in a Secret.
func (a api) filled(t *testing.T, path string) (token string) {
	t.Helper()
	eventually(t, func() string {
		d := a.want(t, 200, "GET", path, "")
		token = string(d.Data["token"])
		if token == "" || string(d.Data["namespace"]) == "" || d.Metadata.Annotations["kubernetes.io/service-account.uid"] == "" {
			return "the Secret isn't filled"
		}
		return ""
	})
	return token
}

// review asks TokenReview.
func (a api) review(t *testing.T, token string) (authenticated bool, username, uid string) {
	t.Helper()
	d := a.want(t, 200, "POST", "/apis/authentication.k8s.io/v1/tokenreviews",
		fmt.Sprintf(`{"apiVersion":"authentication.k8s.io/v1","kind":"TokenReview","spec":{"token":%q}}`, token))
	var status struct {
		Authenticated bool
		User          struct{ Username, UID string }
	}
	if err := json.Unmarshal(d.Status, &status); err != nil {
		t.Fatal(err)
	}
	return status.Authenticated, status.User.Username, status.User.UID
}

// accepted checks that token stands for an account of shop, and that TokenReview agrees.
func (a api) accepted(t *testing.T, token, account, uid string) {
	t.Helper()
	username := "system:serviceaccount:shop:" + account
	if d := a.want(t, 200, "GET", "/whoami", "", "Authorization: Bearer "+token); d.Username != username || d.UID != uid {
		t.Errorf("whoami says %s, want %s %s", d.body, username, uid)
	}
	if ok, name, id := a.review(t, token); !ok || name != username || id != uid {
		t.Errorf("TokenReview says %v %s %s, want %s %s", ok, name, id, username, uid)
	}
}

func (a api) refused(t *testing.T, token string) {
	t.Helper()
	d := a.want(t, 401, "GET", "/whoami", "", "Authorization: Bearer "+token)
	if d.Kind != "Status" || d.Reason != "Unauthorized" || strings.Contains(string(d.body), token) {
		t.Errorf("whoami says %s", d.body)
	}
	if ok, _, _ := a.review(t, token); ok {
		t.Error("TokenReview accepts what whoami refuses")
	}
}

// What is published verifies the tokens.
func TestDiscovery(t *testing.T) {
	c := start(t, t.TempDir())
	d := c.want(t, 200, "GET", "/.well-known/openid-configuration", "")
	if want := `"jwks_uri":"https://controlplane.example/openid/v1/jwks"`; !strings.Contains(string(d.body), want) {
		t.Errorf("the configuration lacks %s: %s", want, d.body)
	}
	d = c.want(t, 200, "GET", "/openid/v1/jwks", "")
	if !strings.Contains(string(d.body), `"alg":"ES256"`) {
		t.Errorf("the keys are %s", d.body)
	}
}

// Bad requests get a Status that says so, and change nothing.
func TestBadRequests(t *testing.T) {
	c := start(t, t.TempDir())
	c.want(t, 201, "POST", "/api/v1/namespaces", newShop)
	tests := []struct {
		name, method, path, body string
		code                     int
		reason                   string
	}{
		{"no JSON", "POST", shop + "/secrets", `{"metadata":`, 400, "BadRequest"},
		{"two documents", "POST", shop + "/secrets", `{"metadata":{"name":"s"}} {}`, 400, "BadRequest"},
		{"an array", "POST", shop + "/secrets", `[]`, 400, "BadRequest"},
		{"null", "POST", shop + "/secrets", `null`, 422, "Invalid"},
		{"nothing", "POST", shop + "/secrets", ``, 422, "Invalid"},
		{"name of another type", "POST", shop + "/secrets", `{"metadata":{"name":7}}`, 400, "BadRequest"},
		{"data without base64", "POST", shop + "/secrets", `{"metadata":{"name":"s"},"data":{"k":"!"}}`, 400, "BadRequest"},
		{"no name", "POST", shop + "/secrets", `{}`, 422, "Invalid"},
		{"a slash in the name", "POST", shop + "/secrets", `{"metadata":{"name":"a/b"}}`, 422, "Invalid"},
		{"a dot in the name of a namespace", "POST", "/api/v1/namespaces", `{"metadata":{"name":"a.b"}}`, 422, "Invalid"},
		{"a bad label", "POST", shop + "/secrets", `{"metadata":{"name":"s","labels":{"a":"two words"}}}`, 422, "Invalid"},
		{"another namespace", "POST", shop + "/secrets", `{"metadata":{"name":"s","namespace":"bank"}}`, 400, "BadRequest"},
		{"another kind", "POST", shop + "/secrets", `{"kind":"Pod","metadata":{"name":"s"}}`, 400, "BadRequest"},
		{"a resourceVersion", "POST", shop + "/secrets", `{"metadata":{"name":"s","resourceVersion":"1"}}`, 400, "BadRequest"},
		{"a dry run", "POST", shop + "/secrets?dryRun=All", `{"metadata":{"name":"s"}}`, 400, "BadRequest"},
		{"a dry delete", "DELETE", shop, `{"dryRun":["All"]}`, 400, "BadRequest"},
		{"another dry delete", "DELETE", shop + "?dryRun=All", ``, 400, "BadRequest"},
		{"too much", "POST", shop + "/secrets", `{"metadata":{"name":"s"},"stringData":{"k":"` + strings.Repeat("x", 3<<20) + `"}}`, 413, "RequestEntityTooLarge"},
		{"a namespace that isn't there", "POST", "/api/v1/namespaces/bank/secrets", `{"metadata":{"name":"s"}}`, 404, "NotFound"},
		{"a pod in it", "POST", "/api/v1/namespaces/bank/pods", podOf("p", ""), 403, "Forbidden"},
		{"a namespace twice", "POST", "/api/v1/namespaces", newShop, 409, "AlreadyExists"},
		{"an account twice", "POST", shop + "/serviceaccounts", `{"metadata":{"name":"default"}}`, 409, "AlreadyExists"},
		{"a delete of nothing", "DELETE", shop + "/secrets/s", ``, 404, "NotFound"},
		{"an old resourceVersion", "DELETE", shop + "/serviceaccounts/default", `{"preconditions":{"resourceVersion":"0"}}`, 409, "Conflict"},
		{"a name with a slash", "GET", "/api/v1/namespaces/x/secrets/..%2fshop%2fs", ``, 404, "NotFound"},
		{"a namespace with a slash", "DELETE", "/api/v1/namespaces/%2Fshop", ``, 404, "NotFound"},
		{"a token for nobody", "POST", shop + "/serviceaccounts/ghost/token", ``, 404, "NotFound"},
		{"a token for a minute", "POST", shop + "/serviceaccounts/default/token", `{"spec":{"expirationSeconds":60}}`, 422, "Invalid"},
		{"a token with no JSON", "POST", shop + "/serviceaccounts/default/token", `{`, 400, "BadRequest"},
		{"nobody", "GET", "/whoami", ``, 401, "Unauthorized"},
	}
	before := c.want(t, 200, "GET", shop, "")
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d := c.want(t, tt.code, tt.method, tt.path, tt.body)
			if d.Kind != "Status" || d.APIVersion != "v1" || d.Reason != tt.reason || d.Message == "" {
				t.Errorf("got %s, want a Status with reason %s", d.body, tt.reason)
			}
		})
	}
	if after := c.want(t, 200, "GET", shop, ""); string(after.body) != string(before.body) {
		t.Errorf("the namespace was %s and is %s", before.body, after.body)
	}
	if d := c.want(t, 200, "GET", shop+"/secrets", ""); len(d.Items) != 0 {
		t.Errorf("a bad request left %s", d.body)
	}
	c.want(t, 405, "PUT", shop, newShop)
	c.want(t, 404, "GET", shop+"/configmaps", "")
	c.want(t, 400, "POST", "/apis/authentication.k8s.io/v1/tokenreviews", "{")
}

// What isn't the client's fault is a 500 that tells nothing, and one answer has no effect
// on the next.
func TestInternalError(t *testing.T) {
	mux, fails := http.NewServeMux(), true
	answer(mux, "GET /x", func(*http.Request, *struct{}) (any, error) {
		if fails {
			return nil, errors.New("the disk of the store")
		}
		return map[string]string{"kind": "X"}, nil
	})
	server := httptest.NewServer(mux)
	defer server.Close()
	a := api{server.URL, server.Client()}
	if d := a.want(t, 500, "GET", "/x", ""); d.Kind != "Status" || d.Reason != "InternalError" || strings.Contains(string(d.body), "disk") {
		t.Errorf("got %s", d.body)
	}
	fails = false
	if d := a.want(t, 200, "GET", "/x", ""); d.Kind != "X" {
		t.Errorf("got %s", d.body)
	}
}
