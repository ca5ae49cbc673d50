package fake

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/kubesa/serviceaccount/fake/fault"
	"github.com/kubesa/serviceaccount/fake/internal/apirules"
	"github.com/kubesa/serviceaccount/fake/internal/object"
	"github.com/kubesa/serviceaccount/fake/internal/settle"
	"github.com/kubesa/serviceaccount/fake/internal/store"
	"github.com/kubesa/serviceaccount/fake/internal/uid"
	"github.com/kubesa/serviceaccount/internal/tokensecret"
)

// Epoch is the time of a [Cluster] that has no Now: its objects are all created
// then.
var Epoch = time.Date(2026, time.January, 1, 0, 0, 0, 0, time.UTC)

// A Cluster is an API server and its storage in memory: Namespaces, Nodes,
// ServiceAccounts, Secrets, Pods, ConfigMaps and ClusterTrustBundles with the
// semantics of the real one. It implements every getter, Reader and Client interface of this module.
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

	mu      sync.Mutex
	state   store.Store
	history store.History
	uids    uid.Space
	names   uint64       // how many names were generated
	fields  FieldManager // nil: nobody owns fields
	faults  fault.Set
	actions []Action
	readers []*Reader
	watches map[*Watch]bool // those that are open

	settler settle.Settler // has a lock of its own
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
func (c *Cluster) Load(objects ...runtime.Object) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	var errs []error
	loaded := make([]object.Object, 0, len(objects))
	seen := map[string]bool{}
	for i, o := range objects {
		k := object.KindOf(o)
		if k == nil {
			errs = append(errs, fmt.Errorf("fake: object %d: got a %T, want a non-nil Namespace, Node, ServiceAccount, Secret, Pod or ConfigMap", i, o))
			continue
		}
		obj := object.DropEmpty(object.CopyOf(o.(object.Object)))
		id := k.Resource + " " + obj.GetNamespace() + "/" + obj.GetName()
		_, exists := c.state.Get(k, obj.GetNamespace(), obj.GetName())
		switch err := apirules.ValidateMetadata(k, obj); {
		case err != nil:
			errs = append(errs, fmt.Errorf("fake: object %d: %w", i, err))
		case exists || seen[id]:
			errs = append(errs, fmt.Errorf("fake: object %d: %s %q exists already", i, k.Resource, strings.TrimPrefix(obj.GetNamespace()+"/"+obj.GetName(), "/")))
		}
		seen[id] = true
		loaded = append(loaded, obj)
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	for _, o := range loaded {
		if id := o.GetUID(); id != "" {
			c.uids.Take(id)
		}
	}
	for _, o := range loaded {
		if o, ok := o.(*corev1.Namespace); ok {
			c.load(object.Namespaces, o)
		}
	}
	for _, o := range loaded {
		k := object.KindOf(o)
		if k == object.Namespaces {
			continue
		}
		if _, ok := c.state.Get(object.Namespaces, "", o.GetNamespace()); k.Namespaced && !ok {
			c.load(object.Namespaces, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: o.GetNamespace()}})
		}
		c.load(k, o)
	}
	return nil
}

func (c *Cluster) load(k *object.Kind, o object.Object) {
	phase := corev1.NamespacePhase("")
	if ns, ok := o.(*corev1.Namespace); ok {
		phase = ns.Status.Phase
		if ns.DeletionTimestamp != nil {
			phase = corev1.NamespaceTerminating
		}
	}
	var status runtime.Object
	if k.SetStatus != nil {
		status = object.CopyOf(o)
	}
	apirules.PrepareCreate(o)
	if k == object.Pods {
		k.SetStatus(o, status.(object.Object))
	}
	if ns, ok := o.(*corev1.Namespace); ok && phase != "" {
		ns.Status.Phase = phase
	}
	if o.GetUID() == "" {
		o.SetUID(c.uids.Next(c.UIDSeed))
	}
	if created := o.GetCreationTimestamp(); created.IsZero() {
		o.SetCreationTimestamp(c.now())
	}
	apirules.ClearTypeMeta(o)
	c.commit(k, o, nil)
}

// now returns the time of the cluster, as precisely as objects can say it.
func (c *Cluster) now() metav1.Time {
	if c.Now == nil {
		return metav1.NewTime(Epoch)
	}
	return metav1.NewTime(c.Now().Truncate(time.Second))
}

// nextName returns a generated name that does not exist yet.
func (c *Cluster) nextName(k *object.Kind, namespace, base string) string {
	for {
		// A multiplier that has no factor with 27^5 visits every suffix once.
		c.names++
		name := tokensecret.GeneratedName(base, c.names*8831953%14348907)
		if _, exists := c.state.Get(k, namespace, name); !exists {
			return name
		}
	}
}

// commit stores o in place of old (nil for a new object), gives it the next
// resourceVersion and tells the watchers. o belongs to the Cluster from then on.
func (c *Cluster) commit(k *object.Kind, o, old object.Object) {
	ch := &store.Change{Kind: k, Object: o, Old: old}
	o.SetResourceVersion(store.FormatRevision(c.history.Next()))
	c.state.Apply(ch)
	c.history.Append(ch)
}

// expunge removes old for good.
func (c *Cluster) expunge(k *object.Kind, old object.Object) object.Object {
	last := object.CopyOf(old)
	last.SetResourceVersion(store.FormatRevision(c.history.Next()))
	ch := &store.Change{Kind: k, Object: last, Old: old, Deleted: true}
	c.state.Apply(ch)
	c.history.Append(ch)
	return last
}

// Revision returns the resourceVersion of the last change, "0" if there was
// none.
func (c *Cluster) Revision() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return store.FormatRevision(c.history.Last())
}
