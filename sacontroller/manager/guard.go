package manager

import (
	"net/http"

	"github.com/kubesa/serviceaccount/sacontroller/manager/internal/election"
)

// Guard returns a RoundTripper for the clients of the controllers, which passes
// requests on to next:
//
//	config.Wrap(manager.Guard) // a *rest.Config
//
// A request that a Reconcile call makes, as its context shows, must end within 30
// seconds and, with [LeaderElection], within what is left of the lease; the API
// server is told so by the parameter timeout of a write, in place of a longer one of
// the client. A request is refused if nothing is left, as in a process that was paused
// for longer than the lease lasts. Other requests are passed on as they are.
//
// What remains is a write that the network, or a pause of the process, holds up
// after Guard has let it pass, for longer than LeaseDuration less RenewDeadline, and
// that reaches the API server all the same. It can do no harm to an object that the
// next leader has changed: updates carry a resourceVersion, and deletes a UID.
func Guard(next http.RoundTripper) http.RoundTripper { return election.Guard{Next: next} }
