package manager_test

import (
	"bytes"
	"errors"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

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
		keeps  bool          // the lease isn't lost
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
					s, server := newServer(active("ns")), &leaseServer{}
					a, b := newReplica(t, s, server, "a"), newReplica(t, s, server, "b")
					a.toiler.linger = tt.linger
					a.start(t)
					b.start(t)
					time.Sleep(20*time.Second + offset*time.Millisecond)
					began := time.Now()
					a.wire.break_(tt.fate)
					if tt.delete {
						server.mu.Lock()
						server.lease = nil
						server.mu.Unlock()
					}
					if tt.stop {
						a.cancel()
					}
					time.Sleep(time.Minute)
					holder := map[bool]string{true: "a", false: "b"}[tt.keeps]
					server.mu.Lock()
					last := server.writes[len(server.writes)-1]
					server.mu.Unlock()
					if last.by != holder || time.Since(last.at) > time.Second {
						t.Errorf("a minute later %s wrote last, %v ago, want %s at work", last.by, time.Since(last.at), holder)
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
