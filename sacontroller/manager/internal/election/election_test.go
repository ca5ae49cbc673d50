package election

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	"k8s.io/client-go/tools/leaderelection"
)

// A process is one of an Election, whose work goes on until it is told to end.
type process struct {
	*Election
	wire   *wire
	log    bytes.Buffer // read it after done
	cancel context.CancelFunc
	leads  atomic.Bool
	done   chan error
}

type valueKey struct{}

// start starts a process whose work returns err in the end.
func start(t *testing.T, s *server, identity string, err error) *process {
	t.Helper()
	p := &process{wire: &wire{server: s}, done: make(chan error, 1)}
	cfg := Config{Namespace: "kube-system", Name: "l", Identity: identity}.WithDefaults()
	var newErr error
	if p.Election, newErr = New(&cfg, clients{wire: p.wire}, slog.New(slog.NewTextHandler(&p.log, nil))); newErr != nil {
		t.Fatal(newErr)
	}
	ctx, cancel := context.WithCancel(context.WithValue(t.Context(), valueKey{}, identity))
	p.cancel = cancel
	go func() {
		p.done <- p.Run(ctx, func(ctx, work context.Context) error {
			p.leads.Store(true)
			defer p.leads.Store(false)
			if work.Value(valueKey{}) != identity {
				t.Error("the context of the work lacks the values of the context of Run")
			}
			select {
			case <-ctx.Done():
			case <-work.Done():
			}
			return err
		})
	}()
	return p
}

func give(s *coordinationv1.LeaseSpec) {
	s.HolderIdentity, s.LeaseDurationSeconds = new(""), new(int32(1))
}

// C14: one process works at a time, and hands the Lease over when its work has ended.
func TestRunHandsOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &server{}
		s.edit(give)
		a := start(t, s, "a", nil)
		time.Sleep(time.Second)
		b := start(t, s, "b", nil)
		time.Sleep(time.Minute)
		if left := a.Remaining(); !a.leads.Load() || b.leads.Load() || left < 6*time.Second || left > 10*time.Second || b.Remaining() > 0 {
			t.Fatalf("a leads: %v, for %v, b leads: %v, for %v; want a only", a.leads.Load(), left, b.leads.Load(), b.Remaining())
		}
		if err := errors.Join(a.Healthy(), b.Healthy()); err != nil {
			t.Error(err)
		}
		held := s.spec()
		if *held.HolderIdentity != "a" || *held.LeaseDurationSeconds != 15 || *held.LeaseTransitions != 1 {
			t.Errorf("the Lease has %v, want the first holder, a", held)
		}
		a.cancel()
		if err := <-a.done; err != nil {
			t.Errorf("Run() = %v", err)
		}
		left := s.spec()
		if *left.HolderIdentity != "" || *left.LeaseDurationSeconds != 1 || *left.LeaseTransitions != 1 || !left.AcquireTime.Equal(held.AcquireTime) {
			t.Errorf("the Lease has %v, want it released and otherwise as it was", left)
		}
		if a.Remaining() > 0 {
			t.Error("a may work on after Run")
		}
		time.Sleep(5 * time.Second) // it looks every 2 to 4.4 s
		if !b.leads.Load() || *s.spec().LeaseTransitions != 2 {
			t.Errorf("b leads: %v, want it at work, the second holder", b.leads.Load())
		}
		b.cancel()
		<-b.done
		a.wire.ended(t)
		b.wire.ended(t)
	})
}

// C14: how the work ends is what Run returns, and decides what becomes of the Lease.
func TestRunEnds(t *testing.T) {
	work, down, stuck := errors.New("of the work"), errors.New("connection refused"), &StuckError{Names: []string{"tokens"}}
	fails := func(verbs ...string) fault {
		return func(_ context.Context, verb string) error {
			if strings.Contains(strings.Join(verbs, " "), verb) {
				return down
			}
			return nil
		}
	}
	all := fails("get", "create", "update")
	deaf := func(context.Context, string) error {
		time.Sleep(time.Minute)
		return down
	}
	tests := []struct {
		name    string
		first   string // who holds the Lease at first
		returns error  // what the work returns
		fault   fault  // of what the process sends, from then on
		edit    func(*coordinationv1.LeaseSpec)
		cancel  bool
		within  time.Duration // Run returns
		want    []error
		text    string // of the last of the errors, if any
		holder  string
		renewed bool   // a minute later the Lease still is
		log     string // a part of it
	}{
		{name: "work ends", cancel: true},
		{name: "work fails", returns: work, cancel: true, want: []error{work}, text: "of the work"},
		{name: "told to stop while it waits", first: "c", cancel: true, holder: "c"},
		{name: "no renewals", returns: work, fault: all, within: 10 * time.Second, want: []error{ErrLost, work}, text: "lease was lost", holder: "a"},
		{name: "another's", edit: func(l *coordinationv1.LeaseSpec) { l.HolderIdentity = new("c") }, within: 5 * time.Second, want: []error{ErrLost}, text: "lease was lost", holder: "c"},
		{name: "work is stuck", returns: stuck, cancel: true, want: []error{stuck}, text: `manager: ["tokens"] did not finish in time`, holder: "a", renewed: true},
		{name: "work is stuck without a lease", returns: stuck, fault: all, within: 10 * time.Second, want: []error{ErrLost, stuck}, holder: "a"},
		{name: "work and client are stuck", returns: stuck, fault: deaf, within: 10 * time.Second, want: []error{ErrLost, stuck}, holder: "a"},
		{name: "client is stuck", returns: work, fault: deaf, within: 16 * time.Second, want: []error{ErrLost, work}, text: `["leader election"] did not finish`, holder: "a"},
		{name: "release is not read", cancel: true, fault: fails("get"), holder: "a", log: "The lease was not released"},
		{name: "release is not stored", cancel: true, fault: fails("update"), holder: "a", log: "connection refused"},
		{name: "another's at the release", cancel: true, edit: func(l *coordinationv1.LeaseSpec) { l.HolderIdentity = new("c") }, holder: "c"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &server{}
				s.edit(give)
				if tt.first != "" {
					s.edit(func(l *coordinationv1.LeaseSpec) {
						l.HolderIdentity, l.LeaseDurationSeconds = &tt.first, new(int32(3600))
					})
				}
				p := start(t, s, "a", tt.returns)
				time.Sleep(20*time.Second + 300*time.Millisecond)
				if p.leads.Load() != (tt.first == "") {
					t.Fatalf("works: %v", p.leads.Load())
				}
				p.wire.break_(tt.fault, nil)
				if tt.edit != nil {
					s.edit(tt.edit)
				}
				began := time.Now()
				if tt.cancel {
					p.cancel()
				}
				err := <-p.done
				if took := time.Since(began); took > tt.within {
					t.Errorf("Run() took %v, want at most %v", took, tt.within)
				}
				for _, want := range tt.want {
					if !errors.Is(err, want) {
						t.Errorf("Run() = %v, want %v", err, want)
					}
				}
				if (err == nil) != (tt.want == nil) || err != nil && !strings.Contains(err.Error(), tt.text) {
					t.Errorf("Run() = %v, want %q", err, tt.text)
				}
				if log := p.log.String(); !strings.Contains(log, tt.log) || (log == "") != (tt.log == "") {
					t.Errorf("the log has %q, want %q", log, tt.log)
				}
				p.wire.break_(nil, nil)
				time.Sleep(time.Minute)
				if s.holder() != tt.holder {
					t.Errorf("the holder is %q, want %q", s.holder(), tt.holder)
				}
				if at := s.spec().RenewTime; at != nil && (time.Since(at.Time) < 3*time.Second) != tt.renewed {
					t.Errorf("renewed at %v, now it is %v; want it still renewed: %v", at, time.Now(), tt.renewed)
				}
				if err := p.Healthy(); (err == nil) != (tt.renewed || tt.first != "") {
					t.Errorf("Healthy() = %v, want an error if the lease was held and is not renewed", err)
				}
				p.cancel()
				p.stop()
			})
		})
	}
}

// The process ends itself within what Grace leaves of a lease that was lost.
func TestGrace(t *testing.T) {
	p := start(t, &server{}, "a", nil)
	p.cancel()
	<-p.done
	if got := p.Grace(); got != 4*time.Second {
		t.Errorf("Grace() = %v, want 4/5 of the 5 s between the RenewDeadline and the end of the lease", got)
	}
}

// names notes of which elections client-go has metrics.
type names chan string

var called = make(names, 1) // client-go takes one provider for good

func (n names) NewLeaderMetric() leaderelection.LeaderMetric { return n }
func (n names) On(string)                                    {}
func (n names) Off(name string) {
	select {
	case n <- name:
	default: // of the elections of other tests
	}
}
func (n names) SlowpathExercised(string) {}

// A mistake of client-go's is an error; its metrics, which a program may have, are
// called as the Lease.
func TestNew(t *testing.T) {
	if e, err := New(&Config{Namespace: "kube-system", Name: "l"}, clients{wire: &wire{}}, slog.New(slog.DiscardHandler)); err == nil || !strings.HasPrefix(err.Error(), "manager: LeaderElection: ") {
		t.Errorf("New() without an Identity = %v, %v, want an error", e, err)
	}
	leaderelection.SetProvider(called)
	select {
	case <-called:
	default:
	}
	cfg := Config{Namespace: "kube-system", Name: "l", Identity: "a"}.WithDefaults()
	if _, err := New(&cfg, clients{wire: &wire{}}, slog.New(slog.DiscardHandler)); err != nil {
		t.Fatal(err)
	}
	if name := <-called; name != "l" {
		t.Errorf("client-go's metrics are called %q, want l", name)
	}
}
