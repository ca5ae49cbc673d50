package external_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/kubesa/serviceaccount/keys"
	"github.com/kubesa/serviceaccount/keys/external"
)

// coded is an error with the code of gRPC, as those of keys/external/grpc.
type coded struct{ error }

func (coded) Code() string { return "Unavailable" }

// SRV-19: each call is told of, with its code, at both ends.
func TestObserve(t *testing.T) {
	svc, _ := newService(t)
	var events []external.Event
	signer := newSigner(t, external.SignerConfig{Service: svc, Observe: func(_ context.Context, e external.Event) { events = append(events, e) }})
	want := func(want ...string) {
		t.Helper()
		var got []string
		for _, e := range events {
			if e.Took < 0 || e.Method == external.MethodFetchKeys && e.Err == nil && (e.Keys == 0 || e.DataTimestamp.IsZero()) {
				t.Errorf("Observe got %+v, want the time it took, and the keys", e)
			}
			if e.Err != nil && e.Changed {
				t.Errorf("Observe got %+v, want that nothing has changed", e)
			}
			got = append(got, fmt.Sprintf("%s %s %t", e.Method, e.Code, e.Err == nil))
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("Observe got %q, want %q", got, want)
		}
		events = nil
	}
	want("FetchKeys OK true")
	sign := func() error { _, err := signer.Sign(t.Context(), []byte(`{}`)); return err }
	if err := sign(); err != nil {
		t.Fatal(err)
	}
	want("Sign OK true")
	if _, _, err := signer.Lifetimes(t.Context(), 0, time.Hour); err != nil {
		t.Fatal(err)
	}
	want("Metadata OK true")
	for err, code := range map[error]string{
		coded{errors.New("locked")}: "Unavailable", errors.New("no socket"): "unknown-non-grpc",
		context.DeadlineExceeded: "DeadlineExceeded", context.Canceled: "Canceled",
	} {
		svc.change(func() {
			svc.err = err
			svc.sign = func(string, string) (string, string, error) { return "", "", err }
		})
		if err := errors.Join(sign(), signer.Refresh(t.Context())); err == nil {
			t.Error("signed and fetched nevertheless")
		}
		want("Sign "+code+" false", "FetchKeys "+code+" false")
	}
}

// The server tells the codes that keys/external/grpc answers with.
func TestServerObserve(t *testing.T) {
	key, err := keys.Generate(keys.ES256)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := keys.NewSigner(key)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	observe := func(_ context.Context, e external.Event) {
		got = append(got, fmt.Sprintf("%s %s %d", e.Method, e.Code, e.Keys))
		if (e.Err == nil) != (e.Code == "OK") {
			t.Errorf("Observe got %+v", e)
		}
	}
	for _, source := range []keys.Source{keys.SetOf([]keys.PublicKey{signer.PublicKey()}), keys.SetOf(nil), down{}} {
		server, err := external.NewServer(external.ServerConfig{Signer: signer, Keys: source, MaxTokenLifetime: time.Hour, Observe: observe})
		if err != nil {
			t.Fatal(err)
		}
		_, _ = server.FetchKeys(t.Context())
	}
	server, err := external.NewServer(external.ServerConfig{Signer: signer, Keys: down{}, MaxTokenLifetime: time.Hour, Observe: observe})
	if err != nil {
		t.Fatal(err)
	}
	_, _, _ = server.Sign(t.Context(), "e30")
	_, _, _ = server.Sign(t.Context(), "not claims")
	_, _ = server.MaxTokenLifetime(t.Context())
	want := []string{"FetchKeys OK 1", "FetchKeys FailedPrecondition 0", "FetchKeys Unavailable 0", "Sign OK 0", "Sign InvalidArgument 0", "Metadata OK 0"}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("Observe got %q, want %q", got, want)
	}
}

// down is a source that can't be asked.
type down struct{}

func (down) PublicKeys(context.Context, string) ([]keys.PublicKey, error) {
	return nil, keys.ErrUnavailable
}
