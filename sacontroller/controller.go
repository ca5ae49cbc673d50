package sacontroller

import (
	"context"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
)

// A Controller keeps part of a cluster in order. It starts nothing by itself:
// a driver tells it what changed, collects the keys that are due, and calls
// Reconcile for each. fake.Cluster.Settle, the manager module and a caller's
// own loop are such drivers.
//
// Every Controller of this package is safe for concurrent use. A driver must
// not reconcile one key twice at the same time; different keys may run in
// parallel.
type Controller interface {
	// Name returns the controller's name as Kubernetes spells it (CST-20).
	Name() string

	// Due returns the keys that event makes due. It is pure: it reads only
	// event, does no I/O and keeps nothing. An event that the controller
	// doesn't care for, and an object of an unexpected type, gives no keys.
	Due(event Event) []Key

	// Reconcile brings what key names into its desired state. It is
	// idempotent. An error means: try this key again later, with back-off, and
	// never give up; Result says when to look again although nothing failed.
	Reconcile(ctx context.Context, key Key) (Result, error)
}

// A Resyncer is a Controller whose keys can become due without an event: its
// CA bundle was changed, or its opinion of the tokens that exist. A driver
// should then report every object as Added once more.
type Resyncer interface {
	Controller

	// Resync returns the channel that receives a value each time that is due.
	// It is always the same one, is never closed, and holds at most one value.
	Resync() <-chan struct{}
}

// A Key names one piece of work. Keys are comparable: equal keys that are due
// at the same time are one piece of work.
type Key struct {
	Kind      string // "Namespace", "ServiceAccount", "Secret" or "ConfigMap"
	Namespace string // empty for cluster-scoped kinds
	Name      string
	UID       types.UID

	// ServiceAccountName and ServiceAccountUID are set on the keys of token
	// Secrets: the account that the annotations named at the time of the event,
	// so that an edited annotation makes a key of its own (CTL-4).
	ServiceAccountName string
	ServiceAccountUID  types.UID
}

// String returns key in the form Kind namespace/name, for logs. It leaves the
// UIDs out.
func (k Key) String() string {
	var b strings.Builder
	b.WriteString(k.Kind)
	b.WriteByte(' ')
	if k.Namespace != "" {
		b.WriteString(k.Namespace)
		b.WriteByte('/')
	}
	b.WriteString(k.Name)
	return b.String()
}

// An Event is one change of one object, as a watch or an informer reports it.
type Event struct {
	// Type is watch.Added, watch.Modified or watch.Deleted. Every object that
	// exists when a driver starts is reported as Added.
	Type watch.EventType
	// Object is the object after the change; after a deletion it is the last
	// known state. A driver that learns of a deletion late (client-go's
	// tombstones) unwraps it and reports it as Deleted all the same (CTL-7).
	Object runtime.Object
	// Old is the object before a modification, if the driver knows it. Informers
	// report an object that was deleted and created again while their watch was
	// broken as one modification, with another UID in Old than in Object: a
	// driver that leaves Old out makes controllers miss such a deletion.
	Old runtime.Object
}

// A Result says when to reconcile a key again although nothing failed.
type Result struct {
	// RequeueAfter is the time to wait. Zero means: not before the next event.
	RequeueAfter time.Duration
}
