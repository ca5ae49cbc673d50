package secretstore_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

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

// Calls end after Timeout, ten seconds if it isn't set.
func TestTimeout(t *testing.T) {
	for timeout, want := range map[time.Duration]time.Duration{0: 10 * time.Second, time.Second: time.Second} {
		synctest.Test(t, func(t *testing.T) {
			client := &hung{Client: newCluster(), stop: make(chan struct{})}
			client.how.Store("hang")
			store := keystest.Must(secretstore.New(secretstore.Config{Client: client, Namespace: "issuer-system", Name: "keys", Timeout: timeout}))
			began := time.Now()
			if _, err := store.Load(t.Context()); !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != want {
				t.Errorf("Timeout %v: Load() = %v after %v, want the end after %v", timeout, err, time.Since(began), want)
			}
			close(client.stop)
			synctest.Wait()
		})
	}
}

// A Secret may be filled to the last byte.
func TestSize(t *testing.T) {
	for more, fits := range map[int]bool{0: true, 1: false} {
		now := func() time.Time { return time.Unix(1_800_000_000, 0) }
		add := func(c *fake.Cluster) error {
			ring := keystest.Must(keyring.OpenStore(t.Context(), newStore(c), keyring.Config{Now: now}))
			_, err := ring.Add(t.Context(), keystest.P256Key())
			return err
		}
		c := newCluster()
		if err := add(c); err != nil {
			t.Fatal(err)
		}
		size := 0
		for _, data := range keystest.Must(c.GetSecret(t.Context(), "issuer-system", "keys")).Data {
			size += len(data)
		}
		c = newCluster(&corev1.Secret{Data: map[string][]byte{"other": make([]byte, corev1.MaxSecretSize-size+more)}})
		if err := add(c); (err == nil) != fits || !fits && !strings.Contains(err.Error(), "would have 1048577 bytes, want at most 1048576") {
			t.Errorf("a Secret of %d bytes: Add() = %v", corev1.MaxSecretSize+more, err)
		}
	}
}

// What becomes of a change whose write fails, by what the Secret is then.
func TestSwap(t *testing.T) {
	ours := map[string][]byte{"ring.json": []byte("{}"), "a.key": []byte("a"), "note": []byte("x")}
	theirs := map[string][]byte{"ring.json": []byte("{ }"), "note": []byte("x")}
	secret := func(uid types.UID, version string, data map[string][]byte) *corev1.Secret {
		return &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "issuer-system", Name: "keys", UID: uid, ResourceVersion: version}, Data: data}
	}
	deleted := secret("u", "1", theirs)
	deleted.DeletionTimestamp = new(metav1.Now())
	other := secret("u", "2", ours)
	other.Name = "other"
	elsewhere := secret("u", "2", ours)
	elsewhere.Namespace = "other"
	secrets := schema.GroupResource{Resource: "secrets"}
	boom := errors.New("boom")
	conflict, exists := apierrors.NewConflict(secrets, "keys", boom), apierrors.NewAlreadyExists(secrets, "keys")
	before := secret("u", "1", theirs)
	for _, tt := range []struct {
		name          string
		before, after *corev1.Secret // nil for none
		written       *corev1.Secret
		err           error // of the write
		lost          bool  // the Secret can't be read any more
		want          string
		wantErr       error
		text          string
	}{
		{name: "written", before: before, written: secret("u", "2", ours), want: "u/2"},
		{name: "created", written: secret("u", "2", ours), want: "u/2"},
		{name: "without a UID", before: secret("", "1", theirs), written: secret("", "2", ours), want: "/2"},
		{name: "without a version", before: secret("u", "", theirs), text: "the Secret issuer-system/keys has no resourceVersion"},
		{name: "being deleted", before: deleted, text: "the Secret issuer-system/keys is being deleted"},
		{name: "nothing", before: before, after: before, text: "the Client returned neither the Secret nor an error"},
		{name: "another Secret", before: before, after: before, written: other, text: "the Client returned neither the Secret nor an error"},
		{name: "one elsewhere", before: before, after: before, written: elsewhere, text: "the Client returned neither the Secret nor an error"},
		{name: "failed", before: before, after: before, err: boom, wantErr: boom, text: "boom"},
		{name: "conflict", before: before, after: before, err: conflict, wantErr: keyring.ErrConflict},
		{name: "not created", err: boom, wantErr: boom, text: "boom"},
		{name: "exists and doesn't", err: exists, wantErr: keyring.ErrConflict},
		{name: "changed by others", before: before, after: secret("u", "2", theirs), err: boom, wantErr: keyring.ErrConflict},
		{name: "removed by others", before: before, err: boom, wantErr: keyring.ErrConflict},
		{name: "answer lost", before: before, after: secret("u", "2", ours), err: boom, want: "u/2"},
		{name: "answer to create lost", after: secret("u", "2", ours), err: boom, want: "u/2"},
		{name: "made anew alike", before: before, after: secret("v", "2", ours), err: boom, wantErr: keyring.ErrConflict},
		{name: "not read afterwards", before: before, lost: true, err: boom, wantErr: boom, text: "boom"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			client := &scripted{secrets: []*corev1.Secret{tt.before, tt.after}, written: tt.written, err: tt.err, lost: tt.lost}
			old := ""
			if tt.before != nil {
				old = string(tt.before.UID) + "/" + tt.before.ResourceVersion
			}
			got, err := newStore(client).Swap(t.Context(), old, keyring.Change{Index: ours["ring.json"], Add: map[string][]byte{"a.key": []byte("a"), "note": []byte("x")}})
			if got != tt.want || (err == nil) != (tt.want != "") || tt.wantErr != nil && !errors.Is(err, tt.wantErr) || tt.text != "" && err.Error() != tt.text {
				t.Errorf("Swap() = %q, %v, want %q, %v %s", got, err, tt.want, tt.wantErr, tt.text)
			}
			if create := tt.before == nil; client.put != nil && (client.created != create || create && client.put.Type != corev1.SecretTypeOpaque) {
				t.Errorf("created is %t, and the type %q", client.created, client.put.Type)
			}
		})
	}
	if _, err := newStore(&scripted{secrets: []*corev1.Secret{before}}).Swap(t.Context(), "u/0", keyring.Change{}); !errors.Is(err, keyring.ErrConflict) {
		t.Errorf("Swap() of another version = %v, want ErrConflict", err)
	}
	if _, err := newStore(&scripted{lost: true, secrets: []*corev1.Secret{before}, gets: 1}).Swap(t.Context(), "u/1", keyring.Change{}); err == nil || !strings.Contains(err.Error(), "lost") {
		t.Errorf("Swap() of what can't be read = %v", err)
	}
}

// An entry that isn't there is called what it is called in Kubernetes; and who made a call
// leaves nothing of it behind.
func TestLoad(t *testing.T) {
	client := &scripted{secrets: []*corev1.Secret{{ObjectMeta: metav1.ObjectMeta{Namespace: "issuer-system", Name: "keys", ResourceVersion: "1"}}}}
	stored := keystest.Must(newStore(client).Load(t.Context()))
	_, err := stored.Entry("a.key")
	if want := "read a.key of Secret issuer-system/keys: file does not exist"; !errors.Is(err, fs.ErrNotExist) || err.Error() != want {
		t.Errorf("Entry() = %v, want %s", err, want)
	}
	if client.ctx.Err() == nil {
		t.Error("the context of a call goes on after it")
	}
}

// A scripted client returns Secrets one after the other.
type scripted struct {
	secrets []*corev1.Secret
	ctx     context.Context // of the last get
	gets    int
	lost    bool // after the first get
	written *corev1.Secret
	err     error
	put     *corev1.Secret
	created bool
}

func (s *scripted) GetSecret(ctx context.Context, _, _ string) (*corev1.Secret, error) {
	s.ctx = ctx
	s.gets++
	switch {
	case s.lost && s.gets > 1:
		return nil, errors.New("lost")
	case s.gets > len(s.secrets) || s.secrets[s.gets-1] == nil:
		return nil, apierrors.NewNotFound(schema.GroupResource{Resource: "secrets"}, "keys")
	}
	return s.secrets[s.gets-1], nil
}

func (s *scripted) CreateSecret(_ context.Context, secret *corev1.Secret) (*corev1.Secret, error) {
	s.put, s.created = secret, true
	return s.written, s.err
}

func (s *scripted) UpdateSecret(_ context.Context, secret *corev1.Secret) (*corev1.Secret, error) {
	s.put = secret
	return s.written, s.err
}
