package keeper

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"

	"github.com/kubesa/serviceaccount/internal/configerror"
	"github.com/kubesa/serviceaccount/internal/contract"
	"github.com/kubesa/serviceaccount/internal/flight"
	"github.com/kubesa/serviceaccount/internal/logvalue"
	"github.com/kubesa/serviceaccount/internal/names"
	"github.com/kubesa/serviceaccount/sacontroller"
	"github.com/kubesa/serviceaccount/tokens"
	"github.com/kubesa/serviceaccount/tokens/inspect"
)

// WrittenAnnotation is the annotation in which [Secrets] notes what it has written: a
// hash of the data, which tells nothing of the token. A Secret whose data doesn't match
// was written to by another one.
const WrittenAnnotation = "kubesa.github.com/kept-token"

// DefaultKey is the key of a Secret that holds the token.
const DefaultKey = corev1.ServiceAccountTokenKey

// Bounds of the calls of Mint.
const (
	mintTimeout = 30 * time.Second
	maxMints    = 64 // that may hang
)

// A Want is the token that a Secret shall hold. Whatever prints or encodes it leaves its
// Data out.
type Want struct {
	// Namespace and Name are those of the account, UID its UID if it is known: a token
	// of another one, which is revoked, is replaced.
	Namespace, Name string
	UID             types.UID

	// Pod, if set, is the pod of that namespace to which Mint binds the token: a token of
	// another one is replaced.
	Pod tokens.ObjectRef

	Audiences []string      // if empty, those that Mint chooses
	Lifetime  time.Duration // for Mint; what the token says counts

	// Key is where the token is in the data. If empty, it is [DefaultKey].
	Key string

	// Data is what the Secret holds beside the token, such as "ca.crt" and "namespace". It
	// is written along with it. Other keys stay as they are.
	Data map[string][]byte

	// Render, if set, returns what is written at Key instead of the token itself, such as
	// a kubeconfig, and must return the same for the same token. TokenOf is its reverse.
	Render  func(token string) ([]byte, error)
	TokenOf func(rendered []byte) (token string)
}

// String returns the account and the audiences.
func (w Want) String() string {
	return fmt.Sprintf("keeper.Want(%s/%s for %q)", w.Namespace, w.Name, w.Audiences)
}

// Format writes what String returns, whatever the verb.
func (w Want) Format(s fmt.State, _ rune) { fmt.Fprint(s, w.String()) }

// MarshalText returns what String returns.
func (w Want) MarshalText() ([]byte, error) { return []byte(w.String()), nil }

// MarshalBinary is MarshalText for encoding/gob.
func (w Want) MarshalBinary() ([]byte, error) { return w.MarshalText() }

// A SecretGetter reads Secrets. It may read from a cache.
type SecretGetter interface {
	GetSecret(ctx context.Context, namespace, name string) (*corev1.Secret, error)
}

// A SecretUpdater writes Secrets. It must return a Conflict if the resourceVersion isn't
// the newest one.
type SecretUpdater interface {
	UpdateSecret(ctx context.Context, secret *corev1.Secret) (*corev1.Secret, error)
}

// SecretsConfig configures [NewSecrets].
type SecretsConfig struct {
	Reader SecretGetter  // required; may be a cache
	Client SecretUpdater // required

	// Want is required. It says which token a Secret shall hold, by its labels and
	// annotations, say; nil if none: the Secret isn't the keeper's. Whoever may write
	// such a Secret gets that token, so Want decides whose accounts a namespace may ask
	// for. It must be a pure function. An error is reported, and the Secret stays as it
	// is until it changes.
	Want func(secret *corev1.Secret) (*Want, error)

	// Mint is required. It returns a new token, in this or in another cluster, for
	// example by tokensource.TokenOf. Its context ends after 30 s.
	Mint func(ctx context.Context, want Want) (*tokens.Token, error)

	// Observe, if set, is called after each renewal and each failure, with the context of
	// Reconcile. It must be fast and safe for concurrent use.
	Observe func(ctx context.Context, e Event)

	// Now returns the current time. If nil, [time.Now] is used.
	Now func() time.Time
}

// A ConfigError is one mistake in a [SecretsConfig], [FolderConfig] or [PayloadConfig].
// It has the fields Config, Field and Problem. Only another config helps.
type ConfigError = configerror.Error

// An Event is a renewal. It never holds the token.
type Event struct {
	Namespace, Name string    // of the Secret; of a folder, Name is its path
	CredentialID    string    // of the new token
	Expiry          time.Time // of the token that is there now, zero if unknown
	Err             error     // nil if it was renewed
	Took            time.Duration

	// Panic and Stack are set if Mint panicked.
	Panic any
	Stack []byte
}

// LogValue returns e for log/slog.
func (e Event) LogValue() slog.Value { return logvalue.Of(e) }

// Secrets is a controller that keeps tokens fresh in Secrets. It is safe for concurrent
// use.
type Secrets struct {
	cfg   SecretsConfig
	guard *flight.Guard
}

var _ sacontroller.Controller = (*Secrets)(nil)

// NewSecrets returns a controller, or an error naming every invalid field, each as a
// [*ConfigError].
func NewSecrets(cfg SecretsConfig) (*Secrets, error) {
	mistakes := configerror.List{Config: "keeper.SecretsConfig"}
	mistakes.Require("Reader", cfg.Reader, "a SecretGetter")
	mistakes.Require("Client", cfg.Client, "a SecretUpdater")
	mistakes.Require("Want", cfg.Want, "a function that says which token a Secret shall hold")
	mistakes.Require("Mint", cfg.Mint, "a function that returns a new token")
	if err := mistakes.Err(); err != nil {
		return nil, err
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	return &Secrets{cfg, flight.NewGuard("the function Mint", maxMints)}, nil
}

// Name returns "token-keeper".
func (s *Secrets) Name() string { return "token-keeper" }

// Due returns the key of a Secret that was added or modified, if it shall hold a token.
func (s *Secrets) Due(change sacontroller.Change) []sacontroller.Key {
	secret, _ := change.Object.(*corev1.Secret)
	if secret == nil || secret.Name == "" || change.Type != watch.Added && change.Type != watch.Modified {
		return nil
	}
	if want, err := s.cfg.Want(secret); want == nil && err == nil {
		return nil
	}
	return []sacontroller.Key{{Kind: "Secret", Namespace: secret.Namespace, Name: secret.Name, UID: secret.UID}}
}

// Reconcile renews the token of the Secret of key if it is time, and returns when it will
// be. A Secret that can't be kept, because it is of the token controller or another one
// has written to it, is a [*sacontroller.TerminalError].
func (s *Secrets) Reconcile(ctx context.Context, key sacontroller.Key) (sacontroller.Result, error) {
	secret, err := contract.Require(s.cfg.Reader.GetSecret(ctx, key.Namespace, key.Name))
	if apierrors.IsNotFound(err) || err == nil && (key.UID != "" && secret.UID != key.UID || secret.DeletionTimestamp != nil) {
		return sacontroller.Result{}, nil
	}
	if err != nil {
		return sacontroller.Result{}, err
	}
	want, err := s.cfg.Want(secret)
	if err != nil {
		err = &sacontroller.TerminalError{Err: err}
	}
	if want == nil || err != nil {
		return sacontroller.Result{}, err
	}
	now := s.cfg.Now()
	if want.Key == "" {
		copied := *want // which others may have, too
		copied.Key, want = DefaultKey, &copied
	}
	h, err := holdingOf(secret, want)
	if err != nil {
		return sacontroller.Result{}, &sacontroller.TerminalError{Err: err}
	}
	if h.fits && (h.renew.IsZero() || now.Before(h.renew)) {
		if h.renew.IsZero() {
			return sacontroller.Result{}, nil
		}
		return sacontroller.Result{RequeueAfter: max(h.renew.Sub(now), shortestWait)}, nil
	}
	e := Event{Namespace: secret.Namespace, Name: secret.Name, Expiry: h.expiry}
	began := time.Now()
	next, err := s.renew(ctx, secret, want, &e)
	e.Err, e.Took = err, time.Since(began)
	e.Panic, e.Stack = flight.PanicOf(err)
	if s.cfg.Observe != nil {
		s.cfg.Observe(ctx, e)
	}
	if err != nil {
		return sacontroller.Result{}, err
	}
	return sacontroller.Result{RequeueAfter: next}, nil
}

// A holding is what a Secret holds of what it shall hold.
type holding struct {
	fits   bool // the token is of the account, and all else is as wanted
	renew  time.Time
	expiry time.Time
}

// holdingOf compares secret with want. The error says why secret must not be written. It
// is a pure function.
func holdingOf(secret *corev1.Secret, want *Want) (holding, error) {
	if secret.Type == corev1.SecretTypeServiceAccountToken { // KUB-39
		return holding{}, errors.New("keeper: the Secret is a token Secret, which the token controller fills")
	}
	if secret.Immutable != nil && *secret.Immutable {
		return holding{}, errors.New("keeper: the Secret is immutable")
	}
	if !names.ValidNamespace(want.Namespace) || !names.Valid(want.Name) { // which may be a tenant's, and must not reach Mint
		return holding{}, fmt.Errorf("keeper: there can't be a ServiceAccount %s/%s", names.Quote(want.Namespace), names.Quote(want.Name))
	}
	if want.Pod.Name != "" && !names.Valid(want.Pod.Name) {
		return holding{}, fmt.Errorf("keeper: there can't be a Pod %s", names.Quote(want.Pod.Name))
	}
	if _, ok := want.Data[want.Key]; ok {
		return holding{}, fmt.Errorf("keeper: Want.Data has the key of the token, %q", want.Key)
	}
	rendered, there := secret.Data[want.Key]
	if there && secret.Annotations[WrittenAnnotation] != digestOf(want.Key, rendered) {
		return holding{}, fmt.Errorf("keeper: another one has written the key %q of the Secret: remove it to have it kept", want.Key)
	}
	if !there {
		return holding{}, nil
	}
	token := string(rendered)
	if want.TokenOf != nil {
		token = want.TokenOf(rendered)
	}
	claims, err := inspect.PeekUnverified(token)
	if err != nil {
		return holding{}, nil // ours, of an earlier form
	}
	h := holding{expiry: claims.Expiry, renew: renewalOf(claims.IssuedAt, claims.Expiry, string(secret.UID))}
	h.fits = claims.Namespace == want.Namespace && claims.Name == want.Name && (want.UID == "" || want.UID == claims.UID) &&
		(want.Pod.Name == "" || want.Pod.Name == claims.Pod.Name) && (want.Pod.UID == "" || want.Pod.UID == claims.Pod.UID) &&
		(len(want.Audiences) == 0 || sameAudiences(want.Audiences, claims.Audiences))
	for key, value := range want.Data {
		h.fits = h.fits && bytes.Equal(secret.Data[key], value)
	}
	return h, nil
}

func sameAudiences(a, b []string) bool {
	return slices.Equal(slices.Compact(slices.Sorted(slices.Values(a))), slices.Compact(slices.Sorted(slices.Values(b))))
}

// digestOf returns what the annotation says of the data at key.
func digestOf(key string, data []byte) string {
	sum := sha256.Sum256(data)
	return key + "=" + hex.EncodeToString(sum[:8])
}

// renew gets a new token and writes it, in one update that fails if another one has
// written since secret was read.
func (s *Secrets) renew(ctx context.Context, secret *corev1.Secret, want *Want, e *Event) (next time.Duration, err error) {
	minting, cancel := context.WithTimeout(ctx, mintTimeout)
	defer cancel()
	token, err := flight.Do(minting, s.guard, func(ctx context.Context) (*tokens.Token, error) { return s.cfg.Mint(ctx, *want) })
	now := s.cfg.Now()
	switch {
	case err != nil:
		return 0, fmt.Errorf("keeper: getting a new token: %w", err)
	case token == nil || token.Value == "":
		return 0, errors.New("keeper: Mint returned neither a token nor an error")
	case !token.Expiry.IsZero() && !now.Before(token.Expiry):
		return 0, fmt.Errorf("keeper: the new token expired at %s", token.Expiry.UTC().Format(time.RFC3339))
	}
	rendered := []byte(token.Value)
	if want.Render != nil {
		if rendered, err = want.Render(token.Value); err != nil {
			return 0, fmt.Errorf("keeper: rendering the new token: %w", err)
		}
	}
	update := secret.DeepCopy()
	if update.Data == nil {
		update.Data = map[string][]byte{}
	}
	maps.Copy(update.Data, want.Data)
	update.Data[want.Key] = rendered
	if update.Annotations == nil {
		update.Annotations = map[string]string{}
	}
	update.Annotations[WrittenAnnotation] = digestOf(want.Key, rendered)
	h, _ := holdingOf(update, want) // for all else there was no error before
	if !h.fits {
		return 0, errors.New("keeper: the new token is not one of the account, the pod and the audiences that are wanted")
	}
	if _, err := s.cfg.Client.UpdateSecret(ctx, update); err != nil {
		if apierrors.IsInvalid(err) || apierrors.IsRequestEntityTooLargeError(err) {
			// Each attempt would get another token, to no avail.
			err = &sacontroller.TerminalError{Err: fmt.Errorf("keeper: writing the new token: %w", err)}
		}
		return 0, err
	}
	e.CredentialID, e.Expiry = token.CredentialID(), h.expiry
	if h.renew.IsZero() {
		return 0, nil
	}
	return max(h.renew.Sub(now), shortestWait), nil
}
