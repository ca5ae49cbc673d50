package tokens

import (
	"context"
	"sync"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/kubesa/serviceaccount/internal/configerror"
	"github.com/kubesa/serviceaccount/internal/flight"
)

// Getters are what an [Authenticator] or a Requester of tokens/tokenrequest
// looks objects up with. Any may be nil.
type Getters struct {
	ServiceAccounts ServiceAccountGetter
	Secrets         SecretGetter
	Pods            PodGetter
	Nodes           NodeGetter
	Webhooks        WebhookGetter
	Objects         ObjectGetter
}

// GetterCacheConfig configures [CacheGetters].
type GetterCacheConfig struct {
	// TTL is required: how long an object that was found is not looked up
	// again, counted from the beginning of the lookup. A token is accepted for
	// that much longer after an object that it depends on was deleted.
	// Kubernetes caches results for 10 s.
	TTL time.Duration
	// NegativeTTL is the same for objects that don't exist: a token is rejected
	// for that much longer after the object was created. Zero means that this
	// is not remembered; other errors never are.
	NegativeTTL time.Duration

	// MaxObjects bounds the objects of each kind. Zero means 4096.
	MaxObjects int
	// Timeout bounds one lookup. Zero means 10 s.
	Timeout time.Duration
	// Now returns the current time. If nil, [time.Now] is used.
	Now func() time.Time
}

// maxLookups bounds the lookups at a time, and so those that may be left hanging.
const maxLookups = 1024

// CacheGetters returns getters that cache the results of those of g, for getters
// that send a request to a server each time. It delays the effect of a deletion, so
// an [Authenticator] doesn't do so by itself; getters that read a watched cache are
// both fast and fresh.
//
// Concurrent lookups of one object are shared: a call joins a running lookup that is
// younger than TTL. A lookup continues, for up to Timeout, when its caller gives up,
// and a panic in it is an error. While 1024 lookups hang in spite of Timeout,
// others fail immediately. The result is safe for concurrent use, holds no goroutine,
// and shares the objects that it returns among callers. The error is a
// [*ConfigError] for each invalid field of cfg, joined.
func CacheGetters(g Getters, cfg GetterCacheConfig) (Getters, error) {
	mistakes := configerror.List{Config: "tokens.GetterCacheConfig"}
	if cfg.TTL <= 0 {
		mistakes.Add("TTL", "is %v, want more than 0", cfg.TTL)
	}
	configerror.NotNegative(&mistakes, "NegativeTTL", cfg.NegativeTTL)
	configerror.NotNegative(&mistakes, "MaxObjects", cfg.MaxObjects)
	configerror.NotNegative(&mistakes, "Timeout", cfg.Timeout)
	if err := mistakes.Err(); err != nil {
		return Getters{}, err
	}
	if cfg.MaxObjects == 0 {
		cfg.MaxObjects = 4096
	}
	if cfg.Timeout == 0 {
		cfg.Timeout = 10 * time.Second
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	guard := flight.NewGuard("the getter", maxLookups)
	c := &getterCache{
		getters:    g,
		accounts:   newObjectCache[*corev1.ServiceAccount](cfg, guard),
		secrets:    newObjectCache[*corev1.Secret](cfg, guard),
		pods:       newObjectCache[*corev1.Pod](cfg, guard),
		nodes:      newObjectCache[*corev1.Node](cfg, guard),
		validating: newObjectCache[*admissionregistrationv1.ValidatingWebhookConfiguration](cfg, guard),
		mutating:   newObjectCache[*admissionregistrationv1.MutatingWebhookConfiguration](cfg, guard),
		objects:    newObjectCache[metav1.Object](cfg, guard),
	}
	var cached Getters
	if g.ServiceAccounts != nil {
		cached.ServiceAccounts = c
	}
	if g.Secrets != nil {
		cached.Secrets = c
	}
	if g.Pods != nil {
		cached.Pods = c
	}
	if g.Nodes != nil {
		cached.Nodes = c
	}
	if g.Webhooks != nil {
		cached.Webhooks = c
	}
	if g.Objects != nil {
		cached.Objects = c
	}
	return cached, nil
}

// A getterCache is all getters in one; its methods are called only for those
// that there are.
type getterCache struct {
	getters    Getters
	accounts   *objectCache[*corev1.ServiceAccount]
	secrets    *objectCache[*corev1.Secret]
	pods       *objectCache[*corev1.Pod]
	nodes      *objectCache[*corev1.Node]
	validating *objectCache[*admissionregistrationv1.ValidatingWebhookConfiguration]
	mutating   *objectCache[*admissionregistrationv1.MutatingWebhookConfiguration]
	objects    *objectCache[metav1.Object]
}

func (c *getterCache) GetServiceAccount(ctx context.Context, namespace, name string) (*corev1.ServiceAccount, error) {
	return c.accounts.get(ctx, objectKey{namespace: namespace, name: name}, func(ctx context.Context) (*corev1.ServiceAccount, error) {
		return c.getters.ServiceAccounts.GetServiceAccount(ctx, namespace, name)
	})
}

func (c *getterCache) GetSecret(ctx context.Context, namespace, name string) (*corev1.Secret, error) {
	return c.secrets.get(ctx, objectKey{namespace: namespace, name: name}, func(ctx context.Context) (*corev1.Secret, error) {
		return c.getters.Secrets.GetSecret(ctx, namespace, name)
	})
}

func (c *getterCache) GetPod(ctx context.Context, namespace, name string) (*corev1.Pod, error) {
	return c.pods.get(ctx, objectKey{namespace: namespace, name: name}, func(ctx context.Context) (*corev1.Pod, error) {
		return c.getters.Pods.GetPod(ctx, namespace, name)
	})
}

func (c *getterCache) GetNode(ctx context.Context, name string) (*corev1.Node, error) {
	return c.nodes.get(ctx, objectKey{name: name}, func(ctx context.Context) (*corev1.Node, error) {
		return c.getters.Nodes.GetNode(ctx, name)
	})
}

func (c *getterCache) GetValidatingWebhookConfiguration(ctx context.Context, name string) (*admissionregistrationv1.ValidatingWebhookConfiguration, error) {
	return c.validating.get(ctx, objectKey{name: name}, func(ctx context.Context) (*admissionregistrationv1.ValidatingWebhookConfiguration, error) {
		return c.getters.Webhooks.GetValidatingWebhookConfiguration(ctx, name)
	})
}

func (c *getterCache) GetMutatingWebhookConfiguration(ctx context.Context, name string) (*admissionregistrationv1.MutatingWebhookConfiguration, error) {
	return c.mutating.get(ctx, objectKey{name: name}, func(ctx context.Context) (*admissionregistrationv1.MutatingWebhookConfiguration, error) {
		return c.getters.Webhooks.GetMutatingWebhookConfiguration(ctx, name)
	})
}

func (c *getterCache) GetObject(ctx context.Context, kind schema.GroupVersionKind, namespace, name string) (metav1.Object, error) {
	return c.objects.get(ctx, objectKey{kind, namespace, name}, func(ctx context.Context) (metav1.Object, error) {
		return c.getters.Objects.GetObject(ctx, kind, namespace, name)
	})
}

type objectKey struct {
	kind            schema.GroupVersionKind // only of further kinds
	namespace, name string
}

// An objectCache has what was found of objects of one kind.
type objectCache[T comparable] struct {
	cfg     GetterCacheConfig
	guard   *flight.Guard
	lookups flight.Group[objectKey, T]

	mu      sync.Mutex
	entries map[objectKey]objectEntry[T]
}

func newObjectCache[T comparable](cfg GetterCacheConfig, guard *flight.Guard) *objectCache[T] {
	return &objectCache[T]{
		cfg:     cfg,
		guard:   guard,
		lookups: flight.Group[objectKey, T]{JoinWithin: cfg.TTL},
		entries: map[objectKey]objectEntry[T]{},
	}
}

// An objectEntry is what a lookup found, and from when until when that holds.
type objectEntry[T comparable] struct {
	object       T
	err          error
	began, until time.Time
}

// holdsAt is false before the lookup, when the clock was set back.
func (e *objectEntry[T]) holdsAt(now time.Time) bool {
	return now.Before(e.until) && !now.Before(e.began)
}

// get returns what is remembered of key, or what lookup returns.
func (c *objectCache[T]) get(ctx context.Context, key objectKey, lookup func(context.Context) (T, error)) (T, error) {
	now := c.cfg.Now()
	c.mu.Lock()
	if e := c.entries[key]; e.holdsAt(now) {
		c.mu.Unlock()
		return e.object, e.err
	}
	call := c.lookups.Start(ctx, key, func(ctx context.Context) (T, error) { return c.fill(ctx, key, lookup, now) })
	c.mu.Unlock()
	return call.Wait(ctx)
}

// fill does a lookup and caches its result.
func (c *objectCache[T]) fill(ctx context.Context, key objectKey, lookup func(context.Context) (T, error), now time.Time) (T, error) {
	ctx, cancel := context.WithTimeout(ctx, c.cfg.Timeout)
	defer cancel()
	object, err := flight.Do(ctx, c.guard, lookup)
	var none T
	var ttl time.Duration
	switch {
	case err == nil && object != none:
		ttl = c.cfg.TTL
	case apierrors.IsNotFound(err):
		ttl = c.cfg.NegativeTTL
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	was, ok := c.entries[key]
	if ok && was.began.After(now) {
		return object, err // a lookup that was too late to join this one has ended before it
	}
	if ttl == 0 {
		delete(c.entries, key)
		return object, err
	}
	if !ok && len(c.entries) >= c.cfg.MaxObjects {
		c.evict(now)
	}
	c.entries[key] = objectEntry[T]{object, err, now, now.Add(ttl)}
	return object, err
}

// evict removes the expired entries, then any others until there is room for one.
func (c *objectCache[T]) evict(now time.Time) {
	for key, e := range c.entries {
		if !e.holdsAt(now) {
			delete(c.entries, key)
		}
	}
	for key := range c.entries {
		if len(c.entries) < c.cfg.MaxObjects {
			return
		}
		delete(c.entries, key)
	}
}
