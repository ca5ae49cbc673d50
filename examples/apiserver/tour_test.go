package main

import (
	"flag"
	"os"
	"strings"
	"testing"
)

// startPlane starts a control plane that ends with the test.
func startPlane(t *testing.T, o options) *plane {
	t.Helper()
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

// The whole tour. What it shows is checked by the tour itself.
func TestTour(t *testing.T) {
	o := options{replicas: 2, tenants: []string{"red", "blue"}}
	p := startPlane(t, o)
	var transcript strings.Builder
	err := newTour(p, o.tenants, &transcript).all(t.Context())
	t.Log(transcript.String())
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(transcript.String(), ".eyJ") {
		t.Error("the transcript shows a token")
	}
}

func TestParse(t *testing.T) {
	if _, err := parse(nil, os.Stderr); err != nil {
		t.Errorf("parse() = %v", err)
	}
	for _, args := range [][]string{{"x"}, {"-replicas=0"}, {"-port=-1"}, {"-clusters=a,a"}, {"-clusters=root"}, {"-clusters=A"}, {"-nonsense"}} {
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
