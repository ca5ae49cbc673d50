package sacontroller

import (
	"context"
	"time"
)

// ReconcileAs returns the Reconcile of c with another type of result, which result
// makes of the time after which to look again; zero means that there is none. So a
// Controller fits frameworks whose reconcilers return a result of their own, for
// example controller-runtime's, where Due belongs into the event handlers:
//
//	reconcile.TypedFunc[sacontroller.Key](sacontroller.ReconcileAs(c, func(after time.Duration) reconcile.Result {
//		return reconcile.Result{RequeueAfter: after}
//	}))
func ReconcileAs[R any](c Controller, result func(requeueAfter time.Duration) R) func(context.Context, Key) (R, error) {
	return func(ctx context.Context, key Key) (R, error) {
		r, err := c.Reconcile(ctx, key)
		return result(r.RequeueAfter), err
	}
}
