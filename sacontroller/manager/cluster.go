package manager

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"

	"github.com/go-logr/logr"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"
)

// A cluster is what a Manager has of one tenant, or of the only cluster there is: the
// caches, and what feeds the queues from them.
type cluster struct {
	Tenant
	workers []*worker // of the Manager
	metrics *metrics
	log     *slog.Logger
	events  events

	// Set before it runs:
	ctx       context.Context // done when the tenant leaves, or the Manager ends
	cancel    context.CancelFunc
	informers map[Resource]cache.SharedIndexInformer

	synced chan struct{} // closed when the caches are filled
	ended  chan struct{} // closed when no watch and no handler is left
	gone   chan struct{} // closed when nothing is left of a tenant

	mu     sync.Mutex
	fed    bool // the handlers are registered
	relist map[Resource]bool
	listed chan struct{} // has a value after relist was added to
}

func newCluster(t Tenant, m *Manager) *cluster {
	log := m.log
	if t.Name != "" {
		log = log.With("tenant", t.Name)
	}
	return &cluster{
		Tenant: t, metrics: m.metrics, log: log, cancel: func() {},
		informers: map[Resource]cache.SharedIndexInformer{}, relist: map[Resource]bool{}, listed: make(chan struct{}, 1),
		synced: make(chan struct{}), ended: make(chan struct{}), gone: make(chan struct{}),
	}
}

// prepare makes the informers that workers need, and the context of all that c starts.
func (c *cluster) prepare(ctx context.Context, workers []*worker) error {
	c.workers = workers
	c.ctx, c.cancel = context.WithCancel(klog.NewContext(ctx, logr.FromSlogHandler(c.log.Handler())))
	for _, w := range workers {
		for _, r := range w.resources {
			r = c.actual(r)
			if c.informers[r] != nil {
				continue
			}
			informer, err := newInformer(c.Client, c.Metadata, r, func() { c.hasListed(r) })
			if err != nil {
				return err
			}
			if err := informer.SetWatchErrorHandlerWithContext(c.watchFailed(r)); err != nil {
				return fmt.Errorf("manager: preparing to watch %s: %v", r, err)
			}
			c.informers[r] = informer
		}
	}
	return nil
}

// actual returns what is watched for r: whole accounts for all workers if one needs them.
func (c *cluster) actual(r Resource) Resource {
	whole := c.Metadata == nil || slices.ContainsFunc(c.workers, func(w *worker) bool {
		return slices.Contains(w.resources, ServiceAccounts)
	})
	if r == ServiceAccountMetadata && whole {
		return ServiceAccounts
	}
	return r
}

// watches reports whether w needs r, which is watched.
func (c *cluster) watches(w *worker, r Resource) bool {
	return slices.ContainsFunc(w.resources, func(wanted Resource) bool { return c.actual(wanted) == r })
}

// watchFailed counts failures of a watch, and leaves the rest to client-go, which
// tries again with back-off.
func (c *cluster) watchFailed(r Resource) cache.WatchErrorHandlerWithContext {
	return func(ctx context.Context, reflector *cache.Reflector, err error) {
		c.metrics.watches.WithLabelValues(string(r)).Inc()
		cache.DefaultWatchErrorHandler(ctx, reflector, err)
	}
}

// run fills the caches, and the queues once leading is closed, until c.ctx is done.
func (c *cluster) run(leading <-chan struct{}) {
	defer close(c.ended)
	defer c.events.stop()
	var wg sync.WaitGroup
	defer wg.Wait()
	defer c.cancel()
	for _, informer := range c.informers {
		wg.Go(func() { informer.RunWithContext(c.ctx) })
	}
	for _, informer := range c.informers {
		select {
		case <-c.ctx.Done():
			return
		case <-informer.HasSyncedChecker().Done():
		}
	}
	close(c.synced)
	c.log.Info("Caches are filled", "resources", len(c.informers))
	select {
	case <-c.ctx.Done():
		return
	case <-leading:
	}
	c.feed()
}

// feed reports every object and its changes to the workers, and all of them again after
// each list: if what a controller had made was deleted again while there was no watch,
// neither is in the cache or in an event.
func (c *cluster) feed() {
	c.mu.Lock()
	clear(c.relist) // every object is reported now anyway
	c.fed = true
	c.mu.Unlock()
	for r, informer := range c.informers {
		if _, err := informer.AddEventHandler(&handler{c, r}); err != nil {
			c.log.Error("Watching failed", "resource", r, "error", err) // it has ended
		}
	}
	for {
		select {
		case <-c.ctx.Done():
			return
		case <-c.listed:
		}
		c.mu.Lock()
		relist := c.relist
		c.relist = map[Resource]bool{}
		c.mu.Unlock()
		for _, w := range c.workers {
			if slices.ContainsFunc(w.resources, func(r Resource) bool { return relist[c.actual(r)] }) {
				c.report(w)
			}
		}
	}
}

// hasListed notes that r was listed.
func (c *cluster) hasListed(r Resource) {
	c.mu.Lock()
	c.relist[r] = true
	c.mu.Unlock()
	select {
	case c.listed <- struct{}{}:
	default: // it has a value
	}
}

// report reports every object that w needs as added.
func (c *cluster) report(w *worker) {
	c.mu.Lock()
	fed := c.fed
	c.mu.Unlock()
	if !fed {
		return
	}
	for r, informer := range c.informers {
		if !c.watches(w, r) {
			continue
		}
		for _, object := range informer.GetIndexer().List() {
			w.changed(c.Name, watch.Added, object, nil)
		}
	}
}

// requests returns the context of the requests of a Reconcile call, which is done when
// ctx is, and when the tenant leaves.
func (c *cluster) requests(ctx context.Context) (context.Context, context.CancelFunc) {
	if c.Name == "" {
		return ctx, func() {}
	}
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(c.ctx, cancel)
	return ctx, func() { stop(); cancel() }
}

// A handler tells the workers of the changes of a resource.
type handler struct {
	cluster  *cluster
	resource Resource
}

// OnAdd, OnUpdate and OnDelete implement [cache.ResourceEventHandler].
func (h *handler) OnAdd(object any, _ bool) { h.changed(watch.Added, object, nil) }

// OnUpdate passes on the old object too: if it has another UID than the new one, a
// deletion was missed.
func (h *handler) OnUpdate(old, object any) { h.changed(watch.Modified, object, old) }

// OnDelete also gets the tombstones of deletions that were noticed late.
func (h *handler) OnDelete(object any) {
	if tombstone, ok := object.(cache.DeletedFinalStateUnknown); ok {
		object = tombstone.Obj
	}
	h.changed(watch.Deleted, object, nil)
}

func (h *handler) changed(t watch.EventType, object, old any) {
	for _, w := range h.cluster.workers {
		if h.cluster.watches(w, h.resource) {
			w.changed(h.cluster.Name, t, object, old)
		}
	}
}
