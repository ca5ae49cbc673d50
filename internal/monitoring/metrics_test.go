package monitoring

import (
	"flag"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/client-go/kubernetes/fake"

	saprometheus "github.com/kubesa/serviceaccount/prometheus"
	"github.com/kubesa/serviceaccount/sacontroller/manager"
)

var update = flag.Bool("update", false, "rewrite docs/metrics.md")

// A metric is one family of metrics.
type metric struct {
	name, kind, help string
	labels           []string
	from             string // the package that exports it
}

// A recorder is a Registerer that keeps what is registered.
type recorder struct{ collectors []prometheus.Collector }

func (r *recorder) Register(c prometheus.Collector) error {
	r.collectors = append(r.collectors, c)
	return nil
}

func (r *recorder) MustRegister(all ...prometheus.Collector) {
	for _, c := range all {
		_ = r.Register(c)
	}
}

func (r *recorder) Unregister(prometheus.Collector) bool { return true }

var descText = regexp.MustCompile(`^Desc\{fqName: "([^"]*)", help: "((?:[^"\\]|\\.)*)", .*variableLabels: \{([^}]*)\}`)

// metrics returns what the recorder got.
func (r *recorder) metrics(t *testing.T, from string) (all []metric) {
	t.Helper()
	for _, c := range r.collectors {
		kind := "gauge"
		switch c.(type) {
		case prometheus.Gauge, *prometheus.GaugeVec: // a Gauge has the methods of a Counter, too
		case prometheus.Counter, *prometheus.CounterVec:
			kind = "counter"
		case *prometheus.HistogramVec:
			kind = "histogram"
		}
		descs := make(chan *prometheus.Desc, 10)
		c.Describe(descs)
		close(descs)
		for desc := range descs {
			match := descText.FindStringSubmatch(desc.String())
			if match == nil {
				t.Fatalf("can't read %s", desc)
			}
			m := metric{name: match[1], kind: kind, help: strings.ReplaceAll(match[2], `\"`, `"`), from: from}
			if match[3] != "" {
				m.labels = strings.Split(match[3], ",")
			}
			all = append(all, m)
		}
	}
	return all
}

// exported returns every metric that the library exports, by name.
func exported(t *testing.T) map[string]metric {
	t.Helper()
	var hooks, queues recorder
	if _, err := saprometheus.New(saprometheus.Config{Registerer: &hooks}); err != nil {
		t.Fatal(err)
	}
	if _, err := manager.New(manager.Config{Client: fake.NewClientset(), Metrics: &queues}); err != nil {
		t.Fatal(err)
	}
	all := map[string]metric{}
	for _, m := range append(hooks.metrics(t, "prometheus"), queues.metrics(t, "sacontroller/manager")...) {
		if _, ok := all[m.name]; ok {
			t.Errorf("%s is exported twice", m.name)
		}
		all[m.name] = m
	}
	return all
}

// upstream are the names that Kubernetes has, SRV-17, SRV-19, TRC-46, CTB-18.
var upstream = regexp.MustCompile(`^(serviceaccount_(legacy|stale|valid)_tokens_total|serviceaccount_(legacy_manual|legacy_auto|invalid_legacy_auto)_token_uses_total|` +
	`apiserver_externaljwt_.*|apiserver_delegated_authn_.*|authentication_token_cache_.*|(root_ca_cert|clustertrustbundle)_publisher_.*)$`)

// Names and labels are as Prometheus wants them: base units, totals of counters, and no
// label that could have any number of values.
func TestConventions(t *testing.T) {
	labels := []string{"result", "reason", "status", "code", "kind", "cache", "hook", "source", "method", "authenticated", "operation", "action", "controller", "resource"}
	for name, m := range exported(t) {
		if !strings.HasPrefix(name, "serviceaccount_") && !upstream.MatchString(name) {
			t.Errorf("%s is none of Kubernetes' names and has no prefix serviceaccount_", name)
		}
		if (m.kind == "counter") != strings.HasSuffix(name, "_total") {
			t.Errorf("%s is a %s, want the suffix _total for counters only", name, m.kind)
		}
		if m.kind == "histogram" && !strings.HasSuffix(name, "_seconds") {
			t.Errorf("%s is a histogram, want one of seconds", name)
		}
		if len(m.help) < 20 || !strings.HasSuffix(m.help, ".") {
			t.Errorf("%s has the help %q, want a sentence", name, m.help)
		}
		for _, label := range m.labels {
			if !slices.Contains(labels, label) {
				t.Errorf("%s has the label %s, want only %q", name, label, labels)
			}
		}
	}
}

const document = "../../docs/metrics.md"

// docs/metrics.md lists every metric; go test -update rewrites it.
func TestDocument(t *testing.T) {
	want := render(exported(t))
	if *update {
		if err := os.WriteFile(document, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(document)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Errorf("%s is not up to date: go test -C internal/monitoring -run TestDocument -update", document)
	}
}

func render(all map[string]metric) string {
	var b strings.Builder
	b.WriteString(`# Metrics

What a program exports that gives the hooks of the module [` + "`prometheus`](../prometheus)" + ` to the library's configs, and what
` + "`manager.Config.Metrics`" + ` registers. A test holds this list to what is exported.

- [dashboard.json](../prometheus/dashboard.json) is a dashboard for Grafana: import it.
- [alerts.yaml](../prometheus/alerts.yaml) has alerts, and [alerts_test.yaml](../prometheus/alerts_test.yaml) what each fires for.

No label has the name of an object, a client or a key. ` + "`source`" + ` is what the program calls a source, ` + "`controller`" + ` the name
of a controller. Metrics marked K have the name and the labels of one of Kubernetes v1.37. Not exported are its gauge
` + "`authentication_token_cache_active_fetch_count`" + `, and what k8s.io/apiserver counts for every request itself, such as ` + "`authentication_attempts`" + `.

The command ` + "`serviceaccount-manager`" + ` exports those of ` + "`sacontroller/manager`" + ` and ` + "`serviceaccount_legacy_token_cleanups_total`" + `. It doesn't
have ` + "`root_ca_cert_publisher_sync_total`" + ` and ` + "`clustertrustbundle_publisher_sync_total`" + `: ServiceAccountReconcileErrors fires for it in the
place of ServiceAccountBundlesNotPublished.
`)
	for _, from := range []string{"prometheus", "sacontroller/manager"} {
		fmt.Fprintf(&b, "\n## %s\n\n| metric | type | labels | |\n|---|---|---|---|\n", from)
		for _, name := range sortedKeys(all) {
			m := all[name]
			if m.from != from {
				continue
			}
			mark, labels := "", ""
			if upstream.MatchString(name) {
				mark = " K"
			}
			if len(m.labels) > 0 {
				labels = "`" + strings.Join(m.labels, "`, `") + "`"
			}
			fmt.Fprintf(&b, "| `%s`%s | %s | %s | %s |\n", name, mark, m.kind, labels, strings.ReplaceAll(strings.ReplaceAll(m.help, "|", `\|`), "<error>", "`<error>`"))
		}
	}
	return b.String()
}

func sortedKeys[V any](m map[string]V) []string {
	var all []string
	for key := range m {
		all = append(all, key)
	}
	slices.Sort(all)
	return all
}
