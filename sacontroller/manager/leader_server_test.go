package manager_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clientset "k8s.io/client-go/kubernetes"
	fakeclientset "k8s.io/client-go/kubernetes/fake"
	typedcoordinationv1 "k8s.io/client-go/kubernetes/typed/coordination/v1"
	"k8s.io/client-go/rest"

	"github.com/kubesa/serviceaccount/sacontroller"
	"github.com/kubesa/serviceaccount/sacontroller/manager"
)

// A leaseServer is an API server with one Lease and something to write, over HTTP
// without a network. Each replica reaches it through a wire of its own.
type leaseServer struct {
	mu      sync.Mutex
	version int
	lease   *coordinationv1.Lease
	writes  []write    // that were stored
	work    []interval // Reconcile calls that have ended
}

// newLeaseServer returns a server with a Lease that is released, so that the first
// replica need not wait.
func newLeaseServer() *leaseServer {
	s := &leaseServer{lease: releasedLease("l")}
	s.lease.ResourceVersion = "0"
	return s
}

// releasedLease returns a Lease as a process leaves it whose work has ended.
func releasedLease(name string) *coordinationv1.Lease {
	lease := &coordinationv1.Lease{Spec: coordinationv1.LeaseSpec{HolderIdentity: new(""), LeaseDurationSeconds: new(int32(1))}}
	lease.Namespace, lease.Name = "kube-system", name
	return lease
}

// A write is one that was stored, by whom.
type write struct {
	by string
	at time.Time
}

// An interval is when a replica worked.
type interval struct {
	by         string
	start, end time.Time
}

// A fate is what becomes of a request.
type fate struct {
	before time.Duration // until the server looks at it, forever if it is negative
	after  time.Duration // until the answer arrives, forever if it is negative
}

// A wire is the network between one replica and the server. fate decides about each
// request; nil lets all pass.
type wire struct {
	server *leaseServer
	name   string

	mu   sync.Mutex
	fate func(req *http.Request, body []byte) fate
}

func (w *wire) break_(f func(req *http.Request, body []byte) fate) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.fate = f
}

// pause waits for d, or for ctx to be done.
func pause(ctx context.Context, d time.Duration) error {
	if d < 0 {
		<-ctx.Done()
		return ctx.Err()
	}
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// RoundTrip implements [http.RoundTripper]. What has been sent arrives whatever the
// client does meanwhile, unless the server was told by when it is too late.
func (w *wire) RoundTrip(req *http.Request) (*http.Response, error) {
	var body []byte
	if req.Body != nil {
		body, _ = io.ReadAll(req.Body)
		req.Body.Close()
	}
	if err := req.Context().Err(); err != nil {
		return nil, err
	}
	w.mu.Lock()
	f := fate{}
	if w.fate != nil {
		f = w.fate(req, body)
	}
	w.mu.Unlock()
	answer := make(chan *http.Response, 1)
	if f.before >= 0 {
		go func() {
			time.Sleep(f.before)
			if limit, err := time.ParseDuration(req.URL.Query().Get("timeout")); err == nil && f.before > limit {
				return
			}
			answer <- w.server.serve(w.name, req, body)
		}()
	}
	select {
	case resp := <-answer:
		return resp, pause(req.Context(), f.after)
	case <-req.Context().Done():
		return nil, req.Context().Err()
	}
}

// serve does what req asks for, in no time.
func (s *leaseServer) serve(by string, req *http.Request, body []byte) *http.Response {
	s.mu.Lock()
	defer s.mu.Unlock()
	if strings.HasSuffix(req.URL.Path, "/work") {
		s.writes = append(s.writes, write{by, time.Now()})
		return reply(http.StatusOK, metav1.Status{Status: metav1.StatusSuccess})
	}
	if req.Method == http.MethodGet {
		if s.lease == nil {
			return failure(http.StatusNotFound, metav1.StatusReasonNotFound)
		}
		return reply(http.StatusOK, s.lease)
	}
	var lease coordinationv1.Lease
	if err := json.Unmarshal(body, &lease); err != nil {
		return failure(http.StatusBadRequest, metav1.StatusReasonBadRequest)
	}
	switch {
	case req.Method == http.MethodPost && s.lease != nil:
		return failure(http.StatusConflict, metav1.StatusReasonAlreadyExists)
	case req.Method == http.MethodPut && s.lease == nil:
		return failure(http.StatusNotFound, metav1.StatusReasonNotFound)
	case req.Method == http.MethodPut && s.lease.ResourceVersion != lease.ResourceVersion:
		return failure(http.StatusConflict, metav1.StatusReasonConflict)
	}
	if n := lease.Spec.LeaseTransitions; n != nil && *n < 0 {
		return failure(http.StatusUnprocessableEntity, metav1.StatusReasonInvalid)
	}
	s.version++
	lease.ResourceVersion = strconv.Itoa(s.version)
	s.lease = &lease
	return reply(http.StatusOK, s.lease)
}

// edit changes the Lease as somebody with kubectl does; nil deletes it.
func (s *leaseServer) edit(change func(*coordinationv1.Lease)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if change == nil {
		s.lease = nil
		return
	}
	s.version++
	s.lease = s.lease.DeepCopy()
	s.lease.ResourceVersion = strconv.Itoa(s.version)
	change(s.lease)
}

// lastWrite returns who wrote last, and how long ago.
func (s *leaseServer) lastWrite() (by string, ago time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.writes) == 0 {
		return "nobody", 0
	}
	last := s.writes[len(s.writes)-1]
	return last.by, time.Since(last.at)
}

func reply(status int, object any) *http.Response {
	data, err := json.Marshal(object)
	if err != nil {
		panic(err)
	}
	return &http.Response{StatusCode: status, Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(bytes.NewReader(data))}
}

func failure(status int, reason metav1.StatusReason) *http.Response {
	return reply(status, metav1.Status{
		TypeMeta: metav1.TypeMeta{Kind: "Status", APIVersion: "v1"},
		Status:   metav1.StatusFailure, Code: int32(status), Reason: reason,
	})
}

// leaseClient is client-go's fake with Leases that go over a wire.
type leaseClient struct {
	*fakeclientset.Clientset
	leases clientset.Interface
}

func (c leaseClient) CoordinationV1() typedcoordinationv1.CoordinationV1Interface {
	return c.leases.CoordinationV1()
}

// A toiler works for as long as its context lets it: it writes ten times a second.
type toiler struct {
	sacontroller.Controller
	server *leaseServer
	name   string
	client *http.Client
	linger time.Duration // that it takes to end
}

func (c *toiler) Reconcile(ctx context.Context, _ sacontroller.Key) (sacontroller.Result, error) {
	start := time.Now()
	for ctx.Err() == nil {
		req, err := http.NewRequestWithContext(ctx, http.MethodPut, "http://api/work", nil)
		if err != nil {
			return sacontroller.Result{}, err
		}
		if resp, err := c.client.Do(req); err == nil {
			resp.Body.Close()
		}
		pause(ctx, 100*time.Millisecond)
	}
	time.Sleep(c.linger)
	c.server.mu.Lock()
	defer c.server.mu.Unlock()
	c.server.work = append(c.server.work, interval{c.name, start, time.Now()})
	return sacontroller.Result{}, ctx.Err()
}

// A replica is a Manager with a toiler, on a wire.
type leaseReplica struct {
	*program
	wire   *wire
	toiler *toiler
}

func newReplica(t *testing.T, s *server, leases *leaseServer, name string) *leaseReplica {
	t.Helper()
	w := &wire{server: leases, name: name}
	client, err := clientset.NewForConfigAndClient(&rest.Config{Host: "http://api", QPS: -1, ContentConfig: rest.ContentConfig{ContentType: "application/json"}}, &http.Client{Transport: w})
	if err != nil {
		t.Fatal(err)
	}
	m, err := manager.New(manager.Config{
		Client:         leaseClient{s.client, client},
		LeaderElection: &manager.LeaderElection{Namespace: "kube-system", Name: "l", Identity: name},
		// The work never ends by itself.
		ShutdownTimeout: time.Second,
	})
	if err != nil {
		t.Fatal(err)
	}
	accounts, err := sacontroller.NewServiceAccounts(sacontroller.ServiceAccountsConfig{Reader: m.Reader(), Client: s})
	if err != nil {
		t.Fatal(err)
	}
	c := &toiler{Controller: accounts, server: leases, name: name, client: &http.Client{Transport: manager.Guard(w)}}
	if err := m.Add(c, manager.Options{Watch: []manager.Resource{manager.Namespaces}}); err != nil {
		t.Fatal(err)
	}
	return &leaseReplica{&program{Manager: m, done: make(chan error, 1)}, w, c}
}

// overlap returns for how long both worked, and how many writes of the one were
// stored after the first of the other.
func (s *leaseServer) overlap() (both time.Duration, late int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, a := range s.work {
		for _, b := range s.work[i+1:] {
			start, end := a.start, a.end
			if b.start.After(start) {
				start = b.start
			}
			if b.end.Before(end) {
				end = b.end
			}
			if a.by != b.by && end.After(start) {
				both += end.Sub(start)
			}
		}
	}
	second := ""
	for _, w := range s.writes {
		if second == "" && w.by != s.writes[0].by {
			second = w.by
		}
		if second != "" && w.by != second {
			late++
		}
	}
	return both, late
}
