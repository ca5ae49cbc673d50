package manager

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kubesa/serviceaccount/sacontroller"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	clientset "k8s.io/client-go/kubernetes/fake"
)

// Attempt 1, 2, 4, 8 … is a warning, and from the eighth on an Event of the Secret that
// is meant, if there still is one, and it isn't too late.
func TestFailed(t *testing.T) {
	failure := strings.Repeat("ä", 600) // 1,200 bytes
	for _, tt := range []struct {
		name     string
		attempts int
		kind     string // Secret if empty
		uid      types.UID
		tenant   string
		secret   string // whose key it is
		stopped  bool
		level    string
		event    bool
	}{
		{name: "not to be retried", level: "WARN", event: true},
		{name: "first", attempts: 1, level: "WARN"},
		{name: "second", attempts: 2, level: "WARN"},
		{name: "third", attempts: 3, level: "DEBUG"},
		{name: "fourth", attempts: 4, level: "WARN"},
		{name: "seventh", attempts: 7, level: "DEBUG"},
		{name: "eighth", attempts: 8, level: "WARN", event: true},
		{name: "ninth", attempts: 9, level: "DEBUG"},
		{name: "sixteenth", attempts: 16, level: "WARN", event: true},
		{name: "of an account", attempts: 8, kind: "ServiceAccount", uid: "2", level: "WARN"},
		{name: "replaced", attempts: 8, uid: "2", level: "WARN"},
		{name: "deleted", attempts: 8, secret: "other", level: "WARN"},
		{name: "of a tenant that has left", attempts: 8, tenant: "red", level: "WARN"},
		{name: "too late", attempts: 8, stopped: true, level: "WARN"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var log bytes.Buffer
				client := clientset.NewClientset()
				m, err := New(Config{Client: client, Logger: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))})
				if err != nil {
					t.Fatal(err)
				}
				c := m.clusters[""]
				if err := c.prepare(t.Context(), []*worker{{resources: []Resource{TokenSecrets}}}); err != nil {
					t.Fatal(err)
				}
				secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "s", UID: "1"}, Type: corev1.SecretTypeServiceAccountToken}
				if err := c.informers[TokenSecrets].GetIndexer().Add(secret); err != nil {
					t.Fatal(err)
				}
				key := sacontroller.Key{Tenant: tt.tenant, Kind: "Secret", Namespace: "shop", Name: "s", UID: "1"}
				if tt.kind != "" {
					key.Kind = tt.kind
				}
				if tt.uid != "" {
					key.UID = tt.uid
				}
				if tt.secret != "" {
					key.Name = tt.secret
				}
				if tt.stopped {
					c.events.stop()
				}
				m.failed("tokens", key, tt.attempts, errors.New(failure))
				time.Sleep(time.Minute)
				c.events.stop()
				if !strings.Contains(log.String(), "level="+tt.level) || !strings.Contains(log.String(), "Attempt failed") {
					t.Errorf("the log has %s, want the level %s", log.String(), tt.level)
				}
				events, err := client.CoreV1().Events("shop").List(t.Context(), metav1.ListOptions{})
				if err != nil || (len(events.Items) == 1) != tt.event {
					t.Fatalf("%d events, %v, want one: %v", len(events.Items), err, tt.event)
				}
				for _, e := range events.Items {
					if e.Reason != ReasonNotFilled || e.Type != corev1.EventTypeWarning || e.InvolvedObject.Kind != "Secret" || e.InvolvedObject.Name != "s" || e.InvolvedObject.UID != "1" || e.Source.Component != "serviceaccount-manager" {
						t.Errorf("the event is %+v", e)
					}
					if e.Message != failure[:1024] {
						t.Errorf("the message has %d bytes, want the first 1024", len(e.Message))
					}
				}
			})
		})
	}
}
