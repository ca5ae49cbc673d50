package fake

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubesa/serviceaccount/fake/fault"
	"github.com/kubesa/serviceaccount/fake/internal/apirules"
	"github.com/kubesa/serviceaccount/fake/internal/object"
	"github.com/kubesa/serviceaccount/fake/internal/warning"
	"github.com/kubesa/serviceaccount/internal/configerror"
	"github.com/kubesa/serviceaccount/keys"
	"github.com/kubesa/serviceaccount/keys/discovery"
	"github.com/kubesa/serviceaccount/keys/keyring"
	"github.com/kubesa/serviceaccount/sacontroller"
	"github.com/kubesa/serviceaccount/tokens"
	"github.com/kubesa/serviceaccount/tokens/tokenissuer"
	"github.com/kubesa/serviceaccount/tokens/tokenrequest"
	"github.com/kubesa/serviceaccount/tokens/tokenreview"
)

// AuthorityIssuer is the "iss" of an [Authority]'s bound tokens, and their one
// audience, unless the config says otherwise.
const AuthorityIssuer = "https://kubernetes.default.svc"

// A ConfigError says what is wrong with the field Issuer, APIAudiences, Key, RootCA,
// MaxLifetime or ClusterClaim of an [AuthorityConfig]. It is the same type in every package of this
// library.
type ConfigError = configerror.Error

// AuthorityConfig configures [NewAuthority]. The zero value is a good one.
type AuthorityConfig struct {
	// Cluster has the accounts. If nil, it is a new one with the Namespace
	// "default". Its Now is set to that of the Authority. For the same UIDs in every
	// run, give one with a UIDSeed.
	Cluster *Cluster

	Issuer       string        // an https URL; if empty, [AuthorityIssuer]
	APIAudiences []string      // if empty, Issuer
	Key          crypto.Signer // signs first; if nil, a new one for ES256
	RootCA       []byte        // "ca.crt" of token Secrets; none if empty
	AutoGenerate bool          // each account gets a token Secret, as up to Kubernetes 1.23

	// MaxLifetime bounds the lifetime of requested tokens: from 10 minutes to 2³² seconds,
	// or 0 for no bound.
	MaxLifetime time.Duration

	// ClusterClaim names the cluster in tokens, as control planes of several do.
	ClusterClaim tokens.ClusterClaim
}

// An Authority issues and verifies real tokens for the accounts of a Cluster: it is
// issuer, TokenRequest, TokenReview and discovery, on a clock that only the test
// moves. It is safe for concurrent use.
//
// What it is made of is there for tests that need more: wrap it, or create another
// Authenticator from the same Keys and Cluster.
type Authority struct {
	Cluster       *Cluster
	Keys          *keyring.Ring // signs and verifies; rotate it as a real one
	Issuer        *tokenissuer.Issuer
	Authenticator *tokens.Authenticator
	Discovery     *discovery.Publisher

	// Accounts and Secrets are the controllers that [Authority.Settle] drives.
	Accounts *sacontroller.ServiceAccounts
	Secrets  *sacontroller.Tokens

	requester *tokenrequest.Requester
	handler   http.Handler

	mu  sync.Mutex
	now time.Time
}

// NewAuthority returns an Authority at the time [Epoch], or an error naming every
// invalid field, each as a [*ConfigError].
func NewAuthority(cfg AuthorityConfig) (*Authority, error) {
	if cfg.Cluster == nil {
		cfg.Cluster = New(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "default"}})
	}
	if cfg.Issuer == "" {
		cfg.Issuer = AuthorityIssuer
	}
	if len(cfg.APIAudiences) == 0 {
		cfg.APIAudiences = []string{cfg.Issuer}
	}
	a := &Authority{Cluster: cfg.Cluster, now: Epoch}
	a.Cluster.Now = a.Now
	mistakes, seen := configerror.List{Config: "fake.AuthorityConfig"}, map[string]bool{}
	for i, audience := range cfg.APIAudiences {
		if audience == "" {
			mistakes.Add(fmt.Sprintf("APIAudiences[%d]", i), "is empty")
		}
	}
	if mistakes.Err() != nil { // the parts need good ones
		cfg.APIAudiences = []string{cfg.Issuer}
	}
	if d := cfg.MaxLifetime; d != 0 && (d < tokenissuer.MinLifetime || d > tokenissuer.MaxLifetime) {
		mistakes.Add("MaxLifetime", "is %v, want none or from 10 minutes to 2^32 seconds", d)
	}
	if err := a.newRing(cfg.Key); err != nil {
		mistakes.Add("Key", "is no signing key: %v", err)
		if err := a.newRing(nil); err != nil {
			return nil, err
		}
	}
	var err error
	a.Issuer, err = tokenissuer.New(tokenissuer.Config{Issuer: cfg.Issuer, Signer: a.Keys, Now: a.Now, ClusterClaim: cfg.ClusterClaim.Name})
	adopt(&mistakes, seen, err)
	a.Authenticator, err = tokens.NewAuthenticator(tokens.AuthenticatorConfig{
		Issuers: []string{cfg.Issuer}, APIAudiences: cfg.APIAudiences, Keys: a.Keys, Legacy: true, Now: a.Now, Cluster: cfg.ClusterClaim,
		ServiceAccounts: a.Cluster, Secrets: a.Cluster, Pods: a.Cluster, Nodes: a.Cluster,
	})
	adopt(&mistakes, seen, err)
	a.Discovery, err = discovery.NewPublisher(discovery.PublisherConfig{
		Issuer: cfg.Issuer, JWKSURI: cfg.Issuer + discovery.JWKSPath, Keys: a.Keys, Now: a.Now,
	})
	adopt(&mistakes, seen, err)
	if err := mistakes.Err(); err != nil {
		return nil, err
	}
	var errs [3]error
	a.requester, errs[0] = tokenrequest.New(tokenrequest.Config{
		Issuer: a.Issuer, APIAudiences: cfg.APIAudiences, MaxLifetime: cfg.MaxLifetime,
		ServiceAccounts: a.Cluster, Secrets: a.Cluster, Pods: a.Cluster, Nodes: a.Cluster,
		Observe: func(ctx context.Context, e tokenrequest.Event) {
			for _, text := range e.Warnings {
				warning.Add(ctx, text)
			}
		},
	})
	a.Accounts, errs[1] = sacontroller.NewServiceAccounts(sacontroller.ServiceAccountsConfig{Reader: a.Cluster, Client: a.Cluster})
	a.Secrets, errs[2] = sacontroller.NewTokens(sacontroller.TokensConfig{
		Reader: a.Cluster, Client: a.Cluster, Issuer: a.Issuer, RootCA: cfg.RootCA, AutoGenerate: cfg.AutoGenerate, Now: a.Now,
	})
	for _, err := range errs {
		adopt(&mistakes, seen, err)
	}
	if err := mistakes.Err(); err != nil {
		return nil, err
	}
	reviews, err := tokenreview.NewHandler(tokenreview.HandlerConfig{Verifier: a.Authenticator, V1beta1: true})
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	serve := func(path string, op fault.Op, handler http.Handler) {
		mux.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) { a.Cluster.serveHTTP(w, r, op, handler) })
	}
	serve(discovery.ConfigPath, fault.Op{Verb: "get", Resource: object.ConfigPath}, a.Discovery)
	serve(discovery.JWKSPath, fault.Op{Verb: "get", Resource: object.JWKSPath}, a.Discovery)
	serve("/authenticate", fault.Op{Verb: "create", Resource: object.TokenReviews}, reviews)
	a.handler = mux
	return a, nil
}

// adopt adds the first mistake that err, of the constructor of a part, reports:
// it is about the Issuer, as that is what the parts are given, the RootCA or the ClusterClaim.
func adopt(mistakes *configerror.List, seen map[string]bool, err error) {
	if err == nil {
		return
	}
	field, problem := "Issuer", "is not usable: "+err.Error()
	if e, ok := errors.AsType[*ConfigError](err); ok {
		problem = e.Problem
		if e.Field == "RootCA" {
			field = e.Field
		}
		if name, found := strings.CutPrefix(e.Field, "Cluster."); found {
			field = "ClusterClaim." + name
		}
		if e.Field == "ClusterClaim" {
			field = "ClusterClaim.Name"
		}
	}
	if !seen[field] {
		seen[field] = true
		mistakes.Add(field, "%s", problem)
	}
}

// newRing sets the ring, with a key that signs.
func (a *Authority) newRing(key crypto.Signer) (err error) {
	if key == nil {
		if key, err = keys.Generate(keys.ES256); err != nil {
			return err
		}
	}
	if a.Keys, err = keyring.New(keyring.Config{Now: a.Now}); err != nil {
		return err
	}
	id, err := a.Keys.Add(context.Background(), key)
	if err != nil {
		return err
	}
	return a.Keys.Promote(context.Background(), id)
}

// Now returns the time of the Authority and its Cluster.
func (a *Authority) Now() time.Time {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.now
}

// Advance moves the clock, so that tokens expire and keys may be rotated. A
// negative d moves it back. Times are granted some tolerance: move more than a minute past
// the end of a token, and ask [keyring.Ring.Plan] when a key may sign.
func (a *Authority) Advance(d time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.now = a.now.Add(d)
}

// Settle lets the controllers work until nothing is left to do: Namespaces get
// their account "default", token Secrets are filled and deleted. It fails as
// [Cluster.Settle] does.
func (a *Authority) Settle(ctx context.Context) error {
	return a.Cluster.Settle(ctx, a.Accounts, a.Secrets)
}

// CreateToken answers a TokenRequest for an account, as the subresource "token"
// does: the call "create serviceaccounts/token" of the Cluster, with its faults.
func (a *Authority) CreateToken(ctx context.Context, namespace, name string, request *authenticationv1.TokenRequest) (*authenticationv1.TokenRequest, error) {
	op := fault.Op{
		Verb: "create", Resource: object.ServiceAccounts.Resource, Subresource: object.TokenSubresource,
		Namespace: namespace, Name: name,
	}
	if request != nil {
		op.Object = request.DeepCopy()
	}
	var answer *authenticationv1.TokenRequest
	err := a.Cluster.Do(ctx, op, func(ctx context.Context) (err error) {
		if err := a.admitToken(namespace, name); err != nil {
			return err
		}
		answer, err = a.requester.Create(ctx, namespace, name, request)
		return err
	})
	if err != nil {
		return nil, err
	}
	return answer, nil
}

// admitToken guards Namespaces that don't exist or are being deleted, as for every create.
func (a *Authority) admitToken(namespace, name string) error {
	stored, _ := a.Cluster.api().Stored(object.Namespaces, "", namespace)
	ns, _ := stored.(*corev1.Namespace)
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}}
	return apirules.CheckNamespace(object.ServiceAccounts, account, ns)
}

// Review answers a TokenReview: the call "create tokenreviews" of the Cluster. A token
// that isn't valid is no error; errors are those of faults and ctx.
func (a *Authority) Review(ctx context.Context, review *authenticationv1.TokenReview) (*authenticationv1.TokenReview, error) {
	op := fault.Op{Verb: "create", Resource: object.TokenReviews}
	if review != nil {
		op.Object = review.DeepCopy()
	}
	var answer *authenticationv1.TokenReview
	err := a.Cluster.Do(ctx, op, func(ctx context.Context) error {
		answer = tokenreview.Review(ctx, review, a.Authenticator)
		return ctx.Err()
	})
	if err != nil {
		return nil, err
	}
	return answer, nil
}

// ReviewSelf answers a SelfSubjectReview of user: the call "create selfsubjectreviews"
// of the Cluster.
func (a *Authority) ReviewSelf(ctx context.Context, review *authenticationv1.SelfSubjectReview, user authenticationv1.UserInfo) (*authenticationv1.SelfSubjectReview, error) {
	op := fault.Op{Verb: "create", Resource: object.SelfSubjectReviews}
	if review != nil {
		op.Object = review.DeepCopy()
	}
	answer := new(authenticationv1.SelfSubjectReview)
	err := a.Cluster.Do(ctx, op, func(context.Context) error {
		answer.CreationTimestamp = metav1.NewTime(a.Now().Truncate(time.Second))
		answer.Status = authenticationv1.SelfSubjectReviewStatus{UserInfo: user}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return answer, nil
}

// ServeHTTP serves the discovery documents at their paths, for
// [discovery.Remote] and other verifiers, and a webhook for token authentication at
// /authenticate. They are calls of the Cluster, with its faults: "get
// /openid/v1/jwks", "get /.well-known/openid-configuration" and "create tokenreviews".
func (a *Authority) ServeHTTP(w http.ResponseWriter, r *http.Request) { a.handler.ServeHTTP(w, r) }
