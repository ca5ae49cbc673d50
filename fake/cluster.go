package fake

import (
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/runtime"

	"github.com/kubesa/serviceaccount/fake/fault"
	"github.com/kubesa/serviceaccount/fake/internal/server"
	"github.com/kubesa/serviceaccount/fake/internal/settle"
)

// Epoch is the time of a [Cluster] that has no Now: its objects are all created
// then.
var Epoch = time.Date(2026, time.January, 1, 0, 0, 0, 0, time.UTC)

// A Cluster is an API server and its storage in memory: Namespaces, Nodes,
// ServiceAccounts, Secrets, Pods, ConfigMaps and ClusterTrustBundles with the
// semantics of the real one. It implements every getter, Reader and Client interface of
// this module.
//
// What is about an object that doesn't exist is NotFound. An object that is sent for an
// update is a Conflict if its resourceVersion or UID isn't the stored one, if it has one,
// and so are patches with such metadata and deletes with such preconditions.
//
// The zero value is an empty cluster, without any Namespace. Objects are copied
// in and out, so neither side can change the other's. Nothing depends on a
// clock, and but for UIDs nothing on chance: the same calls give the same
// resourceVersions, generated names and errors every time. With a UIDSeed they give
// the same UIDs, and what is derived from them, like the names of generated token
// Secrets.
//
// A Cluster is safe for concurrent use, and must not be copied.
type Cluster struct {
	// Now tells the time for creationTimestamp and deletionTimestamp. If nil,
	// it is always [Epoch]. Set it before the first use.
	Now func() time.Time

	// UIDSeed, if not 0, makes UIDs repeatable: Clusters with the same seed give the
	// same ones. If it is 0, no other Cluster gives the UIDs that this one gives, in
	// this process or another. Set it before the first use:
	//
	//	cluster := &fake.Cluster{UIDSeed: 1}
	//	err := cluster.Load(objects...)
	UIDSeed uint64

	start   sync.Once
	server  *server.Server // what api returns
	settler settle.Settler
}

// api returns the API server of c.
func (c *Cluster) api() *server.Server {
	c.start.Do(func() {
		clock := func() time.Time {
			if c.Now == nil {
				return Epoch
			}
			return c.Now()
		}
		c.server = server.New(clock, func() uint64 { return c.UIDSeed })
	})
	return c.server
}

// New returns a Cluster that holds copies of objects. It is for literals in
// tests: it panics where [Cluster.Load] returns an error.
func New(objects ...runtime.Object) *Cluster {
	c := new(Cluster)
	if err := c.Load(objects...); err != nil {
		panic(err)
	}
	return c
}

// Load stores copies of objects as they are, like a backup that is put back: it
// keeps their UID, creationTimestamp, deletionTimestamp and status, and fills
// in what is missing as a create would. Specs are not validated, and nothing is
// recorded in [Cluster.Actions]. Namespaces that objects name but that don't
// exist are created, active.
//
// The error names every object that can't be stored, because of its type, its
// metadata or because it exists already; then nothing is stored.
func (c *Cluster) Load(objects ...runtime.Object) error { return c.api().Load(objects...) }

// Revision returns the resourceVersion of the last change, "0" if there was
// none.
func (c *Cluster) Revision() string { return c.api().Revision() }

// Inject adds a fault to the calls of c, [fault.Set.Inject] says how. It panics if
// f is nil.
func (c *Cluster) Inject(f *fault.Fault) { c.api().Faults.Inject(f) }

// ClearFaults removes all faults: the cluster has recovered.
func (c *Cluster) ClearFaults() { c.api().Faults.Clear() }

// Unfired returns the faults that were injected but never fired, cleared ones
// included. A test whose fault didn't fire has not tested it:
//
//	if unfired := cluster.Unfired(); len(unfired) > 0 {
//		t.Errorf("faults that never fired: %v", unfired)
//	}
func (c *Cluster) Unfired() []*fault.Fault { return c.api().Faults.Unfired() }
