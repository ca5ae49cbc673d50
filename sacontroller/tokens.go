package sacontroller

import (
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"

	"github.com/kubesa/serviceaccount/internal/tokensecret"
)

// A LegacyIssuer signs the tokens that stand in Secrets. *tokens.Issuer is one.
type LegacyIssuer interface {
	// IssueLegacy returns a token for account that is bound to secret, of which
	// the name and the namespace count. It must be safe for concurrent use. Its
	// error must not hold key material; the attempt is repeated later.
	IssueLegacy(ctx context.Context, account *corev1.ServiceAccount, secret *corev1.Secret) (string, error)
}

// TokensConfig configures [NewTokens].
type TokensConfig struct {
	// Reader is required and may be a cache. If it is a [NamespaceGetter] too,
	// nothing is written in a Namespace that it says is being deleted.
	Reader TokensReader
	Client TokensClient // required; must be live
	Issuer LegacyIssuer // required

	// RootCA is the CA bundle for "ca.crt", compared byte for byte with what a
	// Secret holds. If empty, "ca.crt" is neither added nor changed (CTL-50).
	// [Tokens.SetRootCA] changes it at run time.
	RootCA []byte

	// AutoGenerate gives every account that lists no token Secret a new one, as
	// Kubernetes did up to version 1.23 (CTL-80..92). An account lists one at most,
	// and a Secret that a process left behind is found and listed by the next one.
	// Only if that one's cache lacks it, and the account has changed since, does the
	// account get a second one; the first then stays, unlisted, until its account
	// goes. One process at a time with a cache that keeps up never gets there.
	AutoGenerate bool

	// GenerateName makes the name of a generated Secret from its base. It must
	// return base and something that makes it unique (CST-19). If nil, the rest
	// depends on the account's UID and resourceVersion, so that another replica,
	// or a new process, finds the Secret that is there already; a random name
	// gives that up where caches are stale.
	GenerateName func(base string) string

	// Judge says what is wrong with tokens that stand in Secrets; see
	// [Tokens.Stale]. If nil, whatever stands there is good.
	Judge TokenJudge

	// Repair replaces the tokens that Judge finds wrong. Without it no token is
	// ever overwritten.
	Repair bool

	// Now returns the current time. It serves only to slow down when somebody
	// else keeps undoing what is written. If nil, time.Now is used.
	Now func() time.Time
}

// Tokens is the controller that fills the token Secrets of ServiceAccounts,
// deletes those whose account is gone, removes references to Secrets that are
// gone and, if asked to, gives each account a token Secret of its own
// (CTL-4..92). It is safe for concurrent use. What it remembers from one attempt
// to the next only saves work or time; a new one goes on where it was.
type Tokens struct {
	reader   TokensReader
	client   TokensClient
	issuer   LegacyIssuer
	rootCA   *bundle
	auto     bool
	generate func(base string) string
	judge    TokenJudge
	repair   bool

	failures failures
	pending  pending
	pace     pace
}

var _ Resyncer = (*Tokens)(nil)

// NewTokens returns a Tokens controller, or an error that names every required
// field of cfg that is unset.
func NewTokens(cfg TokensConfig) (*Tokens, error) {
	var errs []error
	if cfg.Reader == nil {
		errs = append(errs, errors.New("sacontroller: TokensConfig.Reader is nil, want a reader"))
	}
	if cfg.Client == nil {
		errs = append(errs, errors.New("sacontroller: TokensConfig.Client is nil, want a live client"))
	}
	if cfg.Issuer == nil {
		errs = append(errs, errors.New("sacontroller: TokensConfig.Issuer is nil, want an issuer"))
	}
	if cfg.Repair && cfg.Judge == nil {
		errs = append(errs, errors.New("sacontroller: TokensConfig.Repair is set and Judge is nil, want a judge"))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	return &Tokens{
		reader:   cfg.Reader,
		client:   cfg.Client,
		issuer:   cfg.Issuer,
		rootCA:   newBundle(cfg.RootCA),
		auto:     cfg.AutoGenerate,
		generate: cfg.GenerateName,
		judge:    cfg.Judge,
		repair:   cfg.Repair,
		pace:     pace{now: cfg.Now},
	}, nil
}

// Name returns "serviceaccount-token-controller" (CST-20).
func (c *Tokens) Name() string { return "serviceaccount-token-controller" }

// Due returns the key of the ServiceAccount or token Secret that changed
// (CTL-4..8), and that of the one it replaced if both are told in one event.
// Other Secrets, and token Secrets that name no account, give none. A Secret that
// is gone also gives a key for the account that it was generated for, going by its
// name, if by then it was annotated with another: that one may still list it. The
// account that a Secret is taken from has its key too: it may need another token.
func (c *Tokens) Due(event Event) []Key {
	switch event.Type {
	case watch.Added, watch.Modified, watch.Deleted:
	default:
		return nil
	}
	var keys []Key
	key := tokensKey(event.Object)
	switch old := tokensKey(event.Old); {
	case old.UID != uidOf(event.Object):
		keys = append(keys, gone(old)...)
	case old.ServiceAccountName != key.ServiceAccountName:
		keys = append(keys, left(old)...)
	}
	switch {
	case event.Type == watch.Deleted:
		keys = append(keys, gone(key)...)
	case key.workable():
		keys = append(keys, key)
	}
	return keys
}

// Reconcile brings the account or the token Secret of key in order. Every error
// is worth another attempt: unlike Kubernetes, which drops a key after ten
// attempts and never repeats some failures, the driver should go on for as long
// as errors come (CTL-9, CTL-51, CTL-68 as we differ). If somebody else undoes
// the same write more than sixty times in a minute, Reconcile waits that minute
// out, and [Tokens.LastError] says so.
func (c *Tokens) Reconcile(ctx context.Context, key Key) (Result, error) {
	if !key.workable() {
		return Result{}, nil
	}
	frozen, err := c.frozen(ctx, key.Namespace)
	switch {
	case frozen || err != nil:
	case key.Kind == kindSecret:
		err = c.reconcileSecret(ctx, key)
	default:
		err = c.reconcileAccount(ctx, key)
	}
	c.failures.note(key, err)
	if frozen {
		return Result{RequeueAfter: frozenPause}, nil
	}
	if undone, ok := errors.AsType[*undoneError](err); ok {
		return Result{RequeueAfter: undone.wait}, nil
	}
	return Result{}, err
}

// frozenPause is how long a key waits whose Namespace is being deleted. The Reader
// may be behind, and the Namespace be another one of the same name already: then
// there is no event any more that would make the key due.
const frozenPause = 10 * time.Second

// LastError returns the error of the last attempt at key, or nil if it succeeded
// or there was none. Of many thousands of failing keys some are forgotten.
func (c *Tokens) LastError(key Key) error { return c.failures.get(key) }

// SetRootCA changes the CA bundle that Secrets get, and asks for a resync. A
// bundle that [CheckCABundle] refuses is an error and changes nothing.
func (c *Tokens) SetRootCA(bundle []byte) error { return c.rootCA.set(bundle) }

// Recheck asks for a resync. Call it when the Judge's opinion may have changed,
// for example because a key is about to be retired.
func (c *Tokens) Recheck() { c.rootCA.notify() }

// Resync returns the channel that receives a value after [Tokens.SetRootCA] and
// [Tokens.Recheck].
func (c *Tokens) Resync() <-chan struct{} { return c.rootCA.resync }

// frozen reports whether namespace is being deleted as far as the Reader knows.
// Whatever a controller could do there, the deletion of the Namespace undoes.
func (c *Tokens) frozen(ctx context.Context, namespace string) (bool, error) {
	getter, ok := c.reader.(NamespaceGetter)
	if !ok {
		return false, nil
	}
	ns, err := found(getter.GetNamespace(ctx, namespace))
	return ns != nil && isTerminating(ns), err
}

// liveAccount reads an account live; an account that doesn't exist is nil.
func (c *Tokens) liveAccount(ctx context.Context, namespace, name string) (*corev1.ServiceAccount, error) {
	return found(c.client.GetServiceAccount(ctx, namespace, name))
}

// liveSecret reads a Secret live; a Secret that doesn't exist is nil.
func (c *Tokens) liveSecret(ctx context.Context, namespace, name string) (*corev1.Secret, error) {
	return found(c.client.GetSecret(ctx, namespace, name))
}

// deleteIfOrphan deletes the token Secret of that name and UID unless it turns out,
// read live, to be another one or to have an account: live is the account that the
// caller knows of, read live before, or nil if there is none (CTL-24, CTL-25).
func (c *Tokens) deleteIfOrphan(ctx context.Context, secret *corev1.Secret, live *corev1.ServiceAccount) error {
	now, err := c.liveSecret(ctx, secret.Namespace, secret.Name)
	if err != nil || now == nil || now.UID != secret.UID || !isOrphan(now, live) {
		return err
	}
	// The live Secret may have been given to another account since it was cached.
	if was, _ := tokensecret.Owner(secret); now.Annotations[corev1.ServiceAccountNameKey] != was {
		return nil
	}
	return c.deleteSecret(ctx, now)
}

// deleteSecret deletes the very Secret that was read. That it is gone, or another
// one, is success.
func (c *Tokens) deleteSecret(ctx context.Context, secret *corev1.Secret) error {
	var opts metav1.DeleteOptions
	if secret.UID != "" {
		opts.Preconditions = metav1.NewUIDPreconditions(string(secret.UID))
	}
	err := c.client.DeleteSecret(ctx, secret.Namespace, secret.Name, opts)
	if err == nil || apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
		return nil
	}
	return fmt.Errorf("sacontroller: deleting Secret %s/%s: %w", secret.Namespace, secret.Name, err)
}
