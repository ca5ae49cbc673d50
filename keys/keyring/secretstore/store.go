package secretstore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubesa/serviceaccount/internal/configerror"
	"github.com/kubesa/serviceaccount/internal/flight"
	"github.com/kubesa/serviceaccount/internal/names"
	"github.com/kubesa/serviceaccount/keys/keyring"
)

// A Client reads and writes Secrets, live: an answer from a cache would take a ring back to
// keys that have been revoked. It returns the errors of k8s.io/apimachinery, and must be
// safe for concurrent use.
type Client interface {
	GetSecret(ctx context.Context, namespace, name string) (*corev1.Secret, error)
	CreateSecret(ctx context.Context, secret *corev1.Secret) (*corev1.Secret, error)

	// UpdateSecret returns a Conflict error unless the resourceVersion is that of secret.
	UpdateSecret(ctx context.Context, secret *corev1.Secret) (*corev1.Secret, error)
}

// Config configures [New].
type Config struct {
	Client          Client // required
	Namespace, Name string // required: those of the Secret

	// Timeout bounds each call of Client. Zero means 10 s.
	Timeout time.Duration
}

// A ConfigError is one mistake in a [Config]. It has the fields Config, Field and
// Problem. Only another config helps.
type ConfigError = configerror.Error

// maxCalls bounds the calls at a time, and so those that may be left hanging.
const maxCalls = 16

// indexEntry is the entry that has the index.
const indexEntry = "ring.json"

// A Store is a [keyring.Store] in a Secret. It is safe for concurrent use.
type Store struct {
	cfg   Config
	guard *flight.Guard
}

// New returns a Store, or an error naming every invalid field, each as a
// [*ConfigError]. It does no I/O.
func New(cfg Config) (*Store, error) {
	mistakes := configerror.List{Config: "secretstore.Config"}
	mistakes.Require("Client", cfg.Client, "a Client")
	if !names.ValidNamespace(cfg.Namespace) {
		mistakes.Add("Namespace", "is %.64q, want the name of a Namespace", cfg.Namespace)
	}
	if !names.Valid(cfg.Name) {
		mistakes.Add("Name", "is %.64q, want the name of a Secret", cfg.Name)
	}
	configerror.NotNegative(&mistakes, "Timeout", cfg.Timeout)
	if err := mistakes.Err(); err != nil {
		return nil, err
	}
	if cfg.Timeout == 0 {
		cfg.Timeout = 10 * time.Second
	}
	return &Store{cfg, flight.NewGuard("the Client", maxCalls)}, nil
}

// Name implements [keyring.Store].
func (s *Store) Name(entry string) string {
	return fmt.Sprintf("%s of Secret %s/%s", entry, s.cfg.Namespace, s.cfg.Name)
}

// Load implements [keyring.Store].
func (s *Store) Load(ctx context.Context) (*keyring.Stored, error) {
	secret, err := s.get(ctx)
	if err != nil {
		return nil, err
	}
	stored := &keyring.Stored{Version: version(secret), Entry: func(name string) ([]byte, error) {
		data, ok := secret.Data[name]
		if !ok {
			return nil, &fs.PathError{Op: "read", Path: s.Name(name), Err: fs.ErrNotExist}
		}
		return bytes.Clone(data), nil
	}}
	if index, ok := secret.Data[indexEntry]; ok {
		stored.Index = append([]byte{}, index...)
		return stored, nil
	}
	for name := range secret.Data {
		if strings.HasSuffix(name, ".key") {
			return nil, fmt.Errorf("there are keys but no %s", s.Name(indexEntry))
		}
	}
	return stored, nil
}

// version is empty for a Secret that isn't there.
func version(secret *corev1.Secret) string {
	if secret.ResourceVersion == "" {
		return ""
	}
	return string(secret.UID) + "/" + secret.ResourceVersion
}

// get returns the Secret, an empty one if there is none.
func (s *Store) get(ctx context.Context) (*corev1.Secret, error) {
	secret, err := s.call(ctx, func(ctx context.Context) (*corev1.Secret, error) {
		return s.cfg.Client.GetSecret(ctx, s.cfg.Namespace, s.cfg.Name)
	})
	switch {
	case apierrors.IsNotFound(err):
		return &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: s.cfg.Namespace, Name: s.cfg.Name}}, nil
	case err != nil:
		return nil, err
	case secret.Type != corev1.SecretTypeOpaque && secret.Type != "":
		return nil, fmt.Errorf("the Secret %s/%s is of type %.64q, want %s", s.cfg.Namespace, s.cfg.Name, secret.Type, corev1.SecretTypeOpaque)
	case version(secret) == "":
		return nil, fmt.Errorf("the Secret %s/%s has no resourceVersion", s.cfg.Namespace, s.cfg.Name)
	}
	return secret, nil
}

// call makes one call of the Client.
func (s *Store) call(ctx context.Context, f func(context.Context) (*corev1.Secret, error)) (*corev1.Secret, error) {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.Timeout)
	defer cancel()
	secret, err := flight.Do(ctx, s.guard, f)
	if err == nil && (secret == nil || secret.Namespace != s.cfg.Namespace || secret.Name != s.cfg.Name) {
		return nil, errors.New("the Client returned neither the Secret nor an error")
	}
	return secret, err
}

// Swap implements [keyring.Store].
func (s *Store) Swap(ctx context.Context, old string, change keyring.Change) (string, error) {
	secret, err := s.get(ctx)
	switch {
	case err != nil:
		return "", err
	case version(secret) != old:
		return "", keyring.ErrConflict
	case secret.DeletionTimestamp != nil:
		return "", fmt.Errorf("the Secret %s/%s is being deleted", s.cfg.Namespace, s.cfg.Name)
	}
	next := secret.DeepCopy()
	if next.Data == nil {
		next.Data = map[string][]byte{}
	}
	next.Data[indexEntry] = slices.Clone(change.Index)
	for name, data := range change.Add {
		next.Data[name] = slices.Clone(data)
	}
	for _, name := range change.Remove {
		delete(next.Data, name)
	}
	size := 0
	for _, data := range next.Data {
		size += len(data)
	}
	if size > corev1.MaxSecretSize {
		return "", fmt.Errorf("the Secret %s/%s would have %d bytes, want at most %d", s.cfg.Namespace, s.cfg.Name, size, corev1.MaxSecretSize)
	}
	return s.put(ctx, old, next)
}

// put writes next, which was read as the version old.
func (s *Store) put(ctx context.Context, old string, next *corev1.Secret) (string, error) {
	write := s.cfg.Client.UpdateSecret
	if old == "" {
		next.Type, write = corev1.SecretTypeOpaque, s.cfg.Client.CreateSecret
	}
	written, err := s.call(ctx, func(ctx context.Context) (*corev1.Secret, error) { return write(ctx, next) })
	if err == nil {
		return version(written), nil
	}
	// Its answer may have been lost, and a repeated request refused because the first one
	// was not.
	switch now, getErr := s.get(ctx); {
	case getErr != nil: // nobody knows
	case maps.EqualFunc(now.Data, next.Data, bytes.Equal) && (next.UID == "" || now.UID == next.UID):
		return version(now), nil
	case version(now) != old, apierrors.IsConflict(err), apierrors.IsAlreadyExists(err):
		return "", fmt.Errorf("%w: %w", keyring.ErrConflict, err)
	}
	return "", err
}
