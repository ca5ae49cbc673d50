package sacontroller

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"

	"github.com/kubesa/serviceaccount/internal/configerror"
	"github.com/kubesa/serviceaccount/sacontroller/internal/apicall"
	"github.com/kubesa/serviceaccount/sacontroller/internal/cabundle"
)

// A Controller reconciles one kind of thing in a cluster. It starts nothing by
// itself: a driver tells it what changed, collects the keys that are due, and
// calls Reconcile for each. fake.Cluster.Settle, the modules manager and
// controllerruntime, and a caller's own loop are drivers.
//
// Every Controller of this package is safe for concurrent use. A driver must
// not reconcile one key twice at the same time; different keys may run in
// parallel. A driver that may have missed changes, and lists again, should report
// every object as Added once more, even if none differs from what it knows: what a
// controller made, and somebody deleted, before the list is in no change.
type Controller interface {
	// Name returns the controller's name as Kubernetes spells it.
	Name() string

	// Due returns the keys to reconcile after change. It is a pure function of
	// change, and the keys have its tenant. It returns none for changes that don't
	// concern the controller and for objects of an unexpected type.
	Due(change Change) []Key

	// Reconcile brings what key names into its desired state. It is
	// idempotent. After an error the driver must try the key again later, with
	// back-off, for as long as errors come. One that [IsTerminal] is the exception:
	// the key is due again with the next change that Due returns it for. The tenant
	// of whatever it calls is that of key, whatever ctx names: see package tenant.
	Reconcile(ctx context.Context, key Key) (Result, error)
}

// A Resyncer is a Controller whose keys can become due without a change of an
// object: its CA bundle was replaced, or what it thinks of existing tokens. A
// driver should then report every object as Added once more.
type Resyncer interface {
	Controller

	// Resync returns the channel that receives a value when a resync is due. It
	// is always the same channel, is never closed, and holds at most one value.
	Resync() <-chan struct{}
}

// A Forgetter is a Controller that remembers something of each tenant. A driver
// calls Forget when a tenant has left, and none of its keys is being reconciled.
type Forgetter interface {
	Controller

	// Forget drops all that is remembered of the keys of tenant.
	Forget(tenant string)
}

// A Key names one piece of work. Keys are comparable: equal keys that are due
// at the same time need to be reconciled once.
type Key struct {
	Tenant    string // of the change that made the key due; empty if there are no tenants
	Kind      string // "Namespace", "ServiceAccount", "Secret", "ConfigMap" or "ClusterTrustBundle"
	Namespace string // empty for cluster-scoped kinds
	Name      string
	UID       types.UID

	// ServiceAccountName and ServiceAccountUID are set on the keys of token
	// Secrets: the account in the annotations at the time of the change. An
	// edited annotation therefore gives another key.
	ServiceAccountName string
	ServiceAccountUID  types.UID
}

// String returns key in the form "Kind namespace/name", and " of tenant name" if there
// are tenants, for logs. It leaves the UIDs out.
func (k Key) String() string {
	var b strings.Builder
	b.WriteString(k.Kind)
	b.WriteByte(' ')
	if k.Namespace != "" {
		b.WriteString(k.Namespace)
		b.WriteByte('/')
	}
	b.WriteString(k.Name)
	if k.Tenant != "" {
		b.WriteString(" of tenant ")
		b.WriteString(k.Tenant)
	}
	return b.String()
}

// LogValue returns what String does, for log/slog.
func (k Key) LogValue() slog.Value { return slog.StringValue(k.String()) }

// A Change is one change of one object, as a watch or an informer reports it.
type Change struct {
	// Tenant is the tenant that has the object. It is empty if there are no tenants.
	Tenant string
	// Type is watch.Added, watch.Modified or watch.Deleted. Every object that
	// exists when a driver starts is reported as Added.
	Type watch.EventType
	// Object is the object after the change; after a deletion it is the last
	// known state. A driver that learns of a deletion late (client-go's
	// tombstones) unwraps the object and reports it as Deleted all the same.
	Object runtime.Object
	// Old is the object before a modification, if the driver knows it. Informers
	// report an object that was deleted and created again while their watch was
	// broken as one modification, with different UIDs in Old and Object. A
	// driver that leaves Old out makes controllers miss such deletions.
	Old runtime.Object
}

// A Result says when to reconcile a key again although nothing failed.
type Result struct {
	// RequeueAfter is the time to wait. Zero means: not before the next change.
	// [Yield] means: as soon as the keys that are due by now had their turn.
	RequeueAfter time.Duration
}

// Yield is the [Result.RequeueAfter] of an attempt that ended early although
// nothing failed, because one attempt makes a bounded number of API calls: the
// next one goes on from there. It is short enough for a driver that doesn't know it.
const Yield = time.Nanosecond

// A TerminalError says that a key can't succeed until an object changes, and why:
// its field Err, which Unwrap returns, is never nil. A driver must not retry the key:
// the change makes it due again. Until then the driver should show the error to
// people, as it does with other errors.
type TerminalError = apicall.TerminalError

// IsTerminal reports whether err says that its key must not be retried until an object
// changes: it is or wraps a [*TerminalError], and if it joins several errors, each of
// them does. nil isn't terminal. A driver asks this, not [errors.As], which finds one
// terminal error beside another that a retry may help.
func IsTerminal(err error) bool {
	switch e := err.(type) {
	case *TerminalError:
		return true
	case interface{ Unwrap() error }:
		return IsTerminal(e.Unwrap())
	case interface{ Unwrap() []error }:
		errs := e.Unwrap()
		return len(errs) > 0 && !slices.ContainsFunc(errs, func(err error) bool { return !IsTerminal(err) })
	}
	return false
}

// A ConfigError is one mistake in a config struct. Constructors return all
// mistakes at once, joined: [errors.As] finds the first. Config is the struct,
// such as "sacontroller.TokensConfig", Field is the field, and Problem says what
// is wrong with it, for people. Only another config helps.
type ConfigError = configerror.Error

// CheckCABundle returns nil if data is a CA bundle that can be published: PEM
// blocks of X.509 certificates, at least one, and nothing that looks like a
// truncated block. Otherwise its error says what is wrong. Call it on the content
// of a file before using it: a file can be read while it is being written.
func CheckCABundle(data []byte) error { return cabundle.Named("sacontroller", cabundle.Check)(data) }
