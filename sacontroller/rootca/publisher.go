package rootca

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/kubesa/serviceaccount/internal/configerror"
	"github.com/kubesa/serviceaccount/internal/logvalue"
	"github.com/kubesa/serviceaccount/sacontroller"
	"github.com/kubesa/serviceaccount/sacontroller/internal/apicall"
	"github.com/kubesa/serviceaccount/sacontroller/internal/cabundle"
	"github.com/kubesa/serviceaccount/sacontroller/internal/memory"
	"github.com/kubesa/serviceaccount/tenant"
)

// A ConfigError is one mistake in a config struct, as [sacontroller.ConfigError] says.
type ConfigError = configerror.Error

// An Event tells an Observe func of one attempt to publish.
type Event struct {
	Controller string        // the controller's Name
	Took       time.Duration // by Reconcile
	Err        error         // as returned, or why Reconcile waits
}

// LogValue returns e for log/slog.
func (e Event) LogValue() slog.Value { return logvalue.Of(e) }

// A publisher is what [ConfigMaps] and [TrustBundles] have in common.
type publisher struct {
	rootCA  *cabundle.Bundle
	observe func(ctx context.Context, e Event)
	tenants memory.Tenants[tenantMemory]
}

// tenantMemory is what a publisher remembers of a tenant.
type tenantMemory struct {
	failures memory.Failures[sacontroller.Key]
	throttle throttle
}

type throttle = memory.Throttle[sacontroller.Key]

func newPublisher(rootCA *cabundle.Bundle, observe func(ctx context.Context, e Event), now func() time.Time) publisher {
	return publisher{rootCA: rootCA, observe: observe, tenants: memory.Tenants[tenantMemory]{New: func() *tenantMemory {
		return &tenantMemory{throttle: throttle{Now: now}}
	}}}
}

// SetRootCA publishes another bundle from now on and asks for a resync. A bundle that
// can't be published is an error, and the one before stays published.
func (p *publisher) SetRootCA(bundle []byte) error { return p.rootCA.Set(bundle) }

// Resync returns the channel that receives a value after SetRootCA.
func (p *publisher) Resync() <-chan struct{} { return p.rootCA.Resync() }

// LastError returns the error of the last attempt at key, or nil if it succeeded or
// there was none. Of many thousands of failing keys some are forgotten.
func (p *publisher) LastError(key sacontroller.Key) error {
	if m := p.tenants.Known(key.Tenant); m != nil {
		return m.failures.Get(key)
	}
	return nil
}

// Forget implements [sacontroller.Forgetter].
func (p *publisher) Forget(tenant string) { p.tenants.Forget(tenant) }

// attempt is one attempt at key of the controller called name, made by publish.
func (p *publisher) attempt(ctx context.Context, name string, key sacontroller.Key, publish func(context.Context, *throttle) (sacontroller.Result, error)) (sacontroller.Result, error) {
	ctx, began := tenant.NewContext(ctx, key.Tenant), time.Now()
	m := p.tenants.Of(key.Tenant)
	result, err := publish(ctx, &m.throttle)
	m.failures.Note(key, err)
	if p.observe != nil {
		p.observe(ctx, Event{Controller: name, Took: time.Since(began), Err: err})
	}
	if pause, ok := errors.AsType[*apicall.PauseError](err); ok {
		return sacontroller.Result{RequeueAfter: pause.Wait}, nil
	}
	return result, err
}
