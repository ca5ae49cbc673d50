package apiserver

import (
	"context"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"

	"github.com/kubesa/serviceaccount/sacontroller"
	"github.com/kubesa/serviceaccount/sacontroller/legacytoken"
)

// How often the ConfigMap is looked at: when all is well, and after a failure.
const (
	trackingPeriod = time.Minute
	trackingRetry  = time.Second
)

// keepTracking keeps the ConfigMap until ctx is done.
func keepTracking(ctx context.Context, tracker *legacytoken.Tracker) {
	added := sacontroller.Change{Type: watch.Added, Object: &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: metav1.NamespaceSystem}}}
	for {
		pause := trackingPeriod
		for _, key := range tracker.Due(added) {
			if _, err := tracker.Reconcile(ctx, key); err != nil {
				pause = trackingRetry
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
	}
}
