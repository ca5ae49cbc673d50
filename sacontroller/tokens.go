package sacontroller

import (
	"context"
	"errors"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
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
	RootCA []byte

	// AutoGenerate gives every account that lists no token Secret a new one, as
	// Kubernetes did up to version 1.23 (CTL-80..92).
	AutoGenerate bool

	// GenerateName makes the name of a generated Secret from its base. It must
	// return base and something that makes it unique (CST-19). If nil, the rest
	// depends on the account's UID and resourceVersion, so that an attempt that
	// follows a lost answer, a crash or another replica finds the Secret that is
	// there already; a random name gives that up where caches are stale.
	GenerateName func(base string) string
}

// Tokens is the controller that fills the token Secrets of ServiceAccounts,
// deletes those whose account is gone, removes references to Secrets that are
// gone and, if asked to, gives each account a token Secret of its own
// (CTL-4..92). It is safe for concurrent use. It keeps the last error of each
// failing key and nothing else.
type Tokens struct {
	reader   TokensReader
	client   TokensClient
	issuer   LegacyIssuer
	rootCA   []byte
	auto     bool
	generate func(base string) string
	failures failures
}

var _ Controller = (*Tokens)(nil)

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
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return &Tokens{
		reader:   cfg.Reader,
		client:   cfg.Client,
		issuer:   cfg.Issuer,
		rootCA:   slices.Clone(cfg.RootCA),
		auto:     cfg.AutoGenerate,
		generate: cfg.GenerateName,
	}, nil
}

// Name returns "serviceaccount-token-controller" (CST-20).
func (c *Tokens) Name() string { return "serviceaccount-token-controller" }

// Due returns the key of the ServiceAccount or token Secret that changed
// (CTL-4..8). Other Secrets, and token Secrets that name no account, give none.
func (c *Tokens) Due(event Event) []Key {
	switch event.Type {
	case watch.Added, watch.Modified, watch.Deleted:
	default:
		return nil
	}
	switch object := event.Object.(type) {
	case *corev1.ServiceAccount:
		if object == nil {
			return nil
		}
		return valid(Key{Kind: kindServiceAccount, Namespace: object.Namespace, Name: object.Name, UID: object.UID})
	case *corev1.Secret:
		if object == nil || object.Type != corev1.SecretTypeServiceAccountToken {
			return nil
		}
		name, uid := ownerOf(object)
		return valid(Key{
			Kind: kindSecret, Namespace: object.Namespace, Name: object.Name, UID: object.UID,
			ServiceAccountName: name, ServiceAccountUID: uid,
		})
	}
	return nil
}

// valid returns key alone, or nothing if it is not a key of Tokens (CTL-8).
func valid(key Key) []Key {
	named := key.Namespace != "" && key.Name != "" && key.UID != ""
	if named && (key.Kind == kindServiceAccount || key.Kind == kindSecret && key.ServiceAccountName != "") {
		return []Key{key}
	}
	return nil
}

// Reconcile brings the account or the token Secret of key in order. Every error
// is worth another attempt: unlike Kubernetes, which drops a key after ten
// attempts and never repeats some failures, the driver should go on for as long
// as errors come (CTL-9, CTL-51, CTL-68 as we differ).
func (c *Tokens) Reconcile(ctx context.Context, key Key) (Result, error) {
	if valid(key) == nil {
		return Result{}, nil
	}
	var err error
	if key.Kind == kindSecret {
		err = c.reconcileSecret(ctx, key)
	} else {
		err = c.reconcileAccount(ctx, key)
	}
	c.failures.note(key, err)
	return Result{}, err
}

// LastError returns the error of the last attempt at key, or nil if it succeeded
// or there was none. Of many thousands of failing keys some are forgotten.
func (c *Tokens) LastError(key Key) error { return c.failures.get(key) }

// frozen reports whether namespace is being deleted as far as the Reader knows.
// Whatever a controller could do there, the deletion of the Namespace undoes.
func (c *Tokens) frozen(ctx context.Context, namespace string) (bool, error) {
	getter, ok := c.reader.(NamespaceGetter)
	if !ok {
		return false, nil
	}
	ns, err := getter.GetNamespace(ctx, namespace)
	if apierrors.IsNotFound(err) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("sacontroller: reading Namespace %q: %w", namespace, err)
	}
	return ns.DeletionTimestamp != nil || ns.Status.Phase == corev1.NamespaceTerminating, nil
}

// liveAccount reads an account live; an account that doesn't exist is nil.
func (c *Tokens) liveAccount(ctx context.Context, namespace, name string) (*corev1.ServiceAccount, error) {
	return found(c.client.GetServiceAccount(ctx, namespace, name))
}

// liveSecret reads a Secret live; a Secret that doesn't exist is nil.
func (c *Tokens) liveSecret(ctx context.Context, namespace, name string) (*corev1.Secret, error) {
	return found(c.client.GetSecret(ctx, namespace, name))
}

// found turns the NotFound error of a getter into a nil object.
func found[T any](object *T, err error) (*T, error) {
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("sacontroller: reading a %T: %w", object, err)
	}
	return object, nil
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
	if was, _ := ownerOf(secret); now.Annotations[corev1.ServiceAccountNameKey] != was {
		return nil
	}
	return c.deleteSecret(ctx, now)
}

// deleteSecret deletes the very Secret that was read. That it is gone, or another
// one, is success.
func (c *Tokens) deleteSecret(ctx context.Context, secret *corev1.Secret) error {
	var opts metav1.DeleteOptions
	if secret.UID != "" {
		opts.Preconditions = &metav1.Preconditions{UID: uidPointer(secret.UID)}
	}
	err := c.client.DeleteSecret(ctx, secret.Namespace, secret.Name, opts)
	if err == nil || apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
		return nil
	}
	return fmt.Errorf("sacontroller: deleting Secret %s/%s: %w", secret.Namespace, secret.Name, err)
}

func uidPointer(uid types.UID) *types.UID { return &uid }
