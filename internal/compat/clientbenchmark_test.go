package compat

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	admissionv1 "k8s.io/api/admission/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authentication/request/bearertoken"
	tokencache "k8s.io/apiserver/pkg/authentication/token/cache"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/endpoints/filters"
	tokenwebhook "k8s.io/apiserver/plugin/pkg/authenticator/token/webhook"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/kubesa/serviceaccount"
	"github.com/kubesa/serviceaccount/admission"
	"github.com/kubesa/serviceaccount/admission/furthervolume"
	"github.com/kubesa/serviceaccount/fake"
	"github.com/kubesa/serviceaccount/keys"
	"github.com/kubesa/serviceaccount/sacontroller"
	"github.com/kubesa/serviceaccount/tokens"
	"github.com/kubesa/serviceaccount/tokens/bearer"
	"github.com/kubesa/serviceaccount/tokens/cached"
	"github.com/kubesa/serviceaccount/tokens/keeper"
	"github.com/kubesa/serviceaccount/tokens/tokenissuer"
	"github.com/kubesa/serviceaccount/tokens/tokenreview"
	"github.com/kubesa/serviceaccount/tokens/userinfo"
)

// benchmarkUser is what every token of these benchmarks stands for.
var benchmarkUser = authenticationv1.UserInfo{
	Username: "system:serviceaccount:ci:builder", UID: "1", Groups: []string{"system:serviceaccounts", "system:serviceaccounts:ci", "system:authenticated"},
	Extra: map[string]authenticationv1.ExtraValue{
		userinfo.ExtraCredentialID: {"JTI=1"}, userinfo.ExtraPodName: {"job"}, userinfo.ExtraPodUID: {"2"},
	},
}

// A TokenReview over HTTP, to a server that answers at once, and an answer that is
// cached.
func BenchmarkReview(b *testing.B) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var review authenticationv1.TokenReview
		if err := json.NewDecoder(r.Body).Decode(&review); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		review.APIVersion, review.Kind = "authentication.k8s.io/v1", "TokenReview"
		review.Status = authenticationv1.TokenReviewStatus{Authenticated: true, User: benchmarkUser, Audiences: review.Spec.Audiences}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusCreated)
		if err := json.NewEncoder(w).Encode(&review); err != nil {
			b.Error(err)
		}
	}))
	defer server.Close()
	config := &rest.Config{Host: server.URL, QPS: -1, ContentConfig: rest.ContentConfig{ContentType: "application/json"}}
	reviews := must(kubernetes.NewForConfig(config)).AuthenticationV1()
	upstream := must(tokenwebhook.NewFromInterface(reviews, nil, wait.Backoff{Steps: 1}, 10*time.Second, tokenwebhook.AuthenticatorMetrics{
		RecordRequestTotal: func(context.Context, string) {}, RecordRequestLatency: func(context.Context, string, float64) {},
	}))
	ours := must(tokenreview.NewClient(tokenreview.ClientConfig{Reviews: serviceaccount.FromAuthenticationV1(reviews), Audiences: []string{"vault"}}))
	token := benchmarkToken(b)
	for _, bb := range []struct {
		cached   string
		upstream authenticator.Token
		ours     tokens.Verifier
	}{
		{"no", upstream, ours},
		{"yes", tokencache.New(upstream, false, time.Hour, time.Hour), must(cached.New(cached.Config{Verifier: ours, TTL: time.Hour}))},
	} {
		b.Run("cached="+bb.cached+"/impl=upstream", func(b *testing.B) {
			ctx := authenticator.WithAudiences(b.Context(), authenticator.Audiences{"vault"})
			b.ReportAllocs()
			for b.Loop() {
				if _, ok, err := bb.upstream.AuthenticateToken(ctx, token); err != nil || !ok {
					b.Fatal(ok, err)
				}
			}
		})
		b.Run("cached="+bb.cached+"/impl=ours", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := bb.ours.Authenticate(b.Context(), token, "vault"); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// benchmarkToken returns a token that lives for an hour.
func benchmarkToken(b *testing.B) string {
	issuer := must(tokenissuer.New(tokenissuer.Config{Issuer: testIssuer, Signer: must(keys.NewSigner(must(keys.Generate(keys.ES256))))}))
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: "ci", Name: "builder", UID: "1"}}
	return must(issuer.Issue(b.Context(), tokenissuer.Request{ServiceAccount: account, Audiences: []string{"vault"}, Lifetime: time.Hour})).Value
}

// alwaysBuilder is a Verifier of either side that knows every token.
type alwaysBuilder struct{ identity tokens.Identity }

func (a alwaysBuilder) Authenticate(context.Context, string, ...string) (*tokens.Identity, error) {
	identity := a.identity
	return &identity, nil
}

func (a alwaysBuilder) AuthenticateToken(context.Context, string) (*authenticator.Response, bool, error) {
	return &authenticator.Response{User: &user.DefaultInfo{Name: benchmarkUser.Username, UID: benchmarkUser.UID, Groups: benchmarkUser.Groups}}, true, nil
}

// What the middleware adds to a request, beside the filter of Kubernetes' API server; raw
// is the bare handler.
func BenchmarkMiddleware(b *testing.B) {
	handler := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	verifier := alwaysBuilder{*must(tokens.IdentityOf(benchmarkUser))}
	middleware := must(bearer.New(bearer.Config{Verifier: verifier}))
	for _, bb := range []struct {
		impl    string
		handler http.Handler
	}{
		{"raw", handler},
		{"upstream", filters.WithAuthentication(handler, bearertoken.New(verifier), http.NotFoundHandler(), nil, nil)},
		{"ours", middleware(handler)},
	} {
		b.Run("impl="+bb.impl, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				r := httptest.NewRequest(http.MethodGet, "/", nil)
				r.Header.Set("Authorization", "Bearer good")
				w := httptest.NewRecorder()
				bb.handler.ServeHTTP(w, r)
				if w.Code != http.StatusNoContent {
					b.Fatalf("HTTP %d", w.Code)
				}
			}
		})
	}
}

// One renewal of a token in a Secret, with 10,000 Secrets kept; raw is the token alone.
func BenchmarkRenew(b *testing.B) {
	const kept = 10000
	authority := must(fake.NewAuthority(fake.AuthorityConfig{}))
	cluster := authority.Cluster
	account := must(cluster.CreateServiceAccount(b.Context(), &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "builder"}}))
	mint := func(ctx context.Context) (*tokens.Token, error) {
		return authority.Issuer.Issue(ctx, tokenissuer.Request{ServiceAccount: account, Audiences: []string{"vault"}, Lifetime: time.Hour})
	}
	b.Run("impl=raw", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := mint(b.Context()); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("impl=ours", func(b *testing.B) {
		secrets := must(keeper.NewSecrets(keeper.SecretsConfig{
			Reader: cluster.Reader(), Client: cluster, Now: authority.Now,
			Want: func(*corev1.Secret) (*keeper.Want, error) {
				return &keeper.Want{Namespace: "default", Name: "builder", Audiences: []string{"vault"}}, nil
			},
			Mint: func(ctx context.Context, _ keeper.Want) (*tokens.Token, error) { return mint(ctx) },
		}))
		due := make([]sacontroller.Key, kept)
		for i := range due {
			due[i] = sacontroller.Key{Kind: "Secret", Namespace: "default", Name: fmt.Sprintf("s-%d-%d", b.N, i)}
			must(cluster.CreateSecret(b.Context(), &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: due[i].Name}}))
		}
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			if i%kept == 0 {
				authority.Advance(time.Hour)
				cluster.ClearActions()
			}
			if _, err := secrets.Reconcile(b.Context(), due[i%kept]); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// A pod with three further token volumes; raw is the same with one.
func BenchmarkFurtherVolumes(b *testing.B) {
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: admissionNamespace, Name: "default"}}
	cluster := fake.New(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: admissionNamespace}}, account)
	further := []furthervolume.Volume{
		{Name: "vault", Audience: "vault", MountPath: "/var/run/secrets/vault"},
		{Name: "aws", Audience: "sts.example.com", MountPath: "/var/run/secrets/aws", Env: []furthervolume.EnvVar{{Name: "TOKEN_FILE", Value: "/var/run/secrets/aws/token"}}},
		{Name: "azure", Audience: "api://exchange", MountPath: "/var/run/secrets/azure", File: "azure-token"},
	}
	for _, containers := range []int{1, 10} {
		for impl, volumes := range map[string][]furthervolume.Volume{"raw": further[:1], "ours": further} {
			b.Run(fmt.Sprintf("containers=%d/impl=%s", containers, impl), func(b *testing.B) {
				plugin := must(admission.New(admission.Config{ServiceAccounts: cluster.Reader(), DisableWait: true, FurtherVolumes: volumes}))
				fresh := benchmarkPod(containers)
				b.ReportAllocs()
				for b.Loop() {
					pod := *fresh
					pod.Spec.Containers = append([]corev1.Container(nil), fresh.Spec.Containers...)
					if err := plugin.Admit(b.Context(), admission.Request{Operation: admissionv1.Create, Namespace: admissionNamespace, Name: "web", Pod: &pod}); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
