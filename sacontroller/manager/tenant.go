package manager

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/kubesa/serviceaccount/internal/configerror"
	"github.com/kubesa/serviceaccount/sacontroller"
	"github.com/kubesa/serviceaccount/tenant"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/metadata"
)

// A Tenant is one of many that a [Manager] with [Config.Tenants] runs its controllers for.
type Tenant struct {
	// Name is required: what the keys of controllers, and the contexts of their calls,
	// call the tenant. See package tenant.
	Name string
	// Client is required. It serves the watches and the Events.
	Client kubernetes.Interface
	// Metadata is what [Config.Metadata] is.
	Metadata metadata.Interface
}

// Join makes m run its controllers for t, from the time on when t's caches are filled,
// which delays no other tenant. It can be called before and during Run. It returns an
// error naming every invalid field of t, each as a [*ConfigError], or another error if m
// has no [Config.Tenants] or has ended, or if a tenant of that name has joined and not
// left yet.
func (m *Manager) Join(t Tenant) error {
	mistakes := configerror.List{Config: "manager.Tenant"}
	if t.Name == "" {
		mistakes.Add("Name", "is empty, want the name of the tenant")
	}
	mistakes.Require("Client", t.Client, "a kubernetes.Interface")
	mistakes.Optional("Metadata", t.Metadata)
	if err := mistakes.Err(); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case !m.cfg.Tenants:
		return fmt.Errorf("manager: tenant %q joins a Manager of one cluster, want Config.Tenants", t.Name)
	case m.serving != nil && m.serving.Err() != nil || m.stopped:
		return errors.New("manager: stopped")
	case m.clusters[t.Name] != nil:
		return fmt.Errorf("manager: tenant %q has joined already", t.Name)
	case m.leaving[t.Name] != nil:
		return fmt.Errorf("manager: tenant %q is still leaving", t.Name)
	}
	c := newCluster(t, m)
	if m.serving != nil {
		if err := m.serve(c); err != nil {
			return err
		}
	}
	m.clusters[t.Name] = c
	return nil
}

// Leave ends the watches of the tenant called name, cancels the requests of its Reconcile
// calls, and has everything forgotten that was kept for it: caches, keys, and what
// controllers remember. It returns nil once nothing is left, and the error of ctx if that
// is done first; the rest is then done as soon as calls that hang have returned, and
// calling Leave again waits for it. A tenant that hasn't joined is a
// [*tenant.UnknownError].
func (m *Manager) Leave(ctx context.Context, name string) error {
	m.mu.Lock()
	c := m.leaving[name]
	if c == nil && name != "" {
		if c = m.clusters[name]; c != nil {
			delete(m.clusters, name)
			m.leaving[name] = c
			c.cancel()
			go m.leave(c, slices.Clone(m.workers), m.serving != nil)
		}
	}
	m.mu.Unlock()
	if c == nil {
		return &tenant.UnknownError{Name: name}
	}
	select {
	case <-c.gone:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// leave does what [Manager.Leave] waits for.
func (m *Manager) leave(c *cluster, workers []*worker, served bool) {
	var idle []<-chan struct{}
	for _, w := range workers {
		idle = append(idle, w.queue.Leave(c.Name))
	}
	if served {
		<-c.ended
	}
	for i, w := range workers {
		<-idle[i]
		if f, ok := w.controller.(sacontroller.Forgetter); ok {
			f.Forget(c.Name)
		}
		w.queue.Forgive(c.Name)
	}
	m.mu.Lock()
	delete(m.leaving, c.Name)
	m.mu.Unlock()
	close(c.gone)
}

// TenantReady returns nil if the controllers work for the tenant called name, once they
// run at all. Otherwise it says why they don't: the tenant hasn't joined (a
// [*tenant.UnknownError]), its caches are not filled yet, or calls for it hang.
func (m *Manager) TenantReady(name string) error {
	c := m.clusterOf(name)
	if c == nil {
		return &tenant.UnknownError{Name: name}
	}
	select {
	case <-c.synced:
	default:
		return fmt.Errorf("manager: the caches of tenant %q are not filled yet", name)
	}
	for _, w := range c.workers {
		if w.queue.Hanging(name) {
			return fmt.Errorf("manager: calls of %s for tenant %q hang", w.controller.Name(), name)
		}
	}
	return nil
}
