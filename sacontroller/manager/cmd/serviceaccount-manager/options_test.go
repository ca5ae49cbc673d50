package main

import (
	"context"
	"flag"
	"io"
	"maps"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
)

func TestParseMistakes(t *testing.T) {
	tests := []struct {
		name string
		args []string
		want []string // in the error
	}{
		{name: "good", args: []string{"--kubeconfig=x", "--leader-elect=false"}},
		{name: "unknown flag", args: []string{"--cloud-provider=x"}, want: []string{"-cloud-provider"}},
		{name: "argument", args: []string{"start"}, want: []string{`"start"`}},
		{name: "unknown controller", args: []string{"--controllers=*,-node"}, want: []string{`"node" is no controller`}},
		{name: "several", args: []string{"--concurrent-serviceaccount-token-syncs=0", "--kube-api-qps=-1", "--logging-format=xml", "--legacy-service-account-token-clean-up-period=0"},
			want: []string{"--concurrent-serviceaccount-token-syncs is 0", "--kube-api-qps is -1", `"xml"`, "--legacy-service-account-token-clean-up-period is 0s"}}, // CLN-20
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := parse(tt.args, io.Discard)
			if (err == nil) != (len(tt.want) == 0) {
				t.Fatalf("parse() = %v, want an error: %v", err, len(tt.want) > 0)
			}
			for _, w := range tt.want {
				if !strings.Contains(err.Error(), w) {
					t.Errorf("parse() = %v, want %q in it", err, w)
				}
			}
		})
	}
}

func TestControllers(t *testing.T) {
	all := slices.Sorted(maps.Keys(defaultControllers()))
	tests := []struct {
		list string
		want []string
	}{
		{"*", all},
		{"*,legacy-service-account-token-tracking-controller", slices.Sorted(slices.Values(append(slices.Clone(all), trackerName)))},
		{"-serviceaccount-token,*", slices.DeleteFunc(slices.Clone(all), func(n string) bool { return n == tokensName })},
		{"serviceaccount,root-ca-cert-publisher", []string{publisherName, accountsName}},
		{"-serviceaccount-controller", nil},
	}
	for _, tt := range tests {
		var set controllerSet
		if err := set.Set(tt.list); err != nil {
			t.Fatal(err)
		}
		if got := slices.Sorted(maps.Keys(set)); !slices.Equal(got, tt.want) {
			t.Errorf("--controllers=%s are %q, want %q", tt.list, got, tt.want)
		}
	}
}

func TestRunStatus(t *testing.T) {
	tests := []struct {
		name string
		args []string
		want int
	}{
		{"help", []string{"-h"}, 0},
		{"mistake", []string{"--nothing"}, 2},
		{"value", []string{"--kube-api-qps=many"}, 2},
		{"range", []string{"--leader-elect-retry-period=-1s"}, 2},
		{"election", []string{"--master=http://127.0.0.1:1", "--leader-elect-lease-duration=9s"}, 2},
		{"fraction of a second", []string{"--master=http://127.0.0.1:1", "--leader-elect-lease-duration=15500ms"}, 2},
		{"no cluster", []string{"--kubeconfig=" + t.TempDir() + "/missing"}, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var out strings.Builder
			if got := run(context.Background(), tt.args, &out, &out); got != tt.want {
				t.Errorf("run() = %d, want %d; it wrote:\n%s", got, tt.want, &out)
			}
			if lines := strings.Count(out.String(), "\n"); tt.want != 0 && lines != 1 {
				t.Errorf("run() wrote %d lines, want one:\n%s", lines, &out)
			}
			if name, _, _ := strings.Cut(tt.args[len(tt.args)-1], "="); tt.want == 2 && !strings.Contains(out.String(), name[1:]) && !strings.Contains(out.String(), "renew-deadline") {
				t.Errorf("run() doesn't name %s:\n%s", name, &out)
			}
		})
	}
}

func TestVersion(t *testing.T) {
	var stdout, stderr strings.Builder
	got := run(context.Background(), []string{"-version"}, &stdout, &stderr)
	if want := "serviceaccount-manager "; got != 0 || stderr.Len() > 0 || !strings.HasPrefix(stdout.String(), want) || !strings.Contains(stdout.String(), runtime.Version()) {
		t.Errorf("run() = %d and wrote %q and %q, want 0, and %q with versions", got, &stdout, &stderr, want)
	}
}

// The README names every flag.
func TestREADME(t *testing.T) {
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	var help strings.Builder
	if _, err := parse([]string{"-h"}, &help); err != flag.ErrHelp {
		t.Fatal(err)
	}
	flags := 0
	for line := range strings.Lines(help.String()) {
		name, ok := strings.CutPrefix(line, "  -")
		if !ok {
			continue
		}
		flags++
		name, _, _ = strings.Cut(strings.TrimSpace(name), " ")
		if strings.HasPrefix(name, "leader-elect-") {
			name = "leader-elect-…"
		}
		if !strings.Contains(string(readme), "`--"+name) {
			t.Errorf("README.md doesn't name --%s", name)
		}
	}
	if flags < 15 {
		t.Errorf("found %d flags in the help, want at least 15", flags)
	}
}
