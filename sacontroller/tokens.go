package sacontroller

import (
	"context"
	"errors"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubesa/serviceaccount/internal/configerror"
	"github.com/kubesa/serviceaccount/sacontroller/internal/apicall"
	"github.com/kubesa/serviceaccount/sacontroller/internal/cabundle"
	"github.com/kubesa/serviceaccount/sacontroller/internal/memory"
	"github.com/kubesa/serviceaccount/tenant"
)

// A TokensReader is what [Tokens] decides from. The package documentation says
// what every Reader and Client promises.
type TokensReader interface {
	// GetNamespace returns a Namespace. Nothing is written in one that is being
	// deleted.
	GetNamespace(ctx context.Context, name string) (*corev1.Namespace, error)
	GetServiceAccount(ctx context.Context, namespace, name string) (*corev1.ServiceAccount, error)
	GetSecret(ctx context.Context, namespace, name string) (*corev1.Secret, error)

	// TokenSecrets returns the Secrets of namespace that have the type
	// kubernetes.io/service-account-token and whose annotation
	// kubernetes.io/service-account.name is serviceAccountName, in the order of
	// their names. It ignores the UID annotation. Its cost should not grow with
	// the namespace: keep an index. An annotation may be any text of up to
	// 256 KiB; Secrets whose annotation can't be the name of an account may be
	// left out.
	TokenSecrets(ctx context.Context, namespace, serviceAccountName string) ([]*corev1.Secret, error)
}

// A TokensClient is what [Tokens] writes through, and reads from before it
// deletes anything or removes a reference.
type TokensClient interface {
	GetServiceAccount(ctx context.Context, namespace, name string) (*corev1.ServiceAccount, error)
	UpdateServiceAccount(ctx context.Context, account *corev1.ServiceAccount) (*corev1.ServiceAccount, error)

	GetSecret(ctx context.Context, namespace, name string) (*corev1.Secret, error)
	CreateSecret(ctx context.Context, secret *corev1.Secret) (*corev1.Secret, error)
	UpdateSecret(ctx context.Context, secret *corev1.Secret) (*corev1.Secret, error)
	DeleteSecret(ctx context.Context, namespace, name string, opts metav1.DeleteOptions) error
}

// A LegacyIssuer signs Secret-based tokens. *tokenissuer.Issuer is one.
type LegacyIssuer interface {
	// IssueLegacy returns a token for account that is bound to secret, of which
	// the name and the namespace count. It must be safe for concurrent use. Its
	// error must not hold key material; the controller tries again later.
	IssueLegacy(ctx context.Context, account *corev1.ServiceAccount, secret *corev1.Secret) (string, error)
}

// TokensConfig configures [NewTokens].
type TokensConfig struct {
	Reader TokensReader // required; may be a cache
	Client TokensClient // required; must be live
	Issuer LegacyIssuer // required

	// RootCA is the CA bundle for "ca.crt", compared byte for byte with what a
	// Secret holds. If empty, "ca.crt" is neither added nor changed.
	// [Tokens.SetRootCA] changes it at run time.
	RootCA []byte

	// RootCAOf, if not nil, returns the CA bundle of the tenant of a context, which takes
	// the place of RootCA; an empty one leaves that. It must be fast and safe for
	// concurrent use. After it has changed, a driver must report the tenant's objects as
	// Added once more.
	RootCAOf func(ctx context.Context) []byte

	// AutoGenerate gives every account that lists no token Secret a new one, as
	// Kubernetes did up to version 1.23. An account lists one at most. A Secret
	// that a process left unlisted is found and listed by the next one, unless
	// that one's cache lacks it and the account has changed since: then the
	// account gets a second Secret, and the first stays, unlisted, until the
	// account is deleted.
	AutoGenerate bool

	// GenerateName returns the name of a generated Secret: base and something
	// that makes it unique. If nil, that depends on the account's UID and
	// resourceVersion, so that another replica, or a new process, finds the
	// Secret that exists already. A random name doesn't allow that when caches
	// are stale.
	GenerateName func(base string) string

	// CheckToken finds invalid tokens in Secrets; see [Tokens.InvalidTokens]. If
	// nil, every token is taken for valid.
	CheckToken TokenCheck

	// ReplaceInvalid replaces the tokens that CheckToken finds invalid. Without
	// it no token is ever overwritten.
	ReplaceInvalid bool

	// Now returns the current time. It serves only to slow down when another
	// writer reverts what is written. If nil, time.Now is used.
	Now func() time.Time
}

// Tokens is the controller that fills the token Secrets of ServiceAccounts,
// deletes orphaned ones, removes references to Secrets that don't exist and, with
// AutoGenerate, gives each account a token Secret of its own. It is safe for
// concurrent use. What it remembers from one attempt to the next only saves work:
// a new process goes on where this one stopped.
type Tokens struct {
	reader         TokensReader
	client         TokensClient
	issuer         LegacyIssuer
	rootCA         *cabundle.Bundle
	auto           bool
	generate       func(base string) string
	check          TokenCheck
	replaceInvalid bool

	tenants memory.Tenants[tokensMemory]
}

// tokensMemory is what Tokens remembers of a tenant.
type tokensMemory struct {
	failures memory.Failures[Key]
	pending  memory.Pending
	throttle memory.Throttle[Key]
	searches memory.Places[*search]
}

var (
	_ Resyncer  = (*Tokens)(nil)
	_ Forgetter = (*Tokens)(nil)
)

// NewTokens returns a Tokens controller, or an error naming every invalid field, each
// as a [*ConfigError]: also ReplaceInvalid without CheckToken.
func NewTokens(cfg TokensConfig) (*Tokens, error) {
	mistakes := configerror.List{Config: "sacontroller.TokensConfig"}
	mistakes.Require("Reader", cfg.Reader, "a TokensReader")
	mistakes.Require("Client", cfg.Client, "a live TokensClient")
	mistakes.Require("Issuer", cfg.Issuer, "a LegacyIssuer")
	if cfg.ReplaceInvalid {
		mistakes.Require("CheckToken", cfg.CheckToken, "a TokenCheck to find the tokens that ReplaceInvalid replaces")
	}
	if err := mistakes.Err(); err != nil {
		return nil, err
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	return &Tokens{
		reader:         cfg.Reader,
		client:         cfg.Client,
		issuer:         cfg.Issuer,
		rootCA:         cabundle.New(cfg.RootCA, cfg.RootCAOf, CheckCABundle),
		auto:           cfg.AutoGenerate,
		generate:       cfg.GenerateName,
		check:          cfg.CheckToken,
		replaceInvalid: cfg.ReplaceInvalid,
		tenants: memory.Tenants[tokensMemory]{New: func() *tokensMemory {
			return &tokensMemory{
				throttle: memory.Throttle[Key]{Now: cfg.Now},
				searches: memory.Places[*search]{Now: cfg.Now},
			}
		}},
	}, nil
}

// Name returns "serviceaccount-token-controller".
func (c *Tokens) Name() string { return "serviceaccount-token-controller" } // CST-20

// frozenPause is how long a key waits whose Namespace is being deleted. The Reader
// may be stale, and the Namespace be another one of the same name already: then
// there is no further change that would queue the key.
const frozenPause = 10 * time.Second

// Reconcile reconciles the account or the token Secret of key. Every error is
// retryable: unlike Kubernetes, which drops a key after ten attempts, a driver
// should go on for as long as errors come. If another writer reverts the same
// write more than sixty times in a minute, Reconcile waits until that minute is
// over, and [Tokens.LastError] says so.
func (c *Tokens) Reconcile(ctx context.Context, key Key) (Result, error) { // CTL-9, CTL-51, CTL-68 as we differ
	if !key.workable() {
		return Result{}, nil
	}
	ctx = tenant.NewContext(ctx, key.Tenant)
	a := &attempt{Tokens: c, tokensMemory: c.tenants.Of(key.Tenant), calls: maxCalls}
	frozen, err := a.frozen(ctx, key.Namespace)
	switch {
	case frozen || err != nil:
	case key.Kind == kindSecret:
		err = a.reconcileSecret(ctx, key)
	default:
		err = a.reconcileAccount(ctx, key)
	}
	if isYield(err) {
		return Result{RequeueAfter: Yield}, nil
	}
	a.failures.Note(key, err)
	if frozen {
		return Result{RequeueAfter: frozenPause}, nil
	}
	if pause, ok := errors.AsType[*apicall.PauseError](err); ok {
		return Result{RequeueAfter: pause.Wait}, nil
	}
	return Result{}, err
}

// LastError returns the error of the last attempt at key, or nil if it succeeded
// or there was none. Of many thousands of failing keys some are forgotten.
func (c *Tokens) LastError(key Key) error {
	if m := c.tenants.Known(key.Tenant); m != nil {
		return m.failures.Get(key)
	}
	return nil
}

// Forget implements [Forgetter].
func (c *Tokens) Forget(tenant string) { c.tenants.Forget(tenant) }

// SetRootCA changes the CA bundle that Secrets get, and asks for a resync. A
// bundle that [CheckCABundle] rejects is an error and changes nothing.
func (c *Tokens) SetRootCA(bundle []byte) error { return c.rootCA.Set(bundle) }

// Recheck asks for a resync. Call it when CheckToken may answer differently from
// now on, for example because a key is about to be retired.
func (c *Tokens) Recheck() { c.rootCA.Notify() }

// Resync returns the channel that receives a value after [Tokens.SetRootCA] and
// [Tokens.Recheck].
func (c *Tokens) Resync() <-chan struct{} { return c.rootCA.Resync() }
