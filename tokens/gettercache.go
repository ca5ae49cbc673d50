package tokens

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Getters are what an [Authenticator] or a [tokenrequest.Requester] looks objects up
// with. Any may be nil.
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
	// Kubernetes remembers verdicts for 10 s (REV-20).
	TTL time.Duration
	// NegativeTTL is the same for objects that don't exist: a token is refused
	// for that much longer after the object was created. Zero means that this
	// is not remembered; other errors never are.
	NegativeTTL time.Duration

	// MaxObjects bounds the objects of each kind. Zero or less means 4096.
	MaxObjects int
	// Timeout bounds one lookup. Zero or less means 10 s.
	Timeout time.Duration
	// Now returns the current time. If nil, [time.Now] is used.
	Now func() time.Time
}

// CacheGetters returns getters that remember for a while what those of g found,
// for when these ask a server every time. It trades the immediate effect of a
// deletion for speed, so an [Authenticator] doesn't do so by itself; getters
// that read a watched cache are both fast and fresh.
//
// Lookups of one object at one time are one lookup. It goes on, for at most
// Timeout, when a caller gives up, and a panic in it is an error. The result is
// safe for concurrent use, holds no goroutine, and shares the objects that it
// returns among callers. The error names everything that is wrong with cfg.
func CacheGetters(g Getters, cfg GetterCacheConfig) (Getters, error) {
	var errs []error
	if cfg.TTL <= 0 {
		errs = append(errs, fmt.Errorf("tokens: GetterCacheConfig.TTL is %v, want more than 0", cfg.TTL))
	}
	if cfg.NegativeTTL < 0 {
		errs = append(errs, fmt.Errorf("tokens: GetterCacheConfig.NegativeTTL is %v, want 0 or more", cfg.NegativeTTL))
	}
	if err := errors.Join(errs...); err != nil {
		return Getters{}, err
	}
	if cfg.MaxObjects <= 0 {
		cfg.MaxObjects = 4096
	}
	if cfg.Timeout <= 0 {
		cfg.Timeout = 10 * time.Second
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	c := &getterCache{
		getters:    g,
		accounts:   objectCache[*corev1.ServiceAccount]{cfg: cfg},
		secrets:    objectCache[*corev1.Secret]{cfg: cfg},
		pods:       objectCache[*corev1.Pod]{cfg: cfg},
		nodes:      objectCache[*corev1.Node]{cfg: cfg},
		validating: objectCache[*admissionregistrationv1.ValidatingWebhookConfiguration]{cfg: cfg},
		mutating:   objectCache[*admissionregistrationv1.MutatingWebhookConfiguration]{cfg: cfg},
		objects:    objectCache[metav1.Object]{cfg: cfg},
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
	accounts   objectCache[*corev1.ServiceAccount]
	secrets    objectCache[*corev1.Secret]
	pods       objectCache[*corev1.Pod]
	nodes      objectCache[*corev1.Node]
	validating objectCache[*admissionregistrationv1.ValidatingWebhookConfiguration]
	mutating   objectCache[*admissionregistrationv1.MutatingWebhookConfiguration]
	objects    objectCache[metav1.Object]
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
	cfg GetterCacheConfig

	mu      sync.Mutex
	entries map[objectKey]*objectEntry[T]
}

// An objectEntry is one lookup and, once done is closed, what it found and until
// when that holds.
type objectEntry[T comparable] struct {
	done   chan struct{}
	object T
	err    error
	until  time.Time
}

// get returns what is remembered of key, or what lookup returns.
func (c *objectCache[T]) get(ctx context.Context, key objectKey, lookup func(context.Context) (T, error)) (T, error) {
	e := c.entry(ctx, key, lookup)
	select {
	case <-e.done:
		return e.object, e.err
	default:
	}
	select {
	case <-e.done:
		return e.object, e.err
	case <-ctx.Done():
		var none T
		return none, ctx.Err()
	}
}

// entry returns the entry of key that holds, or a new one whose lookup has
// begun.
func (c *objectCache[T]) entry(ctx context.Context, key objectKey, lookup func(context.Context) (T, error)) *objectEntry[T] {
	now := c.cfg.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	if e := c.entries[key]; e != nil {
		select {
		case <-e.done:
			if now.Before(e.until) {
				return e
			}
		default:
			return e // being looked up
		}
	}
	e := &objectEntry[T]{done: make(chan struct{})}
	if c.entries == nil {
		c.entries = map[objectKey]*objectEntry[T]{}
	}
	if _, ok := c.entries[key]; !ok && len(c.entries) >= c.cfg.MaxObjects {
		c.evict(now)
	}
	c.entries[key] = e
	go c.fill(context.WithoutCancel(ctx), key, e, lookup, now)
	return e
}

// evict makes room: what doesn't hold any more goes, or else any one.
func (c *objectCache[T]) evict(now time.Time) {
	for key, e := range c.entries {
		select {
		case <-e.done:
			if !now.Before(e.until) {
				delete(c.entries, key)
			}
		default:
		}
	}
	for key := range c.entries {
		if len(c.entries) < c.cfg.MaxObjects {
			return
		}
		delete(c.entries, key)
	}
}

// fill makes the lookup that began at start, and forgets it if it failed.
func (c *objectCache[T]) fill(ctx context.Context, key objectKey, e *objectEntry[T], lookup func(context.Context) (T, error), start time.Time) {
	ctx, cancel := context.WithTimeout(ctx, c.cfg.Timeout)
	defer cancel()
	object, err := contained(ctx, lookup)
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
	e.object, e.err, e.until = object, err, start.Add(ttl)
	if ttl == 0 && c.entries[key] == e {
		delete(c.entries, key)
	}
	close(e.done)
}

// contained calls lookup, so that a panic reaches no goroutine that nobody
// recovers. Its value may hold anything, so it stays here.
func contained[T any](ctx context.Context, lookup func(context.Context) (T, error)) (object T, err error) {
	defer func() {
		if recover() != nil {
			err = errors.New("the getter panicked")
		}
	}()
	return lookup(ctx)
}
