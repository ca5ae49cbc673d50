package manager_test

import (
	"bytes"
	"errors"
	"math"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubesa/serviceaccount/sacontroller/manager"
)

func isLease(req *http.Request) bool { return strings.Contains(req.URL.Path, "/leases") }

// isRelease reports whether body gives the lease away.
func isRelease(req *http.Request, body []byte) bool {
	return isLease(req) && req.Method == http.MethodPut && !bytes.Contains(body, []byte(`"holderIdentity":"a"`))
}

// forever is a request that doesn't arrive, or an answer.
const forever = -1

// C14, DESIGN 5: two replicas never work at once, and no write of the first is stored
// once the second works, whatever becomes of the requests for the Lease. The second
// takes over all the same.
func TestNeverTwoLeaders(t *testing.T) {
	leases := func(f fate) func(*http.Request, []byte) fate {
		return func(req *http.Request, _ []byte) fate {
			if isLease(req) {
				return f
			}
			return fate{}
		}
	}
	methods := func(method string, f fate) func(*http.Request, []byte) fate {
		return func(req *http.Request, _ []byte) fate {
			if isLease(req) && req.Method == method {
				return f
			}
			return fate{}
		}
	}
	release := func(f fate) func(*http.Request, []byte) fate {
		return func(req *http.Request, body []byte) fate {
			if isRelease(req, body) {
				return f
			}
			return fate{}
		}
	}
	tests := []struct {
		name   string
		fate   func(*http.Request, []byte) fate
		stop   bool          // the first replica is told to stop
		linger time.Duration // that its work takes to end
		delete bool          // somebody deletes the Lease
		edit   func(*coordinationv1.Lease)
		second func(*http.Request, []byte) fate // of the second replica
		keeps  bool                             // the lease isn't lost
	}{
		{name: "partition", fate: func(*http.Request, []byte) fate { return fate{before: forever} }},
		{name: "no lease requests arrive", fate: leases(fate{before: forever})},
		{name: "no answers about the lease", fate: leases(fate{after: forever})},
		{name: "renewals arrive late", fate: methods(http.MethodPut, fate{before: 14 * time.Second})},
		{name: "answers to renewals are late", fate: methods(http.MethodPut, fate{after: 14 * time.Second})},
		{name: "answers to renewals are slow", fate: methods(http.MethodPut, fate{after: 3 * time.Second}), keeps: true},
		{name: "renewals are slow", fate: methods(http.MethodPut, fate{before: 3 * time.Second}), keeps: true},
		{name: "reads hang", fate: methods(http.MethodGet, fate{before: forever}), keeps: true},
		{name: "work ends slowly", fate: leases(fate{before: forever}), linger: 3900 * time.Millisecond},
		{name: "writes are stored late", fate: func(req *http.Request, _ []byte) fate {
			if isLease(req) {
				return fate{before: forever}
			}
			return fate{before: 14 * time.Second}
		}},
		{name: "deleted in a partition", fate: func(*http.Request, []byte) fate { return fate{before: forever} }, delete: true},
		{name: "deleted", delete: true, keeps: true},
		{name: "deleted, reads fail", delete: true, second: methods(http.MethodGet, fate{before: 2900 * time.Millisecond}), keeps: true},
		{name: "takeover stored, answer slow", fate: leases(fate{before: forever}), second: methods(http.MethodPut, fate{after: 3 * time.Second})},
		{name: "takeover slow", fate: leases(fate{before: forever}), second: leases(fate{before: 1500 * time.Millisecond, after: 1500 * time.Millisecond})},
		{name: "holder cleared", edit: func(l *coordinationv1.Lease) { l.Spec.HolderIdentity = nil }},
		{name: "holder cleared in a partition", fate: leases(fate{before: forever}), edit: func(l *coordinationv1.Lease) { l.Spec.HolderIdentity = new("") }},
		{name: "nothing in it, in a partition", fate: leases(fate{before: forever}), edit: func(l *coordinationv1.Lease) { l.Spec = coordinationv1.LeaseSpec{} }},
		{name: "no duration, in a partition", fate: leases(fate{before: forever}), edit: func(l *coordinationv1.Lease) { l.Spec.LeaseDurationSeconds = nil }},
		{name: "one second, in a partition", fate: leases(fate{before: forever}), edit: func(l *coordinationv1.Lease) { l.Spec.LeaseDurationSeconds = new(int32(1)) }},
		{name: "no duration", edit: func(l *coordinationv1.Lease) { l.Spec.LeaseDurationSeconds = nil }, keeps: true},
		{name: "long ago", edit: func(l *coordinationv1.Lease) { l.Spec.RenewTime = &metav1.MicroTime{} }, keeps: true},
		{name: "renewed in the year 9999, in a partition", fate: leases(fate{before: forever}), edit: func(l *coordinationv1.Lease) {
			l.Spec.RenewTime = new(metav1.NewMicroTime(time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)))
		}},
		{name: "as many holders as can be", fate: leases(fate{before: forever}), edit: func(l *coordinationv1.Lease) { l.Spec.LeaseTransitions = new(int32(math.MaxInt32)) }},
		{name: "given to nobody there is", edit: func(l *coordinationv1.Lease) { l.Spec.HolderIdentity = new("c") }},
		{name: "given to the second one", edit: func(l *coordinationv1.Lease) { l.Spec.HolderIdentity = new("b") }},
		{name: "release", stop: true},
		{name: "release, work ends slowly", stop: true, linger: 4 * time.Second},
		{name: "release stored, answer slow", fate: release(fate{after: 10 * time.Second}), stop: true},
		{name: "release stored, answer lost", fate: release(fate{after: forever}), stop: true, linger: time.Second},
		{name: "release arrives late", fate: release(fate{before: 4 * time.Second}), stop: true},
		{name: "release doesn't arrive", fate: release(fate{before: forever}), stop: true},
		{name: "stop in a partition", fate: func(*http.Request, []byte) fate { return fate{before: forever} }, stop: true, linger: 4 * time.Second},
	}
	for _, tt := range tests {
		// The fault begins at any point of the holder's rhythm.
		for _, offset := range []time.Duration{0, 700, 1400, 2100} {
			t.Run(tt.name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					s, server := newServer(active("ns")), newLeaseServer()
					a, b := newReplica(t, s, server, "a"), newReplica(t, s, server, "b")
					a.toiler.linger = tt.linger
					a.start(t)
					time.Sleep(time.Second)
					b.start(t)
					time.Sleep(20*time.Second + offset*time.Millisecond)
					began := time.Now()
					a.wire.break_(tt.fate)
					if tt.delete {
						server.edit(nil)
					}
					if tt.edit != nil {
						server.edit(tt.edit)
					}
					b.wire.break_(tt.second)
					if tt.stop {
						a.cancel()
					}
					time.Sleep(time.Minute)
					holder := map[bool]string{true: "a", false: "b"}[tt.keeps]
					if by, ago := server.lastWrite(); by != holder || ago > time.Second {
						t.Errorf("a minute later %s wrote last, %v ago, want %s at work", by, ago, holder)
					}
					select {
					case err := <-a.done:
						if lost := errors.Is(err, manager.ErrLeadershipLost); lost == tt.stop && !(tt.stop && lost) {
							t.Errorf("Run() = %v", err)
						}
						a.done <- err
					default:
						if !tt.keeps {
							t.Error("the first replica still runs")
						}
					}
					if tt.keeps {
						a.wire.break_(nil)
						a.stop() //nolint:errcheck // the intervals count
					}
					b.stop()                //nolint:errcheck // the intervals count
					time.Sleep(time.Minute) // what is on its way arrives
					if both, late := server.overlap(); both != 0 || late != 0 {
						t.Errorf("both worked for %v, and %d writes came too late, want none; the fault began at %v, they worked %v", both, late, began, server.work)
					}
				})
			})
		}
	}
}

// C14, DESIGN 5: a process that starts while another one works waits for that one,
// although somebody has deleted the Lease, or both have the same identity. Nobody waits
// for a process that has released the Lease.
func TestNeverTwoLeadersAfterAStart(t *testing.T) {
	hangs := func(*http.Request, []byte) fate { return fate{before: forever} }
	tests := []struct {
		name     string
		fate     func(*http.Request, []byte) fate // of the first replica
		stop     bool                             // the first replica, before the second starts
		delete   bool
		identity string        // of the second replica
		first    bool          // is the one that works in the end
		within   time.Duration // the second one works
	}{
		{name: "other", identity: "b", first: true},
		{name: "deleted", delete: true, identity: "b", first: true},
		{name: "deleted in a partition", fate: hangs, delete: true, identity: "b"},
		{name: "same identity", identity: "a", first: true},
		{name: "same identity in a partition", fate: hangs, identity: "a"},
		{name: "same identity, deleted", delete: true, identity: "a", first: true},
		{name: "same identity, deleted in a partition", fate: hangs, delete: true, identity: "a"},
		{name: "released", stop: true, identity: "b", within: time.Second},
		{name: "released by the same identity", stop: true, identity: "a", within: time.Second},
	}
	for _, tt := range tests {
		for _, offset := range []time.Duration{0, 700, 1400, 2100} {
			t.Run(tt.name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					s, server := newServer(active("ns")), newLeaseServer()
					a, b := newReplica(t, s, server, "a"), newReplica(t, s, server, tt.identity)
					b.wire.name, b.toiler.name = "second", "second"
					a.start(t)
					time.Sleep(20*time.Second + offset*time.Millisecond)
					a.wire.break_(tt.fate)
					if tt.stop {
						a.stop() //nolint:errcheck // the intervals count
					}
					if tt.delete {
						server.edit(nil)
					}
					b.start(t)
					if tt.within > 0 {
						time.Sleep(tt.within)
						if by, _ := server.lastWrite(); by != "second" {
							t.Errorf("%s wrote last, want the second process at work after %v", by, tt.within)
						}
					}
					time.Sleep(time.Minute)
					by, ago := server.lastWrite()
					if want := map[bool]string{true: "a", false: "second"}[tt.first]; by != want || ago > time.Second {
						t.Errorf("a minute later %s wrote last, %v ago, want %s at work", by, ago, want)
					}
					a.wire.break_(nil)
					if !tt.stop {
						a.stop() //nolint:errcheck // the intervals count
					}
					b.stop() //nolint:errcheck // the intervals count
					time.Sleep(time.Minute)
					if both, late := server.overlap(); both != 0 || late != 0 {
						t.Errorf("both worked for %v, and %d writes came too late, want none; they worked %v", both, late, server.work)
					}
				})
			})
		}
	}
}
