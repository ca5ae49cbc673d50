package legacytoken_test

import (
	"context"
	"reflect"
	"testing"

	"k8s.io/apimachinery/pkg/runtime"

	"github.com/kubesa/serviceaccount/sacontroller"
	"github.com/kubesa/serviceaccount/sacontroller/internal/satest"
	"github.com/kubesa/serviceaccount/sacontroller/legacytoken"
)

// Every method of every Reader and Client may return nothing and no error.
func TestNothingIsAnError(t *testing.T) {
	since := satest.Tracking(map[string]string{"since": "2020-01-01"})
	satest.Nothing(t, []satest.NothingCase{
		{
			Name:   "Cleaner",
			Reader: reflect.TypeFor[legacytoken.CleanerReader](), Client: reflect.TypeFor[legacytoken.CleanerClient](),
			Worlds: [][]runtime.Object{satest.Objects(satest.Active("ns"), since, satest.AccountListing("token-secret-1"), satest.Unused(nil))},
			Keys:   []sacontroller.Key{satest.TrackingKey},
			Controller: func(reader, client satest.Silent, note func(error)) sacontroller.Controller {
				return newCleaner(t, client.Cluster, func(cfg *legacytoken.CleanerConfig) {
					cfg.Reader, cfg.Client = reader, client
					cfg.Observe = func(_ context.Context, e legacytoken.Event) {
						for _, d := range e.Report.Decisions {
							note(d.Err)
						}
					}
				})
			},
		},
		{
			Name:   "Tracker",
			Reader: reflect.TypeFor[legacytoken.TrackerReader](), Client: reflect.TypeFor[legacytoken.TrackerClient](),
			Worlds: [][]runtime.Object{satest.Objects(satest.Active("kube-system")), satest.Objects(satest.Tracking(nil))},
			Keys:   []sacontroller.Key{satest.TrackingKey},
			Controller: func(reader, client satest.Silent, _ func(error)) sacontroller.Controller {
				return satest.Must(legacytoken.NewTracker(legacytoken.TrackerConfig{Reader: reader, Client: client}))
			},
		},
	})
}
