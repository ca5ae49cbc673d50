package manager

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"github.com/kubesa/serviceaccount/sacontroller"
	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"
)

// Config configures [New].
type Config struct {
	// Client is required: what is watched, the lease and the Events go through
	// it. What the controllers write goes through their own Client, which is
	// best made from the same one with serviceaccount.FromCoreV1.
	Client kubernetes.Interface
	// Metadata watches what only the metadata is needed of. If nil, Client
	// watches whole objects.
	Metadata metadata.Interface

	// LeaderElection, if not nil, lets the controllers run only while this
	// process holds a lease. Without it there must be no second process: two do
	// no harm to objects, but cost each other conflicts.
	LeaderElection *LeaderElection

	// Metrics gets the metrics of the Manager. If nil, there are none.
	Metrics prometheus.Registerer
	// Logger gets the Manager's messages, and client-go's as far as they know a
	// context. A logr.Logger is wrapped with slog.New(logr.ToSlogHandler(l)). If
	// nil, nothing is logged.
	Logger *slog.Logger

	// ShutdownTimeout is how long keys that are being worked on may take to
	// finish when Run is to return. Zero means 20 seconds.
	ShutdownTimeout time.Duration
}

const defaultShutdownTimeout = 20 * time.Second

// A Manager runs controllers on client-go. It is safe for concurrent use.
type Manager struct {
	cfg     Config
	log     *slog.Logger
	metrics *metrics
	leader  *leadership

	mu        sync.Mutex
	started   bool
	synced    bool
	stopped   bool
	workers   []*worker
	informers map[Resource]cache.SharedIndexInformer
	events    *events // of a running Manager
}

// New returns a Manager without controllers, which doesn't do anything yet, or an
// error that names every mistake in cfg. It registers its metrics.
func New(cfg Config) (*Manager, error) {
	var errs []error
	if cfg.Client == nil {
		errs = append(errs, errors.New("manager: Config.Client is nil, want a client"))
	}
	if cfg.ShutdownTimeout < 0 {
		errs = append(errs, fmt.Errorf("manager: Config.ShutdownTimeout is %v, want a positive one", cfg.ShutdownTimeout))
	}
	if cfg.ShutdownTimeout == 0 {
		cfg.ShutdownTimeout = defaultShutdownTimeout
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	m := &Manager{cfg: cfg, log: cfg.Logger, metrics: newMetrics(), informers: map[Resource]cache.SharedIndexInformer{}}
	if cfg.LeaderElection != nil {
		var err error
		if m.leader, err = newLeadership(cfg.LeaderElection, cfg.Client); err != nil {
			errs = append(errs, err)
		}
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	if cfg.Metrics != nil {
		if err := m.metrics.register(cfg.Metrics); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// Reader returns the reader of m's caches, to be the Reader of the controllers
// that are added to m.
func (m *Manager) Reader() *Reader { return &Reader{m} }

// Options say how [Manager.Add] runs a controller.
type Options struct {
	// Workers is how many keys are reconciled at a time. Zero means 1.
	Workers int
	// Watch are the resources whose changes the controller is told of, and that
	// its Reader needs. It may be empty for the controllers of package
	// sacontroller.
	Watch []Resource
}

// Add makes m run c. It is an error if m runs already, if a controller of the name
// was added before, or if it isn't known what c watches.
func (m *Manager) Add(c sacontroller.Controller, opts Options) error {
	if c == nil {
		return errors.New("manager: got no controller to add")
	}
	if opts.Workers < 0 {
		return fmt.Errorf("manager: %s has %d workers, want at least 1", c.Name(), opts.Workers)
	}
	if len(opts.Watch) == 0 {
		opts.Watch = resourcesOf(c)
	}
	if len(opts.Watch) == 0 {
		return fmt.Errorf("manager: %s is a %T, want Options.Watch to say what it watches", c.Name(), c)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.started {
		return fmt.Errorf("manager: %s comes too late, want it added before Run", c.Name())
	}
	if slices.ContainsFunc(m.workers, func(w *worker) bool { return w.controller.Name() == c.Name() }) {
		return fmt.Errorf("manager: there is a %s already", c.Name())
	}
	m.workers = append(m.workers, &worker{
		controller: c,
		goroutines: max(opts.Workers, 1),
		resources:  slices.Clone(opts.Watch),
		metrics:    m.metrics,
		log:        m.log.With("controller", c.Name()),
		failed: func(key sacontroller.Key, attempts int, err error) {
			m.failed(c.Name(), key, attempts, err)
		},
	})
	return nil
}

// Run watches, waits for the lease if there is one to be had, runs the
// controllers until ctx is done, and returns once they have finished what they
// were at and the lease is given back. No controller is called before every cache
// is filled. Run can be called once; all that it starts has ended when it returns,
// but for what the errors say.
//
// It returns nil after a shutdown that went well, an error that wraps
// [ErrLeadershipLost], and otherwise an error that says what is wrong with the
// Manager, or which controllers didn't finish in time; then the lease is kept as
// long as the process lives. In all cases the process should end.
func (m *Manager) Run(ctx context.Context) error {
	if err := m.start(); err != nil {
		return err
	}
	defer m.end()
	ctx = klog.NewContext(ctx, logr.FromSlogHandler(m.log.Handler()))
	// What serves the controllers outlives them.
	serving, stopServing := context.WithCancel(context.WithoutCancel(ctx))
	var servers sync.WaitGroup
	defer servers.Wait()
	defer stopServing()

	m.mu.Lock()
	m.events = newEvents(serving, m.cfg.Client)
	m.mu.Unlock()
	defer m.events.stop()
	for _, informer := range m.informers {
		servers.Go(func() { informer.RunWithContext(serving) })
	}
	if !m.waitForCaches(ctx) {
		return nil
	}
	m.log.Info("Caches are filled", "resources", len(m.informers))
	if m.leader == nil {
		return m.lead(ctx, context.WithoutCancel(ctx))
	}
	return m.leader.run(ctx, m.lead)
}

// start prepares the informers, once.
func (m *Manager) start() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.started {
		return errors.New("manager: Run was called before, want a new Manager")
	}
	if len(m.workers) == 0 {
		return errors.New("manager: there is nothing to run, want a controller added")
	}
	whole := m.cfg.Metadata == nil || slices.ContainsFunc(m.workers, func(w *worker) bool {
		return slices.Contains(w.resources, ServiceAccounts)
	})
	for _, w := range m.workers {
		for i, r := range w.resources {
			if r == ServiceAccountMetadata && whole {
				r = ServiceAccounts
				w.resources[i] = r
			}
			informer, ok := m.informers[r]
			if !ok {
				var err error
				if informer, err = newInformer(m.cfg.Client, m.cfg.Metadata, r); err != nil {
					return err
				}
				if err := informer.SetWatchErrorHandlerWithContext(m.watchFailed(r)); err != nil {
					return fmt.Errorf("manager: preparing to watch %s: %v", r, err)
				}
				m.informers[r] = informer
			}
			w.informers = append(w.informers, informer)
		}
	}
	m.started = true
	return nil
}

func (m *Manager) end() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.stopped = true
}

// watchFailed counts what goes wrong with a watch, and leaves the rest to
// client-go, which goes on with back-off.
func (m *Manager) watchFailed(r Resource) cache.WatchErrorHandlerWithContext {
	return func(ctx context.Context, reflector *cache.Reflector, err error) {
		m.metrics.watches.WithLabelValues(string(r)).Inc()
		cache.DefaultWatchErrorHandler(ctx, reflector, err)
	}
}

// waitForCaches returns false if ctx is done first.
func (m *Manager) waitForCaches(ctx context.Context) bool {
	for _, informer := range m.informers {
		select {
		case <-ctx.Done():
			return false
		case <-informer.HasSyncedChecker().Done():
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.synced = true
	return true
}

// lead runs the controllers until ctx or hard is done. Requests are made with a
// context that is done with hard, or when finishing takes too long.
func (m *Manager) lead(ctx, hard context.Context) error {
	m.metrics.leader.Set(1)
	defer m.metrics.leader.Set(0)
	m.log.Info("Controllers run")
	requests, cancelRequests := context.WithCancel(hard)
	defer cancelRequests()
	stop, stopWorkers := context.WithCancel(ctx)
	defer stopWorkers()
	defer context.AfterFunc(hard, stopWorkers)()

	type end struct {
		name string
		err  error
	}
	ends := make(chan end, len(m.workers))
	running := map[string]bool{}
	for _, w := range m.workers {
		running[w.controller.Name()] = true
		go func() { ends <- end{w.controller.Name(), w.run(requests, stop)} }()
	}
	var errs []error
	var deadline, abandon <-chan time.Time
	done := stop.Done()
	for len(running) > 0 {
		select {
		case e := <-ends:
			delete(running, e.name)
			if e.err != nil {
				errs = append(errs, e.err)
				stopWorkers()
			}
		case <-done:
			done = nil
			m.log.Info("Controllers finish")
			deadline = time.After(m.cfg.ShutdownTimeout)
		case <-deadline:
			deadline = nil
			cancelRequests()
			abandon = time.After(abandonAfter)
		case <-abandon:
			return &stuckError{names: sortedNames(running)}
		}
	}
	m.log.Info("Controllers have finished")
	return errors.Join(errs...)
}

// abandonAfter is how long a controller may take to notice that its context is
// done.
const abandonAfter = 5 * time.Second

// A stuckError names the controllers that didn't finish.
type stuckError struct{ names []string }

func (e *stuckError) Error() string {
	return fmt.Sprintf("manager: %q did not finish in time", e.names)
}

func sortedNames(set map[string]bool) []string {
	names := make([]string, 0, len(set))
	for name := range set {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
