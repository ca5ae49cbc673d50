package compat

import (
	"context"
	"crypto"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	admissionv1 "k8s.io/api/admission/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/kubesa/serviceaccount"
	"github.com/kubesa/serviceaccount/admission"
	"github.com/kubesa/serviceaccount/internal/compat/controlplane"
	"github.com/kubesa/serviceaccount/keys"
	"github.com/kubesa/serviceaccount/sacontroller"
	"github.com/kubesa/serviceaccount/tokens"
	"github.com/kubesa/serviceaccount/tokens/tokenissuer"
	"github.com/kubesa/serviceaccount/tokens/tokenreview"
	"github.com/kubesa/serviceaccount/tokens/tokensource"
)

// endToEnd is a real API server, and this library beside it.
type endToEnd struct {
	server        *controlplane.ControlPlane
	client        *kubernetes.Clientset
	ours          *serviceaccount.CoreV1
	issuer        *tokenissuer.Issuer
	authenticator *tokens.Authenticator
	plugin        *admission.Plugin
	controllers   []sacontroller.Controller
}

func startEndToEnd(t *testing.T, alg keys.Algorithm, mutate ...func(*controlplane.Config)) *endToEnd {
	t.Helper()
	key := must(keys.Generate(alg))
	cfg := controlplane.Config{
		Issuer: testIssuer, Audiences: []string{"api"}, SigningKey: key, PublicKeys: []crypto.PublicKey{key.Public()},
	}
	for _, m := range mutate {
		m(&cfg)
	}
	server, err := controlplane.Start(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Stop(); err != nil {
			t.Error(err)
		}
	})
	e := &endToEnd{server: server, client: must(kubernetes.NewForConfig(server.Admin()))}
	e.ours = serviceaccount.FromCoreV1(e.client.CoreV1())
	e.issuer = must(tokenissuer.New(tokenissuer.Config{Issuer: testIssuer, Signer: must(keys.NewSigner(key))}))
	e.authenticator = must(tokens.NewAuthenticator(tokens.AuthenticatorConfig{
		Issuers: []string{testIssuer}, APIAudiences: []string{"api"}, Keys: must(keys.NewSet(key.Public())), Legacy: true,
		ServiceAccounts: e.ours, Secrets: e.ours, Pods: e.ours, Nodes: e.ours,
	}))
	e.plugin = must(admission.New(admission.Config{ServiceAccounts: e.ours}))
	e.controllers = []sacontroller.Controller{
		must(sacontroller.NewServiceAccounts(sacontroller.ServiceAccountsConfig{Reader: e.ours, Client: e.ours})),
		must(sacontroller.NewTokens(sacontroller.TokensConfig{Reader: e.ours, Client: e.ours, Issuer: e.issuer, RootCA: server.CA()})),
	}
	return e
}

// poll is the plainest driver: it shows every object to every controller and
// reconciles what is due, once.
func (e *endToEnd) poll(t *testing.T) {
	t.Helper()
	var events []sacontroller.Change
	for _, o := range must(e.client.CoreV1().Namespaces().List(t.Context(), metav1.ListOptions{})).Items {
		events = append(events, sacontroller.Change{Type: watch.Added, Object: &o})
	}
	for _, o := range must(e.client.CoreV1().ServiceAccounts("").List(t.Context(), metav1.ListOptions{})).Items {
		events = append(events, sacontroller.Change{Type: watch.Added, Object: &o})
	}
	for _, o := range must(e.client.CoreV1().Secrets("").List(t.Context(), metav1.ListOptions{})).Items {
		events = append(events, sacontroller.Change{Type: watch.Added, Object: &o})
	}
	for _, c := range e.controllers {
		for _, event := range events {
			for _, key := range c.Due(event) {
				if _, err := c.Reconcile(t.Context(), key); err != nil {
					t.Fatalf("%s: %v: %v", c.Name(), key, err)
				}
			}
		}
	}
}

// review asks the API server about a token.
func (e *endToEnd) review(ctx context.Context, token string) (authenticationv1.TokenReviewStatus, error) {
	review, err := e.client.AuthenticationV1().TokenReviews().Create(ctx, &authenticationv1.TokenReview{Spec: authenticationv1.TokenReviewSpec{Token: token}}, metav1.CreateOptions{})
	if err != nil {
		return authenticationv1.TokenReviewStatus{}, err
	}
	return review.Status, nil
}

// wantBothAccept checks that the API server takes the token for what we take it for,
// as a request's credential and in a TokenReview.
func (e *endToEnd) wantBothAccept(t *testing.T, what, token string) {
	t.Helper()
	ours := tokenreview.Review(t.Context(), &authenticationv1.TokenReview{Spec: authenticationv1.TokenReviewSpec{Token: token}}, e.authenticator).Status
	theirs, err := e.review(t.Context(), token)
	if err != nil {
		t.Fatal(err)
	}
	// That it is authenticated at all is added further up in the API server.
	theirs.User.Groups = slices.DeleteFunc(theirs.User.Groups, func(g string) bool { return g == "system:authenticated" })
	if d := cmp.Diff(theirs, ours, cmpopts.EquateEmpty()); d != "" || !ours.Authenticated {
		t.Errorf("%s: the TokenReviews differ (-Kubernetes +ours):\n%s", what, d)
	}
	bearer := must(kubernetes.NewForConfig(e.server.Bearer(token)))
	self, err := bearer.AuthenticationV1().SelfSubjectReviews().Create(t.Context(), &authenticationv1.SelfSubjectReview{}, metav1.CreateOptions{})
	if err != nil || self.Status.UserInfo.Username != ours.User.Username {
		t.Errorf("%s: the API server takes a request with it for %v (%v), want %s", what, self, err, ours.User.Username)
	}
}

// wantBothRefuse checks that we refuse the token now, and the API server once its
// caches of objects and of tokens, which it keeps for ten seconds, are up to date.
func (e *endToEnd) wantBothRefuse(t *testing.T, what, token string) {
	t.Helper()
	if _, err := e.authenticator.Authenticate(t.Context(), token); err == nil {
		t.Errorf("%s: we accept it", what)
	}
	waitFor(t, patience, "the API server to refuse "+what, func(ctx context.Context) []string {
		if status, err := e.review(ctx, token); err != nil || status.Authenticated {
			return []string{"it accepts it"}
		}
		return nil
	})
}

// bindings makes what tokens can be bound to, and returns how a request and a
// TokenRequest say so.
func (e *endToEnd) bindings(t *testing.T, account *corev1.ServiceAccount) map[string]binding {
	t.Helper()
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "web", Namespace: "shop"}, Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "web", Image: "web"}}}}
	if err := e.plugin.Admit(t.Context(), admission.Request{Operation: admissionv1.Create, Namespace: "shop", Name: "web", Pod: pod}); err != nil {
		t.Fatal(err)
	}
	pod = must(e.client.CoreV1().Pods("shop").Create(t.Context(), pod, metav1.CreateOptions{}))
	secret := must(e.client.CoreV1().Secrets("shop").Create(t.Context(), &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "settings"}}, metav1.CreateOptions{}))
	node := must(e.client.CoreV1().Nodes().Create(t.Context(), &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "node-1"}}, metav1.CreateOptions{}))
	request := tokenissuer.Request{ServiceAccount: account, Audiences: []string{"api"}, Lifetime: time.Hour}
	bound := func(kind string, o metav1.Object, set func(*tokenissuer.Request)) binding {
		b := binding{request: request, ref: &authenticationv1.BoundObjectReference{Kind: kind, APIVersion: "v1", Name: o.GetName(), UID: o.GetUID()}}
		set(&b.request)
		return b
	}
	return map[string]binding{
		"unbound": {request: request},
		"pod":     bound("Pod", pod, func(r *tokenissuer.Request) { r.Pod = pod }),
		"secret":  bound("Secret", secret, func(r *tokenissuer.Request) { r.Secret = secret }),
		"node":    bound("Node", node, func(r *tokenissuer.Request) { r.Node = node }),
	}
}

type binding struct {
	request tokenissuer.Request
	ref     *authenticationv1.BoundObjectReference
}

// Tokens of our Issuer are accepted by a real API server, and those of its
// TokenRequest by our Authenticator, for every algorithm and every kind of object;
// when the objects are gone both refuse them.
func TestEndToEndTokens(t *testing.T) {
	for _, alg := range []keys.Algorithm{keys.RS256, keys.ES256, keys.ES384, keys.ES512} {
		t.Run(string(alg), func(t *testing.T) {
			e := startEndToEnd(t, alg)
			must(e.client.CoreV1().Namespaces().Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "shop"}}, metav1.CreateOptions{}))
			e.poll(t)
			account := must(e.ours.GetServiceAccount(t.Context(), "shop", "default"))
			all := map[string]string{}
			for name, b := range e.bindings(t, account) {
				all["our token, "+name] = must(e.issuer.Issue(t.Context(), b.request)).Value
				answer := must(e.client.CoreV1().ServiceAccounts("shop").CreateToken(t.Context(), "default", &authenticationv1.TokenRequest{
					Spec: authenticationv1.TokenRequestSpec{BoundObjectRef: b.ref},
				}, metav1.CreateOptions{}))
				all["Kubernetes' token, "+name] = answer.Status.Token
			}
			for what, token := range all {
				e.wantBothAccept(t, what, token)
			}
			if alg != keys.RS256 {
				return // what follows has nothing to do with the algorithm
			}
			now := int64(0)
			for _, err := range []error{
				e.client.CoreV1().Pods("shop").Delete(t.Context(), "web", metav1.DeleteOptions{GracePeriodSeconds: &now}),
				e.client.CoreV1().Secrets("shop").Delete(t.Context(), "settings", metav1.DeleteOptions{}),
				e.client.CoreV1().Nodes().Delete(t.Context(), "node-1", metav1.DeleteOptions{}),
			} {
				if err != nil {
					t.Fatal(err)
				}
			}
			for what, token := range all {
				if !strings.HasSuffix(what, "unbound") {
					e.wantBothRefuse(t, what, token)
				}
			}
			e.wantBothAccept(t, "our token, unbound", all["our token, unbound"])
			if err := e.client.CoreV1().ServiceAccounts("shop").Delete(t.Context(), "default", metav1.DeleteOptions{}); err != nil {
				t.Fatal(err)
			}
			for what, token := range all {
				e.wantBothRefuse(t, what, token)
			}
		})
	}
}

// The guide's way to a token, "Manually create an API token for a ServiceAccount",
// with kubectl against a real API server, whose token controller is ours.
func TestEndToEndGuide(t *testing.T) {
	e := startEndToEnd(t, keys.ES256)
	e.poll(t) // the account "default" of the namespace "default"
	kubectl := func(args ...string) string {
		t.Helper()
		out, err := e.server.Kubectl(t.Context(), args...)
		if err != nil {
			t.Fatalf("kubectl %s: %v\n%s", strings.Join(args, " "), err, out)
		}
		t.Logf("$ kubectl %s\n%s", strings.Join(args, " "), out)
		return out
	}
	kubectl("create", "serviceaccount", "build-robot")
	file := filepath.Join(t.TempDir(), "secret.json")
	secret := must(json.Marshal(map[string]any{
		"apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/service-account-token",
		"metadata": map[string]any{"name": "build-robot-secret", "annotations": map[string]string{"kubernetes.io/service-account.name": "build-robot"}},
	}))
	if err := os.WriteFile(file, secret, 0o600); err != nil {
		t.Fatal(err)
	}
	kubectl("create", "-f", file)
	e.poll(t)
	filled, err := tokensource.WaitPopulated(t.Context(), e.ours, "default", "build-robot-secret", tokensource.WaitOptions{})
	if err != nil {
		t.Fatal(err)
	}
	token := string(filled.Data["token"])
	described := kubectl("describe", "secrets/build-robot-secret")
	for _, want := range []string{"Type:  kubernetes.io/service-account-token", "kubernetes.io/service-account.name: build-robot", "kubernetes.io/service-account.uid: ", "ca.crt:", "namespace:  7 bytes", token} {
		if !strings.Contains(described, want) {
			t.Errorf("kubectl describe does not show %q", want)
		}
	}
	e.wantBothAccept(t, "the token of the Secret", token)
	kubectl("delete", "secret", "build-robot-secret")
	e.wantBothRefuse(t, "the token of the Secret", token)
	kubectl("create", "-f", file)
	e.poll(t)
	kubectl("delete", "serviceaccount", "build-robot")
	e.poll(t)
	if out, err := e.server.Kubectl(t.Context(), "get", "secret", "build-robot-secret"); err == nil || !strings.Contains(err.Error()+out, "not found") {
		t.Errorf("the Secret of a deleted account is there: %s %v", out, err)
	}
}
