package secretstore_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubesa/serviceaccount/fake"
	"github.com/kubesa/serviceaccount/fake/fault"
	"github.com/kubesa/serviceaccount/keys"
	"github.com/kubesa/serviceaccount/keys/internal/keystest"
	"github.com/kubesa/serviceaccount/keys/keyring"
	"github.com/kubesa/serviceaccount/keys/keyring/secretstore"
	"github.com/kubesa/serviceaccount/keys/keyring/storetest"
)

func newCluster(objects ...*corev1.Secret) *fake.Cluster {
	c := fake.New(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "issuer-system"}})
	for _, s := range objects {
		s.Namespace, s.Name = "issuer-system", "keys"
		keystest.Must(c.CreateSecret(context.Background(), s))
	}
	return c
}

func newStore(client secretstore.Client) *secretstore.Store {
	return keystest.Must(secretstore.New(secretstore.Config{Client: client, Namespace: "issuer-system", Name: "keys"}))
}

func TestStore(t *testing.T) {
	t.Run("created by the first step", func(t *testing.T) {
		storetest.Run(t, func(*testing.T) func() keyring.Store {
			c := newCluster()
			return func() keyring.Store { return newStore(c) }
		})
	})
	t.Run("created beforehand", func(t *testing.T) {
		storetest.Run(t, func(*testing.T) func() keyring.Store {
			c := newCluster(&corev1.Secret{})
			return func() keyring.Store { return newStore(c) }
		})
	})
}

// A step whose answer was lost succeeds, and so does one that others delay.
func TestLostAnswers(t *testing.T) {
	for _, first := range []bool{true, false} {
		for name, effect := range map[string]*fault.Fault{
			"lost":     fault.Nth(1, writes(first), "secrets", fault.AnswerLost),
			"conflict": fault.Nth(1, writes(first), "secrets", fault.Conflict),
		} {
			t.Run(fmt.Sprintf("%s, first %t", name, first), func(t *testing.T) {
				c := newCluster()
				ring := keystest.Must(keyring.OpenStore(t.Context(), newStore(c), keyring.Config{}))
				if !first {
					keystest.Must(ring.Add(t.Context(), keystest.NewKey()))
				}
				c.Inject(effect)
				id, err := ring.Add(t.Context(), keystest.P256Key())
				if err != nil || !strings.Contains(ring.String(), id) {
					t.Errorf("Add() = %v, want success", err)
				}
				again := keystest.Must(keyring.OpenStore(t.Context(), newStore(c), keyring.Config{}))
				if again.String() != ring.String() {
					t.Errorf("the Secret has %v, the ring %v", again, ring)
				}
			})
		}
	}
}

func writes(first bool) string {
	if first {
		return "create"
	}
	return "update"
}

func TestNew(t *testing.T) {
	_, err := secretstore.New(secretstore.Config{Client: (*fake.Cluster)(nil), Namespace: "a/b", Name: "..", Timeout: -1})
	const want = `secretstore: Config.Client is required, want a Client
secretstore: Config.Namespace is "a/b", want the name of a Namespace
secretstore: Config.Name is "..", want the name of a Secret
secretstore: Config.Timeout is -1ns, want 0 for the default or a positive value`
	if _, ok := errors.AsType[*secretstore.ConfigError](err); !ok || err.Error() != want {
		t.Errorf("New() =\n%v\nwant\n%s", err, want)
	}
}

// What isn't a ring is an error, and stays as it is.
func TestForeign(t *testing.T) {
	large := map[string][]byte{"other": make([]byte, corev1.MaxSecretSize-100)}
	for _, tt := range []struct {
		name   string
		secret *corev1.Secret
		want   string
	}{
		{"keys without an index", &corev1.Secret{Data: map[string][]byte{"a.key": []byte("canary")}}, "there are keys but no ring.json of Secret issuer-system/keys"},
		{"damaged", &corev1.Secret{Data: map[string][]byte{"ring.json": []byte("canary")}}, "ring.json of Secret issuer-system/keys is damaged"},
		{"empty index", &corev1.Secret{Data: map[string][]byte{"ring.json": {}}}, "ring.json of Secret issuer-system/keys is damaged"},
		{"another type", &corev1.Secret{Type: "example.com/other"}, `the Secret issuer-system/keys is of type "example.com/other", want Opaque`},
		{"no room", &corev1.Secret{Data: large}, "the Secret issuer-system/keys would have "},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := newCluster(tt.secret)
			before := keystest.Must(c.GetSecret(t.Context(), "issuer-system", "keys")).ResourceVersion
			ring, err := keyring.OpenStore(t.Context(), newStore(c), keyring.Config{})
			if err == nil {
				_, err = ring.Add(t.Context(), keystest.P256Key())
			}
			if err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "canary") {
				t.Errorf("got %v, want %s", err, tt.want)
			}
			if after := keystest.Must(c.GetSecret(t.Context(), "issuer-system", "keys")).ResourceVersion; after != before {
				t.Error("the Secret has been changed")
			}
		})
	}
}

// Entries, labels and annotations of others stay; a Secret that was deleted and made anew is
// an error of an open ring.
func TestOthers(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	c := newCluster(&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"a": "b"}}, Data: map[string][]byte{"note": []byte("x")}})
	ring := keystest.Must(keyring.OpenStore(t.Context(), newStore(c), keyring.Config{Now: func() time.Time { return now }}))
	keystest.Must(ring.EnsureSigning(t.Context(), keys.ES256))
	s := keystest.Must(c.GetSecret(t.Context(), "issuer-system", "keys"))
	if string(s.Data["note"]) != "x" || s.Labels["a"] != "b" || len(s.Data) != 3 {
		t.Errorf("the Secret has %d entries and the labels %v, want those of others too", len(s.Data), s.Labels)
	}
	s.Labels["a"] = "c"
	keystest.Must(c.UpdateSecret(t.Context(), s))
	keystest.Must(ring.Add(t.Context(), keystest.NewKey())) // on the version with the label

	if err := c.DeleteSecret(t.Context(), "issuer-system", "keys", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	before := ring.String()
	for _, what := range []string{"deleted", "made anew"} {
		now = now.Add(time.Minute)
		if _, err := ring.Sign(t.Context(), []byte("{}")); err != nil || ring.String() != before || ring.Err() == nil {
			t.Errorf("after the Secret was %s the ring is %v, Sign() = %v, Err() = %v", what, ring, err, ring.Err())
		}
		if what == "deleted" {
			keystest.Must(c.CreateSecret(t.Context(), &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "issuer-system", Name: "keys"}}))
		}
	}
}

// A client that hangs delays one who signs by half a second, and others not at all. One that
// panics or returns nothing is an error.
func TestHungClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := &hung{Client: newCluster(), stop: make(chan struct{})}
		ring := keystest.Must(keyring.OpenStore(t.Context(), newStore(client), keyring.Config{}))
		keystest.Must(ring.EnsureSigning(t.Context(), keys.ES256))
		client.how.Store("hang")
		time.Sleep(2 * time.Second)
		began := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		for range 3 {
			if _, err := ring.Sign(ctx, []byte("{}")); err != nil {
				t.Error(err)
			}
		}
		if took := time.Since(began); took > time.Second/2 {
			t.Errorf("three signatures took %v, want half a second", took)
		}
		time.Sleep(time.Minute)
		if ring.Err() == nil {
			t.Error("Err() = nil, want that the Secret could not be read")
		}
		for _, how := range []string{"panic", "nothing"} {
			client.how.Store(how)
			if _, err := ring.Add(t.Context(), keystest.P256Key()); err == nil || strings.Contains(err.Error(), "hunter2") {
				t.Errorf("Add() with a client that has a %s = %v, want an error", how, err)
			}
		}
		close(client.stop)
		client.how.Store("")
		if _, err := ring.Add(t.Context(), keystest.P256Key()); err != nil {
			t.Errorf("Add() afterwards = %v", err)
		}
		synctest.Wait()
	})
}

type hung struct {
	secretstore.Client
	how  atomic.Value // a string
	stop chan struct{}
}

func (h *hung) GetSecret(ctx context.Context, namespace, name string) (*corev1.Secret, error) {
	switch h.how.Load() {
	case "hang":
		<-h.stop
	case "panic":
		panic("hunter2")
	case "nothing":
		return nil, nil
	}
	return h.Client.GetSecret(ctx, namespace, name)
}
