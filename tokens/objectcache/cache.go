package objectcache

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/kubesa/serviceaccount/internal/configerror"
	"github.com/kubesa/serviceaccount/internal/contract"
	"github.com/kubesa/serviceaccount/internal/flight"
	"github.com/kubesa/serviceaccount/internal/logvalue"
	"github.com/kubesa/serviceaccount/tenant"
	"github.com/kubesa/serviceaccount/tokens/internal/bounded"
	"github.com/kubesa/serviceaccount/tokens/internal/objects"
)

// DefaultMaxBytes is the default of [Config.MaxBytes].
const DefaultMaxBytes = 64 << 20

// Config configures [New].
type Config struct {
	// TTL is required: how long an object that was found is not looked up
	// again, counted from the beginning of the lookup. A token is accepted for
	// that much longer after an object that it depends on was deleted.
	// Kubernetes caches results for 10 s.
	TTL time.Duration
	// NegativeTTL is the same for objects that don't exist: a token is rejected
	// for that much longer after the object was created. Zero means that this
	// is not remembered; other errors never are.
	NegativeTTL time.Duration

	// MaxBytes bounds the memory of the objects of all kinds and tenants. An
	// object of more than a quarter of it is not remembered. Zero means
	// [DefaultMaxBytes].
	MaxBytes int64
	// Timeout bounds one lookup. Zero means 10 s.
	Timeout time.Duration

	// Observe, if set, is called for each object that was asked for, before the getter
	// returns, with its context. It must be fast and safe for concurrent use.
	Observe func(ctx context.Context, e Event)
}

// An Event is one call of a getter.
type Event struct {
	// Kind is that of the object: "ServiceAccount", "Secret", "Pod", "Node",
	// "ValidatingWebhookConfiguration", "MutatingWebhookConfiguration", or one of
	// [tokens.ObjectGetter].
	Kind            string
	Namespace, Name string

	Hit    bool // nothing was looked up
	Joined bool // the object is that of a lookup of another call
	Err    error
	Took   time.Duration

	// Panic and Stack are set if the getter panicked.
	Panic any
	Stack []byte
}

// LogValue returns e for log/slog.
func (e Event) LogValue() slog.Value { return logvalue.Of(e) }

// A ConfigError is one mistake in a [Config] or [Getters]. It has the fields Config,
// Field and Problem. Only another config helps.
type ConfigError = configerror.Error

// New returns getters that cache the answers of g, or an error naming every invalid
// field, each as a [*ConfigError]. They are safe for concurrent use, hold no goroutine
// besides those of running lookups, and share the objects that they return among
// callers.
func New(g Getters, cfg Config) (Getters, error) {
	mistakes := configerror.List{Config: "objectcache.Config"}
	if cfg.TTL <= 0 {
		mistakes.Add("TTL", "is %v, want more than 0", cfg.TTL)
	}
	configerror.NotNegative(&mistakes, "NegativeTTL", cfg.NegativeTTL)
	configerror.NotNegative(&mistakes, "MaxBytes", cfg.MaxBytes)
	configerror.NotNegative(&mistakes, "Timeout", cfg.Timeout)
	wrong := configerror.List{Config: "objectcache.Getters"}
	g.check(&wrong)
	if err := errors.Join(mistakes.Err(), wrong.Err()); err != nil {
		return Getters{}, err
	}
	if cfg.MaxBytes == 0 {
		cfg.MaxBytes = DefaultMaxBytes
	}
	if cfg.Timeout == 0 {
		cfg.Timeout = 10 * time.Second
	}
	c := &cache{
		cfg:     cfg,
		guard:   flight.NewGuard("the getter", maxLookups),
		lookups: flight.Group[key, any]{JoinWithin: cfg.TTL},
		answers: bounded.New[key, answer](cfg.MaxBytes),
	}
	return g.cachedBy(&cachedGetters{g, c}), nil
}

// maxLookups bounds the lookups at a time, and so those that may be left hanging.
const maxLookups = 1024

// A key is all that an answer depends on.
type key struct {
	tenant          string
	kind            schema.GroupVersionKind
	own             bool // the kind has a getter of its own
	namespace, name string
}

// An answer is what a lookup found, and when that was. It is a NotFound error if
// there is no object.
type answer struct {
	object any
	err    *apierrors.StatusError
	began  time.Time
}

// A cache has the answers of all getters.
type cache struct {
	cfg     Config
	guard   *flight.Guard
	lookups flight.Group[key, any]
	answers *bounded.Cache[key, answer]

	mu sync.Mutex // held by who reads an answer or starts a lookup, and who stores its answer
}

// ttl returns how long the answer of a lookup counts, 0 for an error that isn't one.
func (c *cache) ttl(err error) time.Duration {
	switch {
	case err == nil:
		return c.cfg.TTL
	case apierrors.IsNotFound(err):
		return c.cfg.NegativeTTL
	}
	return 0
}

// known returns the answer for k, and whether there is one that still counts.
func (c *cache) known(k key) (answer, bool) {
	a, _ := c.answers.Get(k) // none began long ago
	return a, time.Since(a.began) < c.ttl(a.error())
}

func (a *answer) error() error {
	if a.err == nil {
		return nil
	}
	return a.err
}

// get returns what is known of k, or what lookup returns.
func get[T metav1.Object](ctx context.Context, c *cache, k key, lookup func(context.Context) (T, error)) (T, error) {
	k.tenant = tenant.Of(ctx)
	began := time.Now()
	object, how, err := c.get(ctx, k, func(ctx context.Context) (any, error) {
		object, err := lookup(ctx)
		if err == nil && objects.IsNil(object) {
			return nil, contract.ErrNothing
		}
		return object, err
	})
	if c.cfg.Observe != nil {
		e := Event{Kind: k.kind.Kind, Namespace: k.namespace, Name: k.name, Hit: how == remembered, Joined: how == joined, Err: err, Took: time.Since(began)}
		e.Panic, e.Stack = flight.PanicOf(err)
		c.cfg.Observe(ctx, e)
	}
	if err != nil {
		var none T
		return none, err
	}
	return object.(T), nil
}

// A way is how an object was got.
type way int

const (
	lookedUp way = iota
	joined
	remembered
)

// get is the same for any type. It never joins a lookup twice that began before the
// caller asked.
func (c *cache) get(ctx context.Context, k key, lookup func(context.Context) (any, error)) (any, way, error) {
	asked := time.Now()
	for {
		c.mu.Lock()
		if a, ok := c.known(k); ok {
			c.mu.Unlock()
			return a.object, remembered, a.error()
		}
		how := lookedUp
		if c.lookups.Running(k) != nil {
			how = joined
		}
		call := c.lookups.Start(ctx, k, func(ctx context.Context) (any, error) { return c.fill(ctx, k, lookup) })
		c.mu.Unlock()
		object, err := call.Wait(ctx)
		isAnswer := err == nil || apierrors.IsNotFound(err)
		if own := !call.Began().Before(asked); own || !isAnswer || time.Since(call.Began()) < c.ttl(err) {
			return object, how, err
		}
	}
}

// fill looks k up and stores the answer.
func (c *cache) fill(ctx context.Context, k key, lookup func(context.Context) (any, error)) (any, error) {
	began := time.Now()
	ctx, cancel := context.WithTimeout(ctx, c.cfg.Timeout)
	defer cancel()
	object, err := flight.Do(ctx, c.guard, lookup)
	a := answer{object: object, began: began}
	if status := apierrors.APIStatus(nil); errors.As(err, &status) {
		a.object, a.err = nil, &apierrors.StatusError{ErrStatus: status.Status()} // without what err wraps
	}
	size := bounded.SizeOf(&a, c.cfg.MaxBytes) + k.size()
	c.mu.Lock()
	defer c.mu.Unlock()
	// A lookup that was too late to join this one may have ended before it.
	if was, _ := c.answers.Get(k); c.ttl(err) > 0 && !was.began.After(began) {
		c.answers.Add(k, a, size)
	}
	return object, err
}

// size returns what k holds on to.
func (k *key) size() int64 {
	return int64(len(k.tenant) + len(k.kind.Group) + len(k.kind.Version) + len(k.kind.Kind) + len(k.namespace) + len(k.name))
}
