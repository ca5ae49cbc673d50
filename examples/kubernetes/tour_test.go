package main

import (
	"context"
	"flag"
	"os"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// The test runs managers as processes: they are this program.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == managerCommand {
		main()
		return
	}
	os.Exit(m.Run())
}

// startPlane starts a cluster that ends with the test.
func startPlane(t *testing.T, o options) *plane {
	t.Helper()
	o.maxAge = time.Second
	p, err := start(t.Context(), o, testLog{t})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.stop(); err != nil {
			t.Error(err)
		}
		if _, err := os.Stat(p.own); !os.IsNotExist(err) {
			t.Errorf("%s is left: %v", p.own, err)
		}
	})
	return p
}

type testLog struct{ t *testing.T }

func (l testLog) Write(p []byte) (int, error) {
	l.t.Logf("%s", strings.TrimSuffix(string(p), "\n"))
	return len(p), nil
}

// The whole tour, with two managers. What it shows is checked by the tour itself.
func TestTour(t *testing.T) {
	p := startPlane(t, options{era: eraProjected, replicas: 2})
	var transcript strings.Builder
	err := newTour(p, &transcript).all(t.Context())
	t.Log(transcript.String())
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"promoted ", "0 rejected", newIssuerURL, "kube-api-access-", "eyJhbGci…"} {
		if !strings.Contains(transcript.String(), want) {
			t.Errorf("the transcript lacks %q", want)
		}
	}
	if strings.Contains(transcript.String(), ".eyJ") {
		t.Error("the transcript shows a token")
	}
}

// Secret-backed tokens, and what is kept between two runs.
func TestEraAndData(t *testing.T) {
	o := options{era: eraSecrets, replicas: 1, data: t.TempDir(), maxAge: time.Second}
	first, err := start(t.Context(), o, testLog{t})
	if err != nil {
		t.Fatal(err)
	}
	var transcript strings.Builder
	err = newTour(first, &transcript).all(t.Context())
	t.Log(transcript.String())
	if err != nil {
		t.Error(err)
	}
	account := accountUID(t, first)
	keysBefore := len(first.ring.Keys())
	if err := first.stop(); err != nil {
		t.Fatal(err)
	}

	second := startPlane(t, o)
	if again := accountUID(t, second); again != account || account == "" {
		t.Errorf("the account has UID %q after a restart, want %q", again, account)
	}
	if got := len(second.ring.Keys()); got != keysBefore {
		t.Errorf("%d keys after a restart, want %d", got, keysBefore)
	}
	if err := newTour(second, &transcript).refuse(t.Context(), "ghost", "ghost.yaml", ghostManifest); err != nil {
		t.Errorf("the webhook after a restart: %v", err)
	}
}

func accountUID(t *testing.T, p *plane) types.UID {
	t.Helper()
	account, err := p.client.CoreV1().ServiceAccounts("shop").Get(t.Context(), "default", metav1.GetOptions{})
	if err != nil {
		t.Error(err)
		return ""
	}
	return account.UID
}

func TestParse(t *testing.T) {
	if _, err := parse(nil, os.Stderr); err != nil {
		t.Errorf("parse() = %v", err)
	}
	for _, args := range [][]string{{"x"}, {"-era=1.19"}, {"-replicas=0"}, {"-port=-1"}, {"-port=65536"}, {"-key-max-age=1ms"}, {"-nonsense"}} {
		var output strings.Builder
		if _, err := parse(args, &output); err == nil || output.Len() > 0 {
			t.Errorf("parse(%q) = %v, and wrote %q, want an error alone", args, err, output.String())
		}
	}
	var help strings.Builder
	if _, err := parse([]string{"-h"}, &help); err != flag.ErrHelp || !strings.Contains(help.String(), "-tour") {
		t.Errorf("parse(-h) = %v, and wrote %q, want the help", err, help.String())
	}
}

// A start that can't go on leaves nothing behind.
func TestStartCancelled(t *testing.T) {
	tmp := t.TempDir()
	t.Setenv("TMPDIR", tmp)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := start(ctx, options{era: eraProjected, replicas: 1, maxAge: time.Second}, testLog{t}); err == nil {
		t.Error("start() succeeded after its context ended")
	}
	if left, err := os.ReadDir(tmp); err != nil || len(left) > 0 {
		t.Errorf("%v is left, %v", left, err)
	}
}
