package election

import (
	"context"
	"encoding/json"
	"strconv"
	"sync"
	"testing"

	coordinationv1 "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	typedcoordinationv1 "k8s.io/client-go/kubernetes/typed/coordination/v1"
)

var leases = coordinationv1.Resource("leases")

// A server is an API server with the Lease kube-system/l.
type server struct {
	mu      sync.Mutex
	version int
	lease   *coordinationv1.Lease
}

// edit changes the Lease as somebody with kubectl does, who creates it if need be; nil
// deletes it.
func (s *server) edit(change func(*coordinationv1.LeaseSpec)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if change == nil {
		s.lease = nil
		return
	}
	edited := &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Namespace: "kube-system", Name: "l"}}
	if s.lease != nil {
		edited = s.lease.DeepCopy()
	}
	change(&edited.Spec)
	s.store(edited)
}

// spec returns what the Lease says.
func (s *server) spec() coordinationv1.LeaseSpec {
	s.mu.Lock()
	defer s.mu.Unlock()
	return *s.lease.Spec.DeepCopy()
}

// holder returns who holds the Lease.
func (s *server) holder() string { return *s.spec().HolderIdentity }

// store stores lease as JSON has it: with microseconds.
func (s *server) store(lease *coordinationv1.Lease) *coordinationv1.Lease {
	s.version++
	lease.ResourceVersion = strconv.Itoa(s.version)
	data, err := json.Marshal(lease)
	if err != nil {
		panic(err)
	}
	s.lease = &coordinationv1.Lease{}
	if err := json.Unmarshal(data, s.lease); err != nil {
		panic(err)
	}
	return s.lease.DeepCopy()
}

// A wire is the way of one process to a server.
type wire struct {
	typedcoordinationv1.LeaseInterface // whose other methods nobody calls
	server                             *server

	mu       sync.Mutex
	before   func(ctx context.Context, verb string) error // of each request; nil lets all pass
	after    func(ctx context.Context, verb string) error // of each answer
	contexts []context.Context                            // of all requests
}

type fault func(ctx context.Context, verb string) error

func (w *wire) break_(before, after fault) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.before, w.after = before, after
}

func (w *wire) call(ctx context.Context, verb string, serve func() (*coordinationv1.Lease, error)) (*coordinationv1.Lease, error) {
	w.mu.Lock()
	before, after := w.before, w.after
	w.contexts = append(w.contexts, ctx)
	w.mu.Unlock()
	if before != nil {
		if err := before(ctx, verb); err != nil {
			return nil, err
		}
	}
	w.server.mu.Lock()
	lease, err := serve()
	w.server.mu.Unlock()
	if after != nil {
		if err := after(ctx, verb); err != nil {
			return nil, err
		}
	}
	return lease, err
}

// ended fails t unless the contexts of all requests are done.
func (w *wire) ended(t *testing.T) {
	t.Helper()
	for _, ctx := range w.contexts {
		if ctx.Err() == nil {
			t.Error("the context of a request goes on after its answer")
		}
	}
}

func (w *wire) Get(ctx context.Context, name string, _ metav1.GetOptions) (*coordinationv1.Lease, error) {
	return w.call(ctx, "get", func() (*coordinationv1.Lease, error) {
		if w.server.lease == nil || w.server.lease.Name != name {
			return nil, apierrors.NewNotFound(leases, name)
		}
		return w.server.lease.DeepCopy(), nil
	})
}

func (w *wire) Create(ctx context.Context, lease *coordinationv1.Lease, _ metav1.CreateOptions) (*coordinationv1.Lease, error) {
	return w.call(ctx, "create", func() (*coordinationv1.Lease, error) {
		if w.server.lease != nil {
			return nil, apierrors.NewAlreadyExists(leases, lease.Name)
		}
		return w.server.store(lease.DeepCopy()), nil
	})
}

func (w *wire) Update(ctx context.Context, lease *coordinationv1.Lease, _ metav1.UpdateOptions) (*coordinationv1.Lease, error) {
	return w.call(ctx, "update", func() (*coordinationv1.Lease, error) {
		switch {
		case w.server.lease == nil:
			return nil, apierrors.NewNotFound(leases, lease.Name)
		case w.server.lease.ResourceVersion != lease.ResourceVersion:
			return nil, apierrors.NewConflict(leases, lease.Name, nil)
		}
		return w.server.store(lease.DeepCopy()), nil
	})
}

// clients is a kubernetes.Interface of a wire.
type clients struct {
	kubernetes.Interface
	typedcoordinationv1.CoordinationV1Interface
	wire *wire
}

func (c clients) CoordinationV1() typedcoordinationv1.CoordinationV1Interface { return c }

func (c clients) Leases(namespace string) typedcoordinationv1.LeaseInterface {
	if namespace != "kube-system" {
		panic(namespace)
	}
	return c.wire
}
