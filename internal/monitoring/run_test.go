package monitoring

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"math"
	"math/big"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/prometheus/model/labels"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/fake"

	"github.com/kubesa/serviceaccount"
	"github.com/kubesa/serviceaccount/admission"
	"github.com/kubesa/serviceaccount/admission/webhook"
	safake "github.com/kubesa/serviceaccount/fake"
	"github.com/kubesa/serviceaccount/keys"
	"github.com/kubesa/serviceaccount/keys/discovery"
	"github.com/kubesa/serviceaccount/keys/external"
	"github.com/kubesa/serviceaccount/keys/keyring"
	saprometheus "github.com/kubesa/serviceaccount/prometheus"
	"github.com/kubesa/serviceaccount/sacontroller"
	"github.com/kubesa/serviceaccount/sacontroller/legacytoken"
	"github.com/kubesa/serviceaccount/sacontroller/manager"
	"github.com/kubesa/serviceaccount/sacontroller/rootca"
	"github.com/kubesa/serviceaccount/tokens"
	"github.com/kubesa/serviceaccount/tokens/bearer"
	"github.com/kubesa/serviceaccount/tokens/cached"
	"github.com/kubesa/serviceaccount/tokens/keeper"
	"github.com/kubesa/serviceaccount/tokens/lastused"
	"github.com/kubesa/serviceaccount/tokens/objectcache"
	"github.com/kubesa/serviceaccount/tokens/tokenissuer"
	"github.com/kubesa/serviceaccount/tokens/tokenrequest"
	"github.com/kubesa/serviceaccount/tokens/tokenreview"
	"github.com/kubesa/serviceaccount/tokens/tokensource"
)

const issuerURL = "https://issuer.example"

var errDown = apierrors.NewInternalError(errors.New("etcd is down"))

// A flaky is a cluster and a signer that can be down, or panic.
type flaky struct {
	*safake.Cluster
	external.Service
	down, broken bool
}

func (f *flaky) err() error {
	if f.broken {
		panic("broken")
	}
	if f.down {
		return errDown
	}
	return nil
}

func (f *flaky) GetServiceAccount(ctx context.Context, namespace, name string) (*corev1.ServiceAccount, error) {
	if err := f.err(); err != nil {
		return nil, err
	}
	return f.Cluster.GetServiceAccount(ctx, namespace, name)
}

func (f *flaky) PatchSecret(ctx context.Context, namespace, name string, pt types.PatchType, data []byte) (*corev1.Secret, error) {
	if err := f.err(); err != nil {
		return nil, err
	}
	return f.Cluster.PatchSecret(ctx, namespace, name, pt, data)
}

func (f *flaky) CreateConfigMap(ctx context.Context, m *corev1.ConfigMap) (*corev1.ConfigMap, error) {
	if f.down {
		return nil, errDown
	}
	return f.Cluster.CreateConfigMap(ctx, m)
}

func (f *flaky) Sign(ctx context.Context, claims string) (string, string, error) {
	if f.down {
		return "", "", errDown
	}
	return f.Service.Sign(ctx, claims)
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// A program has every component of the library, with its hooks.
type program struct {
	flaky     *flaky
	ring      *keyring.Ring
	publisher *discovery.Publisher
	signer    *external.Signer
	issuer    *tokenissuer.Issuer
	requester *tokenrequest.Requester
	verifier  tokens.Verifier
	client    *tokenreview.Client
	handlers  []http.Handler // TokenReviews, a server behind bearer tokens, admission
	tracker   *lastused.Tracker
	metrics   *saprometheus.Metrics
	control   []sacontroller.Controller
	secret    string // the token of a Secret
	account   *corev1.ServiceAccount
}

// outcome is the Event of a call by gRPC.
type outcome string

func (o outcome) Outcome() (string, time.Duration) { return string(o), time.Millisecond }

func newProgram(t *testing.T, registry prometheus.Registerer) *program {
	t.Helper()
	ctx := t.Context()
	m := must(saprometheus.New(saprometheus.Config{Registerer: registry}))
	cluster := safake.New(
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "ci"}}, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "kube-system"}},
		&corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: "ci", Name: "builder"}})
	p := &program{flaky: &flaky{Cluster: cluster}, metrics: m}
	f := p.flaky
	p.account = must(cluster.GetServiceAccount(ctx, "ci", "builder"))
	p.ring = must(keyring.New(keyring.Config{Observe: m.Keys("ring", nil)}))
	must(p.ring.EnsureSigning(ctx, keys.ES256))
	p.publisher = must(discovery.NewPublisher(discovery.PublisherConfig{Issuer: issuerURL, ExternalAddress: "issuer.example", Keys: p.ring, Observe: m.Keys("publisher", nil)}))
	f.Service = must(external.NewServer(external.ServerConfig{Signer: p.ring, Keys: p.ring, MaxTokenLifetime: p.ring.MaxTokenLifetime(), Observe: m.ExternalServer(nil)}))
	p.signer = must(external.NewSigner(external.SignerConfig{Service: f, Observe: m.ExternalSigner(nil)}))
	p.issuer = must(tokenissuer.New(tokenissuer.Config{Issuer: issuerURL, Signer: p.signer}))
	getters := must(objectcache.New(objectcache.Getters{ServiceAccounts: f, Secrets: cluster}, objectcache.Config{TTL: time.Millisecond, Observe: m.ObjectCache(nil)}))
	p.tracker = must(lastused.New(lastused.Config{Secrets: f, Observe: m.LastUsed(nil), Now: tomorrows()}))
	authenticator := must(tokens.NewAuthenticator(tokens.AuthenticatorConfig{
		Issuers: []string{issuerURL}, APIAudiences: []string{"api"}, Keys: p.ring, ServiceAccounts: getters.ServiceAccounts, Secrets: getters.Secrets,
		Legacy: true, Observe: m.Authenticator(p.tracker.Observe),
	}))
	p.verifier = must(cached.New(cached.Config{Verifier: authenticator, TTL: time.Millisecond, Observe: m.Cached(nil)}))
	p.requester = must(tokenrequest.New(tokenrequest.Config{Issuer: p.issuer, APIAudiences: []string{"api"}, ServiceAccounts: f, Observe: m.TokenRequest(nil)}))
	p.client = must(tokenreview.NewClient(tokenreview.ClientConfig{Audiences: []string{"api"}, Attempts: 1, Observe: m.TokenReviewClient(nil),
		Reviews: tokenreview.CreatorFunc(func(ctx context.Context, review *authenticationv1.TokenReview) (*authenticationv1.TokenReview, error) {
			if f.down {
				return nil, errDown
			}
			return tokenreview.Review(ctx, review, authenticator), nil
		})}))
	middleware := must(bearer.New(bearer.Config{Verifier: p.verifier, Observe: m.Bearer(nil)}))
	plugin := must(admission.New(admission.Config{ServiceAccounts: f}))
	p.handlers = []http.Handler{
		must(tokenreview.NewHandler(tokenreview.HandlerConfig{Verifier: p.verifier, Observe: m.TokenReview(nil)})),
		middleware(http.NotFoundHandler()),
		must(webhook.New(plugin, webhook.Config{Observe: m.Webhook(nil)})),
	}
	observe := m.RootCA(nil)
	must(cluster.CreateConfigMap(ctx, &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Namespace: "kube-system", Name: "kube-apiserver-legacy-service-account-token-tracking"}, Data: map[string]string{"since": "1999-01-01"},
	}))
	p.control = []sacontroller.Controller{
		must(rootca.NewConfigMaps(rootca.ConfigMapsConfig{Reader: cluster.Reader(), Client: f, RootCA: caOf(t), Observe: observe})),
		must(rootca.NewTrustBundles(rootca.TrustBundlesConfig{Reader: cluster, Client: cluster, RootCA: caOf(t), Observe: observe})),
		must(legacytoken.NewCleaner(legacytoken.CleanerConfig{Reader: cluster, Client: cluster, Observe: m.Cleaner(nil)})),
	}
	secret := must(cluster.CreateSecret(ctx, tokenSecret("used")))
	p.secret = must(p.issuer.IssueLegacy(ctx, p.account, secret))
	secret.Data = map[string][]byte{"token": []byte(p.secret)}
	must(cluster.UpdateSecret(ctx, secret))
	return p
}

func tokenSecret(name string) *corev1.Secret {
	return &corev1.Secret{Type: corev1.SecretTypeServiceAccountToken, ObjectMeta: metav1.ObjectMeta{
		Namespace: "ci", Name: name, Annotations: map[string]string{corev1.ServiceAccountNameKey: "builder"},
	}}
}

// tomorrows is a clock that is a day later each time.
func tomorrows() func() time.Time {
	now := time.Now()
	return func() time.Time { now = now.AddDate(0, 0, 1); return now }
}

func caOf(t *testing.T) []byte {
	t.Helper()
	key := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	template := &x509.Certificate{SerialNumber: big.NewInt(1), IsCA: true, BasicConstraintsValid: true, NotAfter: time.Now().Add(time.Hour)}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: must(x509.CreateCertificate(rand.Reader, template, template, key.Public(), key))})
}

// step uses every component. Errors are what some of it is for. What is reached by others
// panics if broken.
func (p *program) step(t *testing.T, i int, broken bool) {
	ctx := t.Context()
	post := func(h http.Handler, token, body string) {
		r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(body))
		r.Header.Set("Content-Type", "application/json")
		if token != "" {
			r.Header.Set("Authorization", "Bearer "+token)
		}
		h.ServeHTTP(httptest.NewRecorder(), r)
	}
	good := p.secret
	for range 3 {
		request, err := p.requester.Create(ctx, "ci", "builder", &authenticationv1.TokenRequest{})
		if err == nil {
			good = request.Status.Token
		}
	}
	_, _ = p.requester.Create(ctx, "ci", "nobody", &authenticationv1.TokenRequest{})
	_ = p.signer.Refresh(ctx)
	_ = p.publisher.Refresh(ctx)
	must(p.ring.EnsureSigning(ctx, keys.ES256))
	p.flaky.broken = broken
	for _, token := range []string{good, good, p.secret, good + "x", "no token"} {
		for range 2 {
			_, _ = p.verifier.Authenticate(ctx, token, "api")
		}
		_, _ = p.client.Authenticate(ctx, token)
		post(p.handlers[0], "", fmt.Sprintf(`{"kind":"TokenReview","apiVersion":"authentication.k8s.io/v1","spec":{"token":%q}}`, token))
		post(p.handlers[1], token, "")
	}
	p.tracker.Flush(ctx)
	for _, code := range []outcome{"OK", "Unauthenticated"} {
		saprometheus.Calls[outcome](p.metrics, nil)(ctx, code)
	}
	for _, account := range []string{"builder", "nobody"} {
		post(p.handlers[2], "", fmt.Sprintf(`{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","request":{"uid":"u","kind":{"group":"","version":"v1","kind":"Pod"},`+
			`"resource":{"group":"","version":"v1","resource":"pods"},"name":"web","namespace":"ci","operation":"CREATE","userInfo":{"username":"jane"},`+
			`"object":{"kind":"Pod","apiVersion":"v1","metadata":{"name":"web","namespace":"ci"},"spec":{"serviceAccountName":%q,"containers":[{"name":"c"}]}},"oldObject":null,"dryRun":false,"options":null}}`, account))
	}
	post(p.handlers[2], "", "{")
	p.flaky.broken = false
	mint := func(ctx context.Context) (*tokens.Token, error) {
		return p.issuer.Issue(ctx, tokenissuer.Request{ServiceAccount: p.account, Audiences: []string{"api"}, Lifetime: time.Hour})
	}
	source := must(tokensource.New(tokensource.Config{Mint: mint, Observe: p.metrics.TokenSource("api", nil)}))
	_, _ = source.Token(ctx)
	if i%5 == 0 {
		_, _ = must(tokensource.NewFile(tokensource.FileConfig{Path: t.TempDir() + "/missing", Observe: p.metrics.TokenFile("mounted", nil)})).Token(ctx)
	}
	kept := must(keeper.NewSecrets(keeper.SecretsConfig{
		Reader: p.flaky.Cluster, Client: p.flaky.Cluster, Observe: p.metrics.Keeper(nil),
		Want: func(*corev1.Secret) (*keeper.Want, error) { return &keeper.Want{Namespace: "ci", Name: "builder"}, nil },
		Mint: func(ctx context.Context, _ keeper.Want) (*tokens.Token, error) { return mint(ctx) },
	}))
	name := fmt.Sprintf("kept-%d", i)
	must(p.flaky.CreateSecret(ctx, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "ci", Name: name}}))
	_, _ = kept.Reconcile(ctx, sacontroller.Key{Kind: "Secret", Namespace: "ci", Name: name})
	_ = p.flaky.DeleteConfigMap(ctx, "ci", "kube-root-ca.crt", metav1.DeleteOptions{})
	for _, c := range p.control {
		for _, change := range p.changes(t) {
			for _, key := range c.Due(change) {
				_, _ = c.Reconcile(ctx, key)
			}
		}
	}
}

// changes has every object that the controllers look at.
func (p *program) changes(t *testing.T) (all []sacontroller.Change) {
	for _, namespace := range must(p.flaky.ListNamespaces(t.Context())) {
		all = append(all, sacontroller.Change{Type: "ADDED", Object: namespace})
	}
	for _, secret := range must(p.flaky.ListSecrets(t.Context(), "")) {
		all = append(all, sacontroller.Change{Type: "ADDED", Object: secret})
	}
	tracking := must(p.flaky.GetConfigMap(t.Context(), "kube-system", "kube-apiserver-legacy-service-account-token-tracking"))
	return append(all, sacontroller.Change{Type: "ADDED", Object: tracking})
}

// startManager runs controllers on client-go's fake until the test ends.
func startManager(t *testing.T, registry prometheus.Registerer, issuer sacontroller.LegacyIssuer) *fake.Clientset {
	t.Helper()
	client := fake.NewClientset(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "shop", UID: "n"}, Status: corev1.NamespaceStatus{Phase: corev1.NamespaceActive}})
	m := must(manager.New(manager.Config{Client: client, Metrics: registry}))
	clients := serviceaccount.FromCoreV1(client.CoreV1())
	accounts := must(sacontroller.NewServiceAccounts(sacontroller.ServiceAccountsConfig{Reader: m.Reader(), Client: clients}))
	secrets := must(sacontroller.NewTokens(sacontroller.TokensConfig{Reader: m.Reader(), Client: clients, Issuer: m.CountIssued(issuer)}))
	for _, c := range []sacontroller.Controller{accounts, secrets} {
		if err := m.Add(c, manager.Options{}); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- m.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return client
}

// scrape adds what gatherer has now to d, as of a time.
func scrape(t *testing.T, d *database, gatherer prometheus.Gatherer, at time.Time) {
	t.Helper()
	families := must(gatherer.Gather())
	for _, family := range families {
		for _, metric := range family.Metric {
			b := labels.NewBuilder(labels.FromStrings("job", "program", "instance", "a"))
			for _, pair := range metric.Label {
				b.Set(pair.GetName(), pair.GetValue())
			}
			add := func(suffix, le string, value float64) {
				b.Set("__name__", family.GetName()+suffix)
				b.Set("le", le)
				d.add(b.Labels(), at, value)
			}
			if h := metric.GetHistogram(); h != nil {
				for _, bucket := range h.Bucket {
					add("_bucket", fmt.Sprint(bucket.GetUpperBound()), float64(bucket.GetCumulativeCount()))
				}
				add("_bucket", "+Inf", float64(h.GetSampleCount()))
				add("_sum", "", h.GetSampleSum())
				add("_count", "", float64(h.GetSampleCount()))
				continue
			}
			add("", "", metric.GetCounter().GetValue()+metric.GetGauge().GetValue())
		}
	}
}

// quiet are the queries that have nothing to show in this run: no watch fails, nothing is old
// enough to be cleaned up, and neither stale tokens nor published keys that can't be used
// appear.
var quiet = []string{"Watches that failed", "Secrets cleaned up"}

// Every component runs for a quarter of an hour of scrapes, of which some minutes are an outage;
// every panel of the dashboard shows it. -v says what.
func TestDashboardWithData(t *testing.T) {
	registry := prometheus.NewPedanticRegistry()
	p := newProgram(t, registry)
	client := startManager(t, registry, p.issuer)
	var d database
	const every, outageFrom, outageTo, steps = 30 * time.Second, 10, 16, 31
	start := time.Now()
	for i := range steps {
		p.flaky.down = i >= outageFrom && i < outageTo
		p.step(t, i, i == outageTo+1)
		name := fmt.Sprintf("s%d", i)
		must(client.CoreV1().Namespaces().Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, UID: types.UID(name)}, Status: corev1.NamespaceStatus{Phase: corev1.NamespaceActive}}, metav1.CreateOptions{}))
		secret := tokenSecret("token")
		secret.Namespace, secret.UID = "shop", types.UID(name)
		secret.Name, secret.Annotations[corev1.ServiceAccountNameKey] = name, "default"
		must(client.CoreV1().Secrets("shop").Create(t.Context(), secret, metav1.CreateOptions{}))
		time.Sleep(20 * time.Millisecond) // the manager's part; what it counts late is scraped with the next step
		scrape(t, &d, registry, start.Add(time.Duration(i)*every))
	}
	engine := newEngine()
	at := func(step int) time.Time { return start.Add(time.Duration(step) * every) }
	for _, panel := range readDashboard(t).Panels {
		seen := map[string]bool{}
		for _, target := range panel.Targets {
			var lines []string
			for _, step := range []int{outageFrom - 1, outageTo - 1, steps - 1} {
				for _, sample := range query(t, engine, &d, resolve(target.Expr), at(step)) {
					if !math.IsNaN(sample.F) {
						seen[target.RefID] = true
						lines = append(lines, fmt.Sprintf("%s %s=%.4g", [...]string{"before", "outage", "after"}[slices.Index([]int{outageFrom - 1, outageTo - 1, steps - 1}, step)], sample.Metric, sample.F))
					}
				}
			}
			t.Logf("%s [%s]: %s", panel.Title, panel.FieldConfig.Defaults.Unit, strings.Join(lines, "; "))
		}
		if panel.Type != "row" && len(seen) < len(panel.Targets) && !slices.Contains(quiet, panel.Title) {
			t.Errorf("%s: %d of %d queries have data", panel.Title, len(seen), len(panel.Targets))
		}
	}
	// The outage is what the alerts say, and no longer than it lasts.
	rules := readRules(t)
	for _, name := range []string{"ServiceAccountAuthenticationUnavailable", "ServiceAccountTokenRequestsFail", "ServiceAccountSignerFails", "ServiceAccountRemoteAuthenticationUnavailable"} {
		firing := func(step int) bool { return len(query(t, engine, &d, rules[name].Expr, at(step))) > 0 }
		if firing(outageFrom-1) || !firing(outageTo-1) || firing(steps-1) {
			t.Errorf("%s: before %t, in the outage %t, after %t, want only then", name, firing(outageFrom-1), firing(outageTo-1), firing(steps-1))
		}
	}
}
