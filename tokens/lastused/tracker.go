package lastused

import (
	"context"
	"log/slog"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"

	"github.com/kubesa/serviceaccount/internal/age"
	"github.com/kubesa/serviceaccount/internal/configerror"
	"github.com/kubesa/serviceaccount/internal/flight"
	"github.com/kubesa/serviceaccount/internal/logvalue"
	"github.com/kubesa/serviceaccount/internal/names"
	"github.com/kubesa/serviceaccount/internal/tokensecret"
	"github.com/kubesa/serviceaccount/tenant"
	"github.com/kubesa/serviceaccount/tokens"
	"github.com/kubesa/serviceaccount/tokens/internal/bounded"
)

// A SecretPatcher changes Secrets.
type SecretPatcher interface {
	// PatchSecret applies a patch and returns the Secret. The values of ctx are
	// those of the context of the use. It returns a NotFound
	// error of k8s.io/apimachinery if there is no such Secret, and a Conflict
	// or Invalid error if the patch has the UID of another one.
	PatchSecret(ctx context.Context, namespace, name string, pt types.PatchType, data []byte) (*corev1.Secret, error)
}

// Config configures [New].
type Config struct {
	Secrets SecretPatcher // required

	// MaxPending bounds the pending patches; one tenant of several has a quarter of
	// them at most. The use of further Secrets is recorded with their next use. Zero
	// means 1024.
	MaxPending int
	// Timeout bounds one patch. Zero means 10 s.
	Timeout time.Duration

	// Observe, if set, is called after each patch, with the values of the context
	// of the use. It must not call the Tracker, and be safe for concurrent use if there
	// are several tenants.
	Observe func(ctx context.Context, e Event)

	// Now returns the current time. If nil, [time.Now] is used.
	Now func() time.Time
}

// An Event is one patch of a Secret.
type Event struct {
	Namespace, Secret string
	SecretUID         types.UID
	Took              time.Duration // by the patch

	// Err says why the use was not recorded; nil if it was. The token was
	// authenticated all the same. A patch that failed is retried with the first
	// use a minute later.
	Err error

	// Panic and Stack are set if the patcher panicked. The value may hold a
	// secret.
	Panic any
	Stack []byte
}

// LogValue returns e for log/slog.
func (e Event) LogValue() slog.Value { return logvalue.Of(e) }

// A ConfigError is one mistake in a [Config]. It has the fields Config, Field and
// Problem. Only another config helps.
type ConfigError = configerror.Error

// A Tracker records the day on which the token of a Secret was last used in the
// Secret's label [tokens.LastUsedLabel], for the cleaner of legacy tokens. It
// neither delays nor fails authentication: [Tracker.Observe] only queues a
// patch, and [Tracker.Run] sends it, at most once per Secret and day. It is safe
// for concurrent use.
type Tracker struct {
	cfg     Config
	guard   *flight.Guard // of a single tenant
	tenants *flight.Guard // of several
	wake    chan struct{}

	mu      sync.Mutex
	pending map[secretKey]bool // queued or being sent
	queues  map[string]*queue  // by tenant, of those with pending patches
	paused  *bounded.Cache[secretKey, age.Span]
}

type secretKey struct {
	tenant, namespace, name string
	uid                     types.UID
}

// A queue has the pending patches of one tenant, which are sent one at a time. The
// namespaces take turns: one whose Secrets can't be patched, or slowly, keeps no other
// waiting for longer than for one patch of its.
type queue struct {
	uses    map[string][]use // those not being sent, by namespace
	turns   []string         // the namespaces that have some
	pending int
	sending bool
}

func (q *queue) push(u use) {
	namespace := u.key.namespace
	if len(q.uses[namespace]) == 0 {
		q.turns = append(q.turns, namespace)
	}
	q.uses[namespace] = append(q.uses[namespace], u)
}

// pop takes the use whose turn it is. There must be one.
func (q *queue) pop() use {
	namespace := q.turns[0]
	q.turns = q.turns[1:]
	u := q.uses[namespace][0]
	q.uses[namespace][0] = use{} // with its context
	if rest := q.uses[namespace][1:]; len(rest) > 0 {
		q.uses[namespace] = rest
		q.turns = append(q.turns, namespace)
	} else {
		delete(q.uses, namespace)
	}
	return u
}

// A use is one of a Secret, with the context that it had.
type use struct {
	key secretKey
	ctx context.Context
}

// Forgetting a pause costs another patch, if the label isn't seen yet.
const (
	pausesPerPending = 16
	pauseBytes       = 512 // with the names in its key
)

// retryPatch is how long after a failed patch the next one may be made.
const retryPatch = time.Minute

// maxPatches bounds the patches that may be left hanging: those of a single tenant, and
// those of several, of which each has a quarter at most.
const (
	maxPatches        = 4
	maxTenantsPatches = 256
)

// tenantShare is the part of MaxPending that one tenant of several has at most.
const tenantShare = 4

// New returns a Tracker, or an error naming every invalid field, each as a
// [*ConfigError].
func New(cfg Config) (*Tracker, error) {
	mistakes := configerror.List{Config: "lastused.Config"}
	mistakes.Require("Secrets", cfg.Secrets, "a SecretPatcher")
	configerror.NotNegative(&mistakes, "MaxPending", cfg.MaxPending)
	configerror.NotNegative(&mistakes, "Timeout", cfg.Timeout)
	if err := mistakes.Err(); err != nil {
		return nil, err
	}
	if cfg.MaxPending == 0 {
		cfg.MaxPending = 1024
	}
	if cfg.Timeout == 0 {
		cfg.Timeout = 10 * time.Second
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	return &Tracker{
		cfg:     cfg,
		guard:   flight.NewGuard("the patcher", maxPatches),
		tenants: flight.NewGuard("the patcher", maxTenantsPatches),
		queues:  map[string]*queue{},
		wake:    make(chan struct{}, 1),
		pending: map[secretKey]bool{},
		paused:  bounded.New[secretKey, age.Span](int64(cfg.MaxPending) * pausesPerPending * pauseBytes),
	}, nil
}

// Observe queues a patch if e is the use of a Secret-based token that is not yet
// recorded for today. It does no I/O. Set [tokens.AuthenticatorConfig.Observe]
// to it, or call it from there.
func (t *Tracker) Observe(ctx context.Context, e tokens.Event) {
	legacy := e.Legacy
	if legacy == nil || legacy.SecretUID == "" || !names.ValidNamespace(legacy.Namespace) || !names.Valid(legacy.Secret) {
		return
	}
	now := t.cfg.Now()
	// Tomorrow's is that of a server whose clock is ahead (CLN-11).
	if legacy.LastUsed == tokensecret.FormatDay(now) || legacy.LastUsed == tokensecret.FormatDay(now.AddDate(0, 0, 1)) {
		return
	}
	key := secretKey{tenant: tenant.Of(ctx), namespace: legacy.Namespace, name: legacy.Secret, uid: legacy.SecretUID}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.pending[key] || len(t.pending) >= t.cfg.MaxPending {
		return
	}
	q := t.queues[key.tenant]
	if q == nil {
		q = &queue{uses: map[string][]use{}}
	}
	if key.tenant != "" && q.pending >= max(t.cfg.MaxPending/tenantShare, 1) {
		return
	}
	if p, _ := t.paused.Get(key); p.Holds(now) {
		return
	}
	t.pending[key] = true
	t.queues[key.tenant] = q
	q.pending++
	q.push(use{key, context.WithoutCancel(ctx)})
	select {
	case t.wake <- struct{}{}:
	default: // Run has been woken already
	}
}

// Run sends the pending patches, of each tenant one at a time and of its namespaces in
// turn, until ctx is done. Those still pending then are sent by the next Run or Flush.
func (t *Tracker) Run(ctx context.Context) {
	var senders sync.WaitGroup
	defer senders.Wait()
	for {
		t.send(ctx, &senders)
		select {
		case <-ctx.Done():
			return
		case <-t.wake:
		}
	}
}

// Flush sends the pending patches and returns. It is for programs without a
// goroutine for Run, and for tests.
func (t *Tracker) Flush(ctx context.Context) {
	var senders sync.WaitGroup
	for ctx.Err() == nil && t.send(ctx, &senders) {
		senders.Wait()
	}
}

// send starts a goroutine for each tenant of which patches are pending and none is being
// sent. It reports whether there is one.
func (t *Tracker) send(ctx context.Context, senders *sync.WaitGroup) (some bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, q := range t.queues {
		if !q.sending { // so it has some
			some, q.sending = true, true
			senders.Go(func() { t.sendAll(ctx, q) })
		}
	}
	return some
}

// sendAll sends the patches of q until there are none, or ctx is done.
func (t *Tracker) sendAll(ctx context.Context, q *queue) {
	for {
		u, ok := t.next(ctx, q)
		if !ok {
			return
		}
		began, today := time.Now(), t.cfg.Now().UTC()
		err := t.patch(ctx, u, today)
		if t.cfg.Observe != nil { // before another goroutine may send a patch of the tenant
			e := Event{Namespace: u.key.namespace, Secret: u.key.name, SecretUID: u.key.uid, Took: time.Since(began), Err: err}
			e.Panic, e.Stack = flight.PanicOf(err)
			t.cfg.Observe(u.ctx, e)
		}
		t.finish(u.key, today, err)
	}
}

func (t *Tracker) next(ctx context.Context, q *queue) (u use, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(q.uses) == 0 || ctx.Err() != nil {
		q.sending = false
		return use{}, false
	}
	return q.pop(), true
}

// patch writes the label, until running is done. The UID in it keeps a namesake of the
// Secret as it is (CLN-12).
func (t *Tracker) patch(running context.Context, u use, today time.Time) error {
	ctx, cancel := context.WithTimeout(u.ctx, t.cfg.Timeout)
	defer cancel()
	defer context.AfterFunc(running, cancel)()
	key := u.key
	data := tokensecret.LabelPatch(key.namespace, key.name, key.uid, tokensecret.LastUsedLabel, tokensecret.FormatDay(today))
	guard := t.guard
	if key.tenant != "" {
		guard = t.tenants
	}
	_, err := flight.Do(ctx, guard, func(ctx context.Context) (*corev1.Secret, error) {
		return t.cfg.Secrets.PatchSecret(ctx, key.namespace, key.name, types.MergePatchType, data)
	})
	return err
}

// finish records when the Secret may be patched again: the day after today, if it was or
// is gone; soon, if that failed.
func (t *Tracker) finish(key secretKey, today time.Time, err error) {
	now := t.cfg.Now()
	again := now.Add(retryPatch)
	if err == nil || apierrors.IsNotFound(err) || apierrors.IsConflict(err) || apierrors.IsInvalid(err) {
		again = time.Date(today.Year(), today.Month(), today.Day()+1, 0, 0, 0, 0, time.UTC)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.pending, key)
	q := t.queues[key.tenant]
	if q.pending--; q.pending == 0 {
		delete(t.queues, key.tenant)
	}
	t.paused.Add(key, age.Span{From: now, Until: again}, pauseBytes)
}
