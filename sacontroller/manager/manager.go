package manager

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"reflect"
	"slices"
	"sync"
	"time"

	"github.com/kubesa/serviceaccount/internal/configerror"
	"github.com/kubesa/serviceaccount/sacontroller"
	"github.com/kubesa/serviceaccount/sacontroller/manager/internal/election"
	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/metadata"
)

// Config configures [New].
type Config struct {
	// Client is required. It serves the watches, the lease and the Events. The
	// controllers write through their own Client, such as
	// serviceaccount.FromCoreV1 returns for the same clientset.
	Client kubernetes.Interface
	// Tenants makes the controllers run for the tenants that [Manager.Join], each with a
	// Client of its own, and for nobody else. The Client here serves the lease only.
	Tenants bool
	// Metadata watches objects of which only the metadata is needed. If nil,
	// Client watches whole objects.
	Metadata metadata.Interface

	// LeaderElection, if not nil, lets the controllers run only while this
	// process holds a lease. Without it there must be no second process: two do
	// no harm to objects, but cause each other conflicts.
	LeaderElection *LeaderElection

	// Metrics registers the metrics of the Manager. If nil, there are none.
	Metrics prometheus.Registerer
	// Logger logs the Manager's messages, and those of client-go that come with a
	// context. A logr.Logger is wrapped with slog.New(logr.ToSlogHandler(l)). If
	// nil, nothing is logged.
	Logger *slog.Logger

	// ShutdownTimeout is how long running Reconcile calls may take to finish when
	// Run is to return. Zero means 20 seconds.
	ShutdownTimeout time.Duration
}

// A ConfigError is one mistake in [Config] or [Options]. All mistakes are returned
// at once, joined: [errors.As] finds the first. Config is the struct, such as
// "manager.Config", Field is the field, such as "LeaderElection.Name", and Problem
// says what is wrong with it, for people.
type ConfigError = configerror.Error

const defaultShutdownTimeout = 20 * time.Second

// A Manager runs controllers on client-go. It is safe for concurrent use.
type Manager struct {
	cfg     Config
	log     *slog.Logger
	metrics *metrics
	leader  *election.Election

	leading chan struct{} // closed when the controllers run

	mu       sync.RWMutex
	started  bool
	synced   bool
	stopped  bool
	workers  []*worker           // not changed any more once started
	serving  context.Context     // of all that serves the controllers; nil before Run
	servers  sync.WaitGroup      // what runs in serving
	clusters map[string]*cluster // by the name of the tenant, "" for the only one
	leaving  map[string]*cluster // of tenants
}

// New returns a Manager without controllers, which starts nothing yet, or an error naming
// every invalid field, each as a [*ConfigError]. It registers its metrics with cfg.Metrics,
// and returns an error if registration fails.
func New(cfg Config) (*Manager, error) {
	mistakes := configerror.List{Config: "manager.Config"}
	mistakes.Require("Client", cfg.Client, "a kubernetes.Interface")
	mistakes.Optional("Metadata", cfg.Metadata)
	mistakes.Optional("Metrics", cfg.Metrics)
	configerror.NotNegative(&mistakes, "ShutdownTimeout", cfg.ShutdownTimeout)
	if cfg.LeaderElection != nil {
		withDefaults := election.Config(*cfg.LeaderElection).WithDefaults()
		withDefaults.Check(&mistakes)
		cfg.LeaderElection = new(LeaderElection(withDefaults))
	}
	if err := mistakes.Err(); err != nil {
		return nil, err
	}
	if cfg.ShutdownTimeout == 0 {
		cfg.ShutdownTimeout = defaultShutdownTimeout
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	m := &Manager{
		cfg: cfg, log: cfg.Logger, metrics: newMetrics(), leading: make(chan struct{}),
		clusters: map[string]*cluster{}, leaving: map[string]*cluster{},
	}
	if !cfg.Tenants {
		m.clusters[""] = newCluster(Tenant{Client: cfg.Client, Metadata: cfg.Metadata}, m)
	}
	if cfg.LeaderElection != nil {
		var err error
		if m.leader, err = election.New((*election.Config)(cfg.LeaderElection), cfg.Client, m.log); err != nil {
			return nil, err
		}
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
	// Workers is the number of keys to reconcile at a time. Zero means 1.
	Workers int
	// Watch are the resources whose changes the controller needs, for Due or for
	// its Reader. It may be empty for the controllers of package sacontroller.
	Watch []Resource
}

// Add makes m run c. It returns an error naming every invalid field of opts, each as a
// [*ConfigError], or another error if c is nil, if Run was called already, or if a
// controller of the same name was added before.
func (m *Manager) Add(c sacontroller.Controller, opts Options) error {
	if v := reflect.ValueOf(c); !v.IsValid() || v.Kind() == reflect.Pointer && v.IsNil() {
		return errors.New("manager: the controller to add is nil")
	}
	mistakes := configerror.List{Config: "manager.Options"}
	configerror.NotNegative(&mistakes, "Workers", opts.Workers)
	if len(opts.Watch) == 0 {
		opts.Watch = resourcesOf(c)
	}
	if len(opts.Watch) == 0 {
		mistakes.Add("Watch", "is empty, want the resources that %s, a %T, needs", c.Name(), c)
	}
	for i, r := range opts.Watch {
		if !r.isKnown() {
			mistakes.Add(fmt.Sprintf("Watch[%d]", i), "is %q, want a Resource of this package", r)
		}
	}
	if err := mistakes.Err(); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.started {
		return fmt.Errorf("manager: %s is added too late, want it added before Run", c.Name())
	}
	if slices.ContainsFunc(m.workers, func(w *worker) bool { return w.controller.Name() == c.Name() }) {
		return fmt.Errorf("manager: a controller called %s was added already", c.Name())
	}
	m.workers = append(m.workers, &worker{
		controller: c,
		queue:      m.metrics.queues.newQueue(c.Name(), max(opts.Workers, 1)),
		resources:  slices.Clone(opts.Watch),
		metrics:    m.metrics,
		log:        m.log.With("controller", c.Name()),
		clusterOf:  m.clusterOf,
		resync:     m.resync,
		failed: func(key sacontroller.Key, attempts int, err error) {
			m.failed(c.Name(), key, attempts, err)
		},
	})
	w := m.workers[len(m.workers)-1]
	w.queue.Hung = func(tenant string) { w.log.Warn("Calls for a tenant hang", "tenant", tenant) }
	return nil
}

// Run starts the watches, waits for the lease with [Config.LeaderElection], runs
// the controllers until ctx is done, and returns once their running calls have
// finished and the lease is released. No controller is called before every cache
// is filled. Run can be called once. All goroutines that it starts have ended when
// it returns, unless its error says otherwise.
//
// It returns nil after ctx is done, and an error that wraps [ErrLeadershipLost]
// when the lease could not be renewed. Any other error says what is wrong with
// the Manager, or which controllers didn't finish in time; then the lease is kept
// as long as the process lives. In all cases the process should end.
func (m *Manager) Run(ctx context.Context) error {
	if err := m.start(); err != nil {
		return err
	}
	defer m.end()
	// What serves the controllers outlives them.
	serving, stopServing := context.WithCancel(context.WithoutCancel(ctx))
	defer m.servers.Wait()
	defer stopServing()
	if err := m.serveAll(serving); err != nil {
		return err
	}
	if !m.waitForCaches(ctx) {
		return nil
	}
	if m.leader == nil {
		return m.lead(ctx, election.WithBound(context.WithoutCancel(ctx), func() time.Duration { return election.MaxRequest }))
	}
	return m.leader.Run(ctx, func(ctx, work context.Context) error {
		return m.lead(ctx, election.WithBound(work, m.leader.Remaining))
	})
}

// start may be called once.
func (m *Manager) start() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.started {
		return errors.New("manager: Run was called already, want a new Manager")
	}
	if len(m.workers) == 0 {
		return errors.New("manager: there is no controller to run, want Add called before Run")
	}
	m.started = true
	return nil
}

// serveAll runs the clusters there are, and from now on each that joins, until ctx is done.
func (m *Manager) serveAll(ctx context.Context) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.serving = ctx
	for _, c := range m.clusters {
		if err := m.serve(c); err != nil {
			return err
		}
	}
	return nil
}

// serve runs c. The mutex must be held.
func (m *Manager) serve(c *cluster) error {
	if err := c.prepare(m.serving, m.workers); err != nil {
		return err
	}
	m.servers.Go(func() { c.run(m.leading) })
	return nil
}

// clusterOf returns the cluster of a tenant, or nil.
func (m *Manager) clusterOf(tenant string) *cluster {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.clusters[tenant]
}

// resync reports every object of every cluster to w as added.
func (m *Manager) resync(w *worker) {
	m.mu.RLock()
	clusters := slices.Collect(maps.Values(m.clusters))
	m.mu.RUnlock()
	for _, c := range clusters {
		c.report(w)
	}
}

func (m *Manager) end() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.stopped = true
}

// waitForCaches returns false if ctx is done first. Those of tenants don't wait for each
// other.
func (m *Manager) waitForCaches(ctx context.Context) bool {
	if c := m.clusterOf(""); c != nil {
		select {
		case <-ctx.Done():
			return false
		case <-c.synced:
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.synced = true
	return true
}

// lead runs the controllers until ctx or work is done. Their requests get a context
// that is done with work, or when finishing takes too long.
func (m *Manager) lead(ctx, work context.Context) error {
	m.metrics.leader.Set(1)
	defer m.metrics.leader.Set(0)
	m.log.Info("Controllers run")
	requests, cancelRequests := context.WithCancel(work)
	defer cancelRequests()
	stop, stopWorkers := context.WithCancel(ctx)
	defer stopWorkers()
	defer context.AfterFunc(work, stopWorkers)()

	ends := make(chan string, len(m.workers))
	running := map[string]bool{}
	for _, w := range m.workers {
		running[w.controller.Name()] = true
		go func() { w.run(requests, stop); ends <- w.controller.Name() }()
	}
	close(m.leading)
	var deadline, abandon <-chan time.Time
	done, lost := stop.Done(), work.Done()
	for len(running) > 0 {
		select {
		case name := <-ends:
			delete(running, name)
		case <-done:
			done = nil
			m.log.Info("Controllers finish")
			if work.Err() == nil {
				deadline = time.After(m.cfg.ShutdownTimeout)
			}
		case <-deadline:
			deadline = nil
			cancelRequests()
			abandon = time.After(election.AbandonAfter)
		case <-lost:
			lost, deadline = nil, nil
			abandon = time.After(m.leader.Grace())
		case <-abandon:
			return &election.StuckError{Names: sortedNames(running)}
		}
	}
	m.log.Info("Controllers have finished")
	return nil
}

func sortedNames(set map[string]bool) []string {
	names := make([]string, 0, len(set))
	for name := range set {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
