package lastused

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"

	"github.com/kubesa/serviceaccount/internal/flight"
	"github.com/kubesa/serviceaccount/tokens"
	"github.com/kubesa/serviceaccount/tokens/internal/objects"
)

// A SecretPatcher changes Secrets.
type SecretPatcher interface {
	// PatchSecret applies a patch and returns the Secret. It returns a NotFound
	// error of k8s.io/apimachinery if there is no such Secret, and a Conflict
	// or Invalid error if the patch has the UID of another one.
	PatchSecret(ctx context.Context, namespace, name string, pt types.PatchType, data []byte) (*corev1.Secret, error)
}

// Config configures [New].
type Config struct {
	Secrets SecretPatcher // required

	// MaxPending is for how many Secrets a patch may be due at once. The use of
	// others is recorded the next time. Zero or less means 1024.
	MaxPending int
	// Timeout bounds one patch. Zero or less means 10 s.
	Timeout time.Duration
	// OnError, if set, is told why the use of a Secret was not recorded. The
	// token was accepted or refused all the same.
	OnError func(namespace, secret string, err error)
	// Now returns the current time. If nil, [time.Now] is used.
	Now func() time.Time
}

// A Tracker records on which day the token of a Secret was last used,
// in its label [tokens.LastUsedLabel] (CLN-10..13), for the cleaner of legacy tokens.
// That happens beside authentication, which it neither slows nor fails:
// [Tracker.Observe] notes that a patch is due, and [Tracker.Run]
// makes it, once a day and Secret. It is safe for concurrent use.
type Tracker struct {
	cfg   Config
	guard *flight.Guard
	wake  chan struct{}

	mu      sync.Mutex
	pending map[secretKey]bool      // a patch is due or being made
	due     []secretKey             // those that are not being made
	after   map[secretKey]time.Time // no other patch before
}

type secretKey struct {
	namespace, name string
	uid             types.UID
}

// retryPatch is how long after a failed patch the next one may be made.
const retryPatch = time.Minute

// maxPatches bounds the patches that may be left hanging.
const maxPatches = 4

// New returns a Tracker, or an error that says what is
// wrong with cfg.
func New(cfg Config) (*Tracker, error) {
	if cfg.Secrets == nil {
		return nil, errors.New("tokens: Config.Secrets is nil, want a SecretPatcher")
	}
	if cfg.MaxPending <= 0 {
		cfg.MaxPending = 1024
	}
	if cfg.Timeout <= 0 {
		cfg.Timeout = 10 * time.Second
	}
	if cfg.OnError == nil {
		cfg.OnError = func(string, string, error) {}
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	return &Tracker{
		cfg:     cfg,
		guard:   flight.NewGuard("the patcher", maxPatches),
		wake:    make(chan struct{}, 1),
		pending: map[secretKey]bool{},
		after:   map[secretKey]time.Time{},
	}, nil
}

// Observe notes the use of a token of a Secret, if e is about one and today's
// use is not recorded. It does no I/O and is meant for
// [tokens.AuthenticatorConfig.Observe].
func (t *Tracker) Observe(e tokens.Event) {
	use := e.Legacy
	if use == nil || use.SecretUID == "" {
		return
	}
	now := t.cfg.Now()
	// Tomorrow's is that of a server whose clock is ahead (CLN-11).
	if use.LastUsed == tokens.FormatDay(now) || use.LastUsed == tokens.FormatDay(now.AddDate(0, 0, 1)) {
		return
	}
	key := secretKey{use.Namespace, use.Secret, use.SecretUID}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.pending[key] || len(t.pending) >= t.cfg.MaxPending || now.Before(t.after[key]) {
		return
	}
	t.pending[key] = true
	t.due = append(t.due, key)
	select {
	case t.wake <- struct{}{}:
	default: // Run has been woken already
	}
}

// Run makes the patches that are due, one after the other, until ctx is done.
// What is due then is noted again with the next use.
func (t *Tracker) Run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.wake:
			t.Flush(ctx)
		}
	}
}

// Flush makes the patches that are due now and returns. It is for programs that
// have no goroutine for Run, and for tests.
func (t *Tracker) Flush(ctx context.Context) {
	for ctx.Err() == nil {
		key, ok := t.next()
		if !ok {
			return
		}
		err := t.patch(ctx, key)
		t.finish(key, err)
		if err != nil {
			t.cfg.OnError(key.namespace, key.name, err)
		}
	}
}

func (t *Tracker) next() (key secretKey, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.due) == 0 {
		return secretKey{}, false
	}
	key = t.due[0]
	t.due = t.due[1:]
	return key, true
}

// patch writes the label. The UID in it keeps a namesake of the Secret as it is
// (CLN-12).
func (t *Tracker) patch(ctx context.Context, key secretKey) error {
	ctx, cancel := context.WithTimeout(ctx, t.cfg.Timeout)
	defer cancel()
	var patch struct {
		Kind       string `json:"kind"`
		APIVersion string `json:"apiVersion"`
		Metadata   struct {
			Name      string            `json:"name"`
			Namespace string            `json:"namespace"`
			UID       types.UID         `json:"uid"`
			Labels    map[string]string `json:"labels"`
		} `json:"metadata"`
	}
	patch.Kind, patch.APIVersion = objects.Secret, "v1"
	patch.Metadata.Name, patch.Metadata.Namespace, patch.Metadata.UID = key.name, key.namespace, key.uid
	patch.Metadata.Labels = map[string]string{tokens.LastUsedLabel: tokens.FormatDay(t.cfg.Now())}
	data, err := json.Marshal(patch)
	if err != nil {
		return fmt.Errorf("tokens: encoding a patch: %w", err) // can't be, of texts
	}
	_, err = flight.Do(ctx, t.guard, func(ctx context.Context) (*corev1.Secret, error) {
		return t.cfg.Secrets.PatchSecret(ctx, key.namespace, key.name, types.MergePatchType, data)
	})
	return err
}

// finish notes when the Secret may be patched again: tomorrow, if it was or is
// gone; soon, if that failed.
func (t *Tracker) finish(key secretKey, err error) {
	now := t.cfg.Now().UTC()
	again := now.Add(retryPatch)
	if err == nil || apierrors.IsNotFound(err) || apierrors.IsConflict(err) || apierrors.IsInvalid(err) {
		again = time.Date(now.Year(), now.Month(), now.Day()+1, 0, 0, 0, 0, time.UTC)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.pending, key)
	if len(t.after) >= 16*t.cfg.MaxPending {
		// Forgetting costs a patch more for those whose label isn't seen yet.
		clear(t.after)
	}
	t.after[key] = again
}
