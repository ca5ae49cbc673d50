// Package settle drives controllers to the fixed point, with the same steps in the same
// order every time: it tells them what changed, reconciles the keys that are due, and
// retries those that fail. It knows the cluster as a [World].
package settle

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubesa/serviceaccount/fake/internal/object"
	"github.com/kubesa/serviceaccount/fake/internal/store"
	"github.com/kubesa/serviceaccount/sacontroller"
)

// The bounds of a Settle.
const (
	// MaxFailures is how often in a row a key may fail before Settle gives up
	// on it. Tests of outages need many, and time costs nothing here.
	MaxFailures = 250
	// patience is how often in a row a key fails before caches catch up: retries
	// have a back-off, and no cache is stale for that long.
	patience = 10
	// stepsPerObject bounds the Reconcile calls, besides a constant.
	stepsPerObject = 2 * MaxFailures
)

// A World is the cluster that controllers work on.
type World interface {
	// Look calls look while nothing changes, with what is stored and how it came.
	Look(look func(*store.Store, *store.History))
	Now() time.Time
	WithActor(ctx context.Context, controller string) context.Context
	FinalizeNamespace(ctx context.Context, name string) error

	// CatchUp lets every lagging cache see everything, and reports whether one did.
	CatchUp() bool
}

// A Failed is a key that didn't succeed.
type Failed struct {
	Controller string
	Key        sacontroller.Key
	Err        error // of the last attempt
}

// A Waiting key asked to be reconciled again later.
type Waiting struct {
	Controller string
	Key        sacontroller.Key
	At         time.Time
}

// A Settler remembers how far each controller has come. Its zero value is ready to use,
// and safe for concurrent use.
type Settler struct {
	turn sync.Once
	runs chan struct{} // holds one while Settle runs

	mu        sync.Mutex // not held while a controller works
	drivers   []*driver
	shuffler  *shuffler
	disturber *disturber
}

// Shuffle makes Settle take controllers and keys in an order that depends on seed.
func (s *Settler) Shuffle(seed uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.shuffler = &shuffler{random: rand.New(rand.NewPCG(seed, seed^0x9e3779b97f4a7c15))}
}

// Disturb makes Settle deliver changes as informers do on a bad day, which depends on
// seed.
func (s *Settler) Disturb(seed uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.disturber = &disturber{random: rand.New(rand.NewPCG(seed, ^seed))}
}

// Forget makes the next Settle start controller afresh.
func (s *Settler) Forget(controller sacontroller.Controller) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.drivers = slices.DeleteFunc(s.drivers, func(d *driver) bool { return same(d.controller, controller) })
}

// Waiting returns the keys that asked to be reconciled again later, in the order of their
// controllers and of their requests.
func (s *Settler) Waiting() []Waiting {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []Waiting
	for _, d := range s.drivers {
		for _, w := range d.waiting {
			all = append(all, Waiting{d.controller.Name(), w.key, w.at})
		}
	}
	return all
}

// Settle drives controllers until nothing is left to do, and returns the keys that failed.
// Calls wait for each other; begin is called when it is this one's turn. What it returns is
// called after each step, and says whether that was one too many; its error ends Settle,
// and so does that of ctx.
func (s *Settler) Settle(ctx context.Context, w World, begin func() (check func(tooMany bool) error), controllers ...sacontroller.Controller) ([]Failed, error) {
	leave, err := s.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	r := &run{Settler: s, world: w, check: begin()}
	objects := 0
	w.Look(func(state *store.Store, _ *store.History) {
		for _, k := range object.Kinds {
			objects += len(state.List(k, ""))
		}
	})
	r.budget = stepsPerObject * (20 + objects)
	for _, controller := range controllers {
		d := s.driverOf(controller)
		d.retry()
		r.drivers = append(r.drivers, d)
	}
	return r.settle(ctx)
}

// enter waits until no other Settle runs.
func (s *Settler) enter(ctx context.Context) (leave func(), err error) {
	s.turn.Do(func() { s.runs = make(chan struct{}, 1) })
	leave = func() { <-s.runs }
	select { // a turn that is free is taken although ctx may be done
	case s.runs <- struct{}{}:
		return leave, nil
	default:
	}
	select {
	case s.runs <- struct{}{}:
		return leave, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// driverOf returns the driver of controller, which is new if the controller was not driven
// before.
func (s *Settler) driverOf(controller sacontroller.Controller) *driver {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, d := range s.drivers {
		if same(d.controller, controller) {
			return d
		}
	}
	d := &driver{
		controller: controller,
		queued:     map[sacontroller.Key]bool{},
		attempts:   map[sacontroller.Key]int{},
		terminal:   map[sacontroller.Key]error{},
	}
	s.drivers = append(s.drivers, d)
	return d
}

// A run is one run of Settle.
type run struct {
	*Settler
	world   World
	check   func(tooMany bool) error
	drivers []*driver
	budget  int // how many steps are left
}

func (r *run) settle(ctx context.Context) ([]Failed, error) {
	for {
		busy, err := r.round(ctx)
		if err != nil {
			return nil, err
		}
		if busy {
			continue
		}
		finalized, err := r.finalizeNamespaces(ctx)
		if err != nil {
			return nil, err
		}
		caughtUp := r.world.CatchUp()
		woken := false
		for _, d := range r.drivers {
			woken = d.wake(r.Settler, r.world, caughtUp) || woken
		}
		if !finalized && !woken {
			var failed []Failed
			for _, d := range r.drivers {
				failed = append(failed, d.unsettled()...)
			}
			return failed, nil
		}
	}
}

// round lets every controller see what changed and do one step. It reports
// whether anybody had something to do.
func (r *run) round(ctx context.Context) (busy bool, err error) {
	for _, d := range r.drivers {
		busy = busy || d.busy(r.world)
	}
	if !busy {
		return false, nil
	}
	if r.shuffler.chance(8) {
		if _, err := r.finalizeNamespaces(ctx); err != nil {
			return false, err
		}
	}
	for _, d := range r.shuffler.order(r.drivers) {
		if err := ctx.Err(); err != nil {
			return false, err
		}
		d.hear(ctx, r.Settler, r.world)
		if len(d.queue) == 0 {
			continue
		}
		if d.step(ctx, r.Settler, r.world) {
			r.budget-- // failures have a bound of their own
		}
		if err := r.check(r.budget <= 0); err != nil {
			return false, err
		}
	}
	return true, nil
}

func (r *run) finalizeNamespaces(ctx context.Context) (changed bool, err error) {
	var names []string
	before := last(r.world)
	r.world.Look(func(state *store.Store, _ *store.History) {
		for _, o := range state.List(object.Namespaces, "") {
			if o.GetDeletionTimestamp() != nil && len(o.(*corev1.Namespace).Spec.Finalizers) > 0 {
				names = append(names, o.GetName())
			}
		}
	})
	for _, name := range names {
		if err := r.world.FinalizeNamespace(ctx, name); err != nil {
			return false, fmt.Errorf("fake: finalizing namespace %s: %w", name, err)
		}
	}
	return last(r.world) > before, nil
}
