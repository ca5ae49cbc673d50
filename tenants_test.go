package serviceaccount_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/kubesa/serviceaccount"
	"github.com/kubesa/serviceaccount/admission"
	"github.com/kubesa/serviceaccount/fake"
	"github.com/kubesa/serviceaccount/keys"
	"github.com/kubesa/serviceaccount/sacontroller"
	"github.com/kubesa/serviceaccount/tenant"
	"github.com/kubesa/serviceaccount/tokens"
	"github.com/kubesa/serviceaccount/tokens/cached"
	"github.com/kubesa/serviceaccount/tokens/inspect"
	"github.com/kubesa/serviceaccount/tokens/objectcache"
	"github.com/kubesa/serviceaccount/tokens/tokenissuer"
	"github.com/kubesa/serviceaccount/tokens/tokenrequest"
	"github.com/kubesa/serviceaccount/tokens/tokenreview"
	admissionv1 "k8s.io/api/admission/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubesa/serviceaccount/sacontroller/legacytoken"
	"github.com/kubesa/serviceaccount/sacontroller/rootca"
)

// tenantNames are the tenants of these tests: their objects have the same names and, but
// for the account of the last one, the same UIDs.
var tenantNames = []string{"red", "blue", "green"}

// keysOfTenants has a key of its own for each tenant.
type keysOfTenants struct{ tenant.Set[ownKey] }

type ownKey struct {
	*keys.LocalSigner
	*keys.Set
}

func newOwnKey() ownKey {
	signer := must(keys.NewSigner(must(keys.Generate(keys.ES256))))
	return ownKey{signer, keys.SetOf([]keys.PublicKey{signer.PublicKey()})}
}

func (k *keysOfTenants) Sign(ctx context.Context, payload []byte) (string, error) {
	signer, err := k.Of(ctx)
	if err != nil {
		return "", err
	}
	return signer.Sign(ctx, payload)
}

func (k *keysOfTenants) PublicKeys(ctx context.Context, id string) ([]keys.PublicKey, error) {
	signer, err := k.Of(ctx)
	if err != nil {
		return nil, err
	}
	return signer.PublicKeys(ctx, id)
}

// tenantWorld is a server of many tenants that is made of one of each part.
type tenantWorld struct {
	clusters map[string]*fake.Cluster
	clients  *serviceaccount.CoreV1
	issuer   *tokenissuer.Issuer
	config   tokens.AuthenticatorConfig
}

func newTenantWorld(t *testing.T, claim tokens.ClusterClaim, ownKeys bool) *tenantWorld {
	t.Helper()
	w := &tenantWorld{clusters: map[string]*fake.Cluster{}}
	var clients tenant.Set[*serviceaccount.CoreV1]
	own := &keysOfTenants{}
	one := newOwnKey()
	for _, name := range tenantNames {
		meta := func(name string) metav1.ObjectMeta {
			return metav1.ObjectMeta{Namespace: "ci", Name: name}
		}
		account, secret, pod := meta("builder"), meta("builder-token"), meta("job")
		account.UID, secret.UID, pod.UID = "account-1", "secret-1", "pod-1"
		if name == "green" {
			account.UID = "account-2"
		}
		secret.Annotations = map[string]string{corev1.ServiceAccountNameKey: "builder", corev1.ServiceAccountUIDKey: string(account.UID)}
		c := fake.New(
			&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "ci"}},
			&corev1.ServiceAccount{ObjectMeta: account},
			&corev1.Secret{ObjectMeta: secret, Type: corev1.SecretTypeServiceAccountToken},
			&corev1.Pod{ObjectMeta: pod, Spec: corev1.PodSpec{ServiceAccountName: "builder", Containers: []corev1.Container{{Name: "c", Image: "i"}}}},
		)
		w.clusters[name] = c
		clients.Join(name, serviceaccount.FromCoreV1(c.CoreV1()))
		own.Join(name, newOwnKey())
	}
	w.clients = serviceaccount.ByTenant(clients.Of)
	signs, verifies := keys.Signer(one), keys.Source(one)
	if ownKeys {
		signs, verifies = own, own
	}
	w.issuer = must(tokenissuer.New(tokenissuer.Config{Issuer: "https://all.example", Signer: signs, ClusterClaim: claim.Name}))
	w.config = tokens.AuthenticatorConfig{
		Issuers: []string{"https://all.example"}, Keys: verifies, APIAudiences: []string{"api"}, Legacy: true, Cluster: claim,
		ServiceAccounts: w.clients, Secrets: w.clients, Pods: w.clients,
	}
	controller := must(sacontroller.NewTokens(sacontroller.TokensConfig{Reader: w.clients, Client: w.clients, Issuer: w.issuer}))
	for name, c := range w.clusters {
		check(c.Settle(tenant.NewContext(t.Context(), name), controller))
	}
	return w
}

// cachedObjects caches the objects of all tenants for an hour.
func (w *tenantWorld) cachedObjects() tokens.AuthenticatorConfig {
	g := must(objectcache.New(objectcache.Getters{ServiceAccounts: w.clients, Secrets: w.clients, Pods: w.clients}, objectcache.Config{TTL: time.Hour, NegativeTTL: time.Hour}))
	cfg := w.config
	cfg.ServiceAccounts, cfg.Secrets, cfg.Pods = g.ServiceAccounts, g.Secrets, g.Pods
	return cfg
}

// verifiers are ways to authenticate, by what they remember.
func (w *tenantWorld) verifiers() map[string]tokens.Verifier {
	authenticator := func(cfg tokens.AuthenticatorConfig) *tokens.Authenticator { return must(tokens.NewAuthenticator(cfg)) }
	nothing := w.config
	nothing.DisableSignatureCache = true
	all := authenticator(w.cachedObjects())
	client := must(tokenreview.NewClient(tokenreview.ClientConfig{
		Reviews: tokenreview.CreatorFunc(func(ctx context.Context, review *authenticationv1.TokenReview) (*authenticationv1.TokenReview, error) {
			return tokenreview.Review(ctx, review, all), nil // by an API server that serves all tenants
		}),
		Audiences: []string{"api"},
	}))
	remember := func(v tokens.Verifier) tokens.Verifier {
		return must(cached.New(cached.Config{Verifier: v, TTL: time.Hour, NegativeTTL: time.Hour}))
	}
	return map[string]tokens.Verifier{
		"nothing":             authenticator(nothing),
		"signatures":          authenticator(w.config),
		"objects":             all,
		"answers":             remember(authenticator(w.config)),
		"answers and objects": remember(all),
		"reviews":             remember(client),
	}
}

// A tenant's token, of whatever kind, is accepted at that tenant and rejected at every
// other one, in whatever order they are asked and whatever is remembered: by the claim, by
// the keys or, if the others have other objects, by the lookup alone.
func TestTokensOfTenants(t *testing.T) {
	for _, tt := range []struct {
		name    string
		claim   tokens.ClusterClaim
		ownKeys bool
		same    bool // objects with the same UIDs are told apart
	}{
		{name: "one issuer and key, a claim", claim: tokens.ClusterClaim{Name: "clusterName"}, same: true},
		{name: "one issuer, a key each", ownKeys: true, same: true},
		{name: "both", claim: tokens.ClusterClaim{Name: "clusterName"}, ownKeys: true, same: true},
		{name: "one issuer and key, by lookup"},
	} {
		w := newTenantWorld(t, tt.claim, tt.ownKeys)
		minted := map[string]map[string]string{} // by tenant and kind
		for _, name := range tenantNames {
			ctx := tenant.NewContext(t.Context(), name)
			account := must(w.clients.GetServiceAccount(ctx, "ci", "builder"))
			pod := must(w.clients.GetPod(ctx, "ci", "job"))
			issue := func(req tokenissuer.Request) string {
				req.ServiceAccount, req.Audiences, req.Lifetime = account, []string{"api"}, time.Hour
				return must(w.issuer.Issue(ctx, req)).Value
			}
			minted[name] = map[string]string{
				"account": issue(tokenissuer.Request{}),
				"pod":     issue(tokenissuer.Request{Pod: pod}),
				"secret":  string(must(w.clients.GetSecret(ctx, "ci", "builder-token")).Data["token"]),
			}
		}
		for remembers, v := range w.verifiers() {
			for round := range 3 {
				for _, of := range tenantNames {
					for i := range tenantNames {
						at := tenantNames[(i+round)%len(tenantNames)]
						if !tt.same && of != at && of != "green" && at != "green" {
							continue
						}
						for kind, token := range minted[of] {
							id, err := v.Authenticate(tenant.NewContext(t.Context(), at), token)
							var invalid *tokens.InvalidError
							switch {
							case of == at && err != nil:
								t.Errorf("%s, remembering %s: the %s token of %s at itself: %v", tt.name, remembers, kind, of, err)
							case of != at && (id != nil || !errors.As(err, &invalid)):
								t.Errorf("%s, remembering %s: the %s token of %s at %s: %v, want it rejected", tt.name, remembers, kind, of, at, err)
							}
						}
					}
				}
			}
			if _, err := v.Authenticate(t.Context(), minted["red"]["pod"]); err == nil {
				t.Errorf("%s, remembering %s: a context of no tenant is accepted", tt.name, remembers)
			}
		}
	}
}

// A tenant that is revoked, or leaves, takes nobody with it: the same objects of another
// one are still good, and its own are not, once its own time is over.
func TestRevocationOfATenant(t *testing.T) {
	w := newTenantWorld(t, tokens.ClusterClaim{Name: "clusterName"}, false)
	a := must(tokens.NewAuthenticator(w.config))
	red, blue := tenant.NewContext(t.Context(), "red"), tenant.NewContext(t.Context(), "blue")
	mint := func(ctx context.Context) string {
		account := must(w.clients.GetServiceAccount(ctx, "ci", "builder"))
		return must(w.issuer.Issue(ctx, tokenissuer.Request{ServiceAccount: account, Audiences: []string{"api"}, Lifetime: time.Hour})).Value
	}
	ofRed, ofBlue := mint(red), mint(blue)
	check(w.clusters["red"].DeleteServiceAccount(t.Context(), "ci", "builder", metav1.DeleteOptions{}))
	if _, err := a.Authenticate(red, ofRed); err == nil {
		t.Error("a token of a deleted account is accepted")
	}
	if _, err := a.Authenticate(blue, ofBlue); err != nil {
		t.Errorf("that of another tenant: %v", err)
	}
}

// What the parts that answer requests look up is that of the context's tenant.
func TestPartsOfTenants(t *testing.T) {
	w := newTenantWorld(t, tokens.ClusterClaim{Name: "clusterName"}, false)
	red, blue := tenant.NewContext(t.Context(), "red"), tenant.NewContext(t.Context(), "blue")
	own := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: "ci", Name: "only-red"}}
	must(w.clients.CreateServiceAccount(red, own))
	a := must(tokens.NewAuthenticator(w.cachedObjects()))

	requester := must(tokenrequest.New(tokenrequest.Config{Issuer: w.issuer, APIAudiences: []string{"api"}, ServiceAccounts: w.clients, Pods: w.clients}))
	tr, err := requester.Create(red, "ci", "only-red", &authenticationv1.TokenRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := requester.Create(blue, "ci", "only-red", &authenticationv1.TokenRequest{}); !apierrors.IsNotFound(err) {
		t.Errorf("a token for the account of another tenant: %v, want NotFound", err)
	}

	plugin := must(admission.New(admission.Config{ServiceAccounts: w.clients}))
	for name, ctx := range map[string]context.Context{"red": red, "blue": blue} {
		pod := &corev1.Pod{Spec: corev1.PodSpec{ServiceAccountName: "only-red", Containers: []corev1.Container{{Name: "c"}}}}
		err := plugin.Admit(ctx, admission.Request{Operation: admissionv1.Create, Namespace: "ci", Name: "p", Pod: pod})
		if (err == nil) != (name == "red") {
			t.Errorf("a pod of %s that names an account of red: %v", name, err)
		}
		_, err = a.Authenticate(ctx, tr.Status.Token)
		if (err == nil) != (name == "red") {
			t.Errorf("the token of red at %s: %v", name, err)
		}
		e := inspect.Explain(ctx, a, tr.Status.Token)
		if (e.Err == nil) != (name == "red") {
			t.Errorf("Explain() of the token of red at %s: %v", name, e.Err)
		}
	}
}

// A controller remembers the errors of one tenant apart from those of the same key of
// another, and forgets them with it.
func TestErrorsOfTenants(t *testing.T) {
	var clients tenant.Set[*serviceaccount.CoreV1]
	down := errors.New("the signer is down")
	all := serviceaccount.ByTenant(clients.Of)
	controller := must(sacontroller.NewTokens(sacontroller.TokensConfig{Reader: all, Client: all, Issuer: issuerFunc(func(ctx context.Context) (string, error) {
		if tenant.Of(ctx) == "red" {
			return "", down
		}
		return "token", nil
	})}))
	key := sacontroller.Key{Kind: "Secret", Namespace: "ci", Name: "t", UID: "s", ServiceAccountName: "builder", ServiceAccountUID: "a"}
	for _, name := range []string{"red", "blue"} {
		meta := func(name, uid string) metav1.ObjectMeta {
			m := metav1.ObjectMeta{Namespace: "ci", Name: name, Annotations: map[string]string{corev1.ServiceAccountNameKey: "builder", corev1.ServiceAccountUIDKey: "a"}}
			m.UID = key.UID
			if uid != "" {
				m.UID = "a"
			}
			return m
		}
		c := fake.New(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "ci"}},
			&corev1.ServiceAccount{ObjectMeta: meta("builder", "a")},
			&corev1.Secret{ObjectMeta: meta("t", ""), Type: corev1.SecretTypeServiceAccountToken})
		clients.Join(name, serviceaccount.FromCoreV1(c.CoreV1()))
		key.Tenant = name
		_, err := controller.Reconcile(t.Context(), key)
		if got := controller.LastError(key); !errors.Is(got, err) || (err != nil) != (name == "red") {
			t.Errorf("Reconcile() of %s = %v, LastError() = %v", name, err, got)
		}
	}
	key.Tenant = "red"
	controller.Forget("blue")
	if !errors.Is(controller.LastError(key), down) {
		t.Error("the error of a tenant is forgotten with another one")
	}
	controller.Forget("red")
	if err := controller.LastError(key); err != nil {
		t.Errorf("after the tenant was forgotten: %v", err)
	}
	if got, want := fmt.Sprint(key), "Secret ci/t of tenant red"; got != want {
		t.Errorf("the key is %q, want %q", got, want)
	}
}

// Each tenant has the CA bundle that is its own, or else the one of all.
func TestRootCAsOfTenants(t *testing.T) {
	w := newTenantWorld(t, tokens.ClusterClaim{}, false)
	of := func(ctx context.Context) []byte {
		if tenant.Of(ctx) == "green" {
			return nil
		}
		return []byte("CA of " + tenant.Of(ctx))
	}
	secrets := must(sacontroller.NewTokens(sacontroller.TokensConfig{Reader: w.clients, Client: w.clients, Issuer: w.issuer, RootCA: []byte("CA of all"), RootCAOf: of}))
	publisher := must(rootca.NewConfigMaps(rootca.ConfigMapsConfig{Reader: w.clients, Client: w.clients, RootCA: []byte("CA of all"), RootCAOf: of}))
	for _, name := range tenantNames {
		ctx, want := tenant.NewContext(t.Context(), name), "CA of "+name
		if name == "green" {
			want = "CA of all"
		}
		check(w.clusters[name].Settle(ctx, secrets, publisher))
		if got := string(must(w.clients.GetSecret(ctx, "ci", "builder-token")).Data["ca.crt"]); got != want {
			t.Errorf("the Secret of %s holds %q, want %q", name, got, want)
		}
		if got := must(w.clients.GetConfigMap(ctx, "ci", "kube-root-ca.crt")).Data["ca.crt"]; got != want {
			t.Errorf("the ConfigMap of %s holds %q, want %q", name, got, want)
		}
	}
}

// Each tenant has a tracking ConfigMap and rounds of its own: that another one's was just
// created, or is under way, is none of its business.
func TestTrackingOfTenants(t *testing.T) {
	var clients tenant.Set[*serviceaccount.CoreV1]
	all := serviceaccount.ByTenant(clients.Of)
	now := time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC)
	clock := func() time.Time { return now }
	tracker := must(legacytoken.NewTracker(legacytoken.TrackerConfig{Reader: all, Client: all, Now: clock}))
	rounds := map[string]int{}
	cleaner := must(legacytoken.NewCleaner(legacytoken.CleanerConfig{Reader: all, Client: all, Now: clock, CleanupPeriod: time.Hour,
		Observe: func(ctx context.Context, e legacytoken.Event) {
			rounds[fmt.Sprintf("%s of %d", tenant.Of(ctx), len(e.Report.Decisions))]++
		}}))
	keyOf := func(name string) sacontroller.Key {
		return sacontroller.Key{Tenant: name, Kind: "ConfigMap", Namespace: "kube-system", Name: "kube-apiserver-legacy-service-account-token-tracking"}
	}
	for i, name := range tenantNames {
		c := fake.New(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "kube-system"}}, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "ci"}})
		clients.Join(name, serviceaccount.FromCoreV1(c.CoreV1()))
		ctx := tenant.NewContext(t.Context(), name)
		check(c.Settle(ctx, tracker))
		if _, err := all.GetConfigMap(ctx, "kube-system", "kube-apiserver-legacy-service-account-token-tracking"); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		for n := range 20 * (i + 1) { // a round takes many attempts
			account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: "ci", Name: fmt.Sprint("a-", n)}}
			account.Secrets = []corev1.ObjectReference{{Name: account.Name + "-token-x7k2q"}}
			account = must(all.CreateServiceAccount(ctx, account))
			must(all.CreateSecret(ctx, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{
				Namespace: "ci", Name: account.Name + "-token-x7k2q",
				Annotations: map[string]string{corev1.ServiceAccountNameKey: account.Name, corev1.ServiceAccountUIDKey: string(account.UID)},
			}, Type: corev1.SecretTypeServiceAccountToken}))
		}
	}
	now = now.AddDate(0, 0, 10)
	attempts := map[string]int{}
	for open := map[string]bool{"red": true, "blue": true, "green": true}; len(open) > 0; {
		for _, name := range tenantNames { // their rounds take turns
			if !open[name] {
				continue
			}
			attempts[name]++
			if result := must(cleaner.Reconcile(t.Context(), keyOf(name))); result.RequeueAfter > sacontroller.Yield {
				delete(open, name)
			}
		}
	}
	if diff := cmp.Diff(map[string]int{"red of 20": 1, "blue of 40": 1, "green of 60": 1}, rounds); diff != "" {
		t.Errorf("rounds (-want +got):\n%s", diff)
	}
	if attempts["red"] >= attempts["green"] {
		t.Errorf("attempts %v, want as many as a tenant's own Secrets take", attempts)
	}
}

type issuerFunc func(ctx context.Context) (string, error)

func (f issuerFunc) IssueLegacy(ctx context.Context, _ *corev1.ServiceAccount, _ *corev1.Secret) (string, error) {
	return f(ctx)
}
