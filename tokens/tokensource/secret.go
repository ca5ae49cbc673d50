package tokensource

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"maps"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubesa/serviceaccount/internal/configerror"
	"github.com/kubesa/serviceaccount/internal/contract"
	"github.com/kubesa/serviceaccount/internal/names"
	"github.com/kubesa/serviceaccount/internal/tokensecret"
	"github.com/kubesa/serviceaccount/tokens"
	"github.com/kubesa/serviceaccount/tokens/internal/objects"
)

// A SecretClient is what [EnsureSecret] and [RotateSecret] read and write with. It
// should read live. serviceaccount.FromCoreV1 returns one.
type SecretClient interface {
	tokens.SecretGetter
	tokens.ServiceAccountGetter
	CreateSecret(ctx context.Context, secret *corev1.Secret) (*corev1.Secret, error)
	DeleteSecret(ctx context.Context, namespace, name string, opts metav1.DeleteOptions) error
}

// SecretOptions are the options of [EnsureSecret] and [RotateSecret]. The zero value is
// valid.
type SecretOptions struct {
	// Name is that of the Secret to ensure. If empty, it is "<account>-token".
	Name string

	// Labels and Annotations are those of a Secret that is created. Those that it has
	// already stay as they are.
	Labels, Annotations map[string]string

	// LastError is that of [WaitOptions].
	LastError func() error
}

// A SecretConflictError means that a Secret of the name exists that can't be the token
// Secret of the account: choose another name, or delete it.
type SecretConflictError struct {
	Namespace, Name string // of the Secret
	Problem         string
}

func (e *SecretConflictError) Error() string {
	return fmt.Sprintf("tokensource: Secret %s/%s exists: %s", e.Namespace, e.Name, e.Problem)
}

// EnsureSecret returns the token Secret of an account once it has a token, and creates
// it if it doesn't exist. It is idempotent, and two of them at the same time create one
// Secret. Set a deadline: it waits for the token controller until ctx is done.
//
// Such a token doesn't expire, and is revoked only by deleting the Secret or the account.
// Prefer a [Source] wherever the client can renew its token.
//
// The error is that of the client, such as a NotFound for the account; a
// [*SecretConflictError]; a [*NotPopulatedError], which says why there is no token yet:
// call it again; or a [*ConfigError] if client is nil.
func EnsureSecret(ctx context.Context, client SecretClient, namespace, account string, opts SecretOptions) (*corev1.Secret, error) {
	if err := require("EnsureSecret", "client", client); err != nil {
		return nil, err
	}
	if opts.Name == "" {
		opts.Name = account + "-token"
	}
	if !objects.ValidAccount(namespace, account) || !names.Valid(opts.Name) {
		return nil, fmt.Errorf("tokensource: Secret %.253q of ServiceAccount %.63q/%.253q: want the names of a Secret and of a ServiceAccount", opts.Name, namespace, account)
	}
	owner, err := contract.Require(client.GetServiceAccount(ctx, namespace, account))
	if err != nil {
		return nil, err
	}
	return ensureSecret(ctx, client, owner, opts)
}

// ensureSecret is EnsureSecret for an account that was looked up.
func ensureSecret(ctx context.Context, client SecretClient, account *corev1.ServiceAccount, opts SecretOptions) (*corev1.Secret, error) {
	secret, err := contract.Require(client.GetSecret(ctx, account.Namespace, opts.Name))
	if apierrors.IsNotFound(err) {
		secret, err = contract.Require(client.CreateSecret(ctx, newTokenSecret(account, opts)))
		if apierrors.IsAlreadyExists(err) { // another one has created it
			secret, err = contract.Require(client.GetSecret(ctx, account.Namespace, opts.Name))
		}
	}
	if err != nil {
		return nil, err
	}
	if problem := conflictOf(secret, account); problem != "" {
		return nil, &SecretConflictError{account.Namespace, opts.Name, problem}
	}
	return WaitPopulated(ctx, client, account.Namespace, opts.Name, WaitOptions{LastError: opts.LastError})
}

// require returns a [*ConfigError] if the argument called name of function is nil.
func require(function, name string, client any) error {
	mistakes := configerror.List{Config: "tokensource." + function}
	mistakes.Require(name, client, "a client")
	return mistakes.Err()
}

// newTokenSecret returns a Secret that the token controller fills for account. With the
// UID it can't be filled for a later account of that name.
func newTokenSecret(account *corev1.ServiceAccount, opts SecretOptions) *corev1.Secret {
	annotations := map[string]string{}
	maps.Copy(annotations, opts.Annotations)
	annotations[corev1.ServiceAccountNameKey] = account.Name
	annotations[corev1.ServiceAccountUIDKey] = string(account.UID)
	return &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: account.Namespace, Name: opts.Name, Labels: maps.Clone(opts.Labels), Annotations: annotations},
		Type:       corev1.SecretTypeServiceAccountToken,
	}
}

// conflictOf says why secret can't be the token Secret of account, empty if it can.
func conflictOf(secret *corev1.Secret, account *corev1.ServiceAccount) string {
	switch name, _ := tokensecret.Owner(secret); {
	case !tokensecret.Is(secret):
		return fmt.Sprintf("its type is %q, want %q", secret.Type, corev1.SecretTypeServiceAccountToken)
	case name != account.Name:
		return fmt.Sprintf("it is that of the ServiceAccount %q, want %q", name, account.Name)
	case !tokensecret.BelongsTo(secret, account):
		return "it is that of an earlier ServiceAccount of the name; the token controller deletes it"
	}
	return ""
}

// RotateSecret replaces the token Secret old of an account by another one with another
// token, without an outage: it creates the new Secret, waits for its token, has use make
// all clients use it, and then deletes old, which revokes the old token. The new
// Secret's name follows from the account and from old, so a call that is repeated after a
// failure goes on with the Secret that it created before. opts.Name is ignored.
//
// Until use returns nil, old is untouched. If use or the deletion fails, the new Secret is
// returned beside the error. Other errors are those of [EnsureSecret], and a
// [*SecretConflictError] if old is no token Secret.
func RotateSecret(ctx context.Context, client SecretClient, old *corev1.Secret, use func(ctx context.Context, secret *corev1.Secret) error, opts SecretOptions) (*corev1.Secret, error) {
	if err := require("RotateSecret", "client", client); err != nil {
		return nil, err
	}
	if old == nil || old.UID == "" || use == nil { // without its UID it would not be deleted
		return nil, errors.New("tokensource: RotateSecret needs a Secret with its UID, as it was read, and a function that uses the new one")
	}
	name, _ := tokensecret.Owner(old)
	if !objects.ValidAccount(old.Namespace, name) {
		return nil, &SecretConflictError{old.Namespace, old.Name, "it is no token Secret of an account that can exist"}
	}
	account, err := contract.Require(client.GetServiceAccount(ctx, old.Namespace, name))
	if err != nil {
		return nil, err
	}
	if problem := conflictOf(old, account); problem != "" {
		return nil, &SecretConflictError{old.Namespace, old.Name, problem}
	}
	hash := fnv.New64a()
	hash.Write([]byte(old.UID))
	opts.Name = tokensecret.GeneratedName(tokensecret.NameBase(name), hash.Sum64())
	secret, err := ensureSecret(ctx, client, account, opts)
	if err != nil {
		return nil, err
	}
	if err := use(ctx, secret); err != nil {
		return secret, err
	}
	uid := old.UID
	err = client.DeleteSecret(ctx, old.Namespace, old.Name, metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &uid}})
	if apierrors.IsNotFound(err) || apierrors.IsConflict(err) { // it is gone, or another one by now
		err = nil
	}
	return secret, err
}
