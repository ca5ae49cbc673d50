package monitoring

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/rulefmt"
	"github.com/prometheus/prometheus/model/timestamp"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/template"
	"sigs.k8s.io/yaml"
)

// unitTests is the file of promtool's unit tests of rules, as far as we use it.
type unitTests struct {
	RuleFiles          []string       `json:"rule_files"`
	EvaluationInterval model.Duration `json:"evaluation_interval"`
	Tests              []struct {
		Name     string         `json:"name"`
		Interval model.Duration `json:"interval"`
		Input    []struct {
			Series string `json:"series"`
			Values string `json:"values"`
		} `json:"input_series"`
		Alerts []struct {
			Name     string         `json:"alertname"`
			At       model.Duration `json:"eval_time"`
			Expected []firing       `json:"exp_alerts"`
		} `json:"alert_rule_test"`
	} `json:"tests"`
}

// A firing is an alert that fires.
type firing struct {
	Labels      map[string]string `json:"exp_labels"`
	Annotations map[string]string `json:"exp_annotations"`
}

func (f firing) String() string { return fmt.Sprintf("%v %v", f.Labels, f.Annotations) }

// Every alert is valid, asks for what is exported, fires for one of the unit tests and is
// silent for another.
func TestAlerts(t *testing.T) {
	all, rules := exported(t), readRules(t)
	var file unitTests
	data, err := os.ReadFile("../../prometheus/alerts_test.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.UnmarshalStrict(data, &file); err != nil {
		t.Fatal(err)
	}
	fires, silent := map[string]bool{}, map[string]bool{}
	engine := newEngine()
	for _, test := range file.Tests {
		t.Run(test.Name, func(t *testing.T) {
			var d database
			for _, input := range test.Input {
				l, values, err := promParser.ParseSeriesDesc(input.Series + " " + input.Values)
				if err != nil {
					t.Fatal(err)
				}
				if !strings.HasPrefix(l.Get("__name__"), "other") {
					checkNames(t, "input", input.Series, all)
				}
				for i, v := range values {
					if !v.Omitted {
						d.add(l, time.Unix(0, 0).Add(time.Duration(i)*time.Duration(test.Interval)), v.Value)
					}
				}
			}
			for _, alert := range test.Alerts {
				rule, ok := rules[alert.Name]
				if !ok {
					t.Fatalf("there is no alert %s", alert.Name)
				}
				got := evaluate(t, engine, &d, rule, time.Duration(alert.At), time.Duration(file.EvaluationInterval))
				if fmt.Sprint(got) != fmt.Sprint(alert.Expected) {
					t.Errorf("at %v\n%v\nfire, want\n%v", alert.At, got, alert.Expected)
				}
				if len(alert.Expected) > 0 {
					fires[alert.Name] = true
				} else {
					silent[alert.Name] = true
				}
			}
		})
	}
	for name, rule := range rules {
		checkNames(t, name, rule.Expr, all)
		if !fires[name] || !silent[name] {
			t.Errorf("%s: fires in a test: %t, is silent in a test: %t, want both", name, fires[name], silent[name])
		}
		if !slices.Contains([]string{"critical", "warning", "info"}, rule.Labels["severity"]) {
			t.Errorf("%s has the severity %q", name, rule.Labels["severity"])
		}
	}
	if len(rules) < 20 {
		t.Errorf("found %d alerts, want at least 20", len(rules))
	}
}

// readRules returns the alerts by name.
func readRules(t *testing.T) map[string]rulefmt.Rule {
	t.Helper()
	data, err := os.ReadFile("../../prometheus/alerts.yaml")
	if err != nil {
		t.Fatal(err)
	}
	groups, errs := rulefmt.Parse(data, false, model.LegacyValidation, promParser, slog.New(slog.DiscardHandler))
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	rules := map[string]rulefmt.Rule{}
	for _, group := range groups.Groups {
		for _, rule := range group.Rules {
			if rule.Alert == "" || rules[rule.Alert].Alert != "" {
				t.Errorf("%q is not the name of one alert", rule.Alert)
			}
			rules[rule.Alert] = rule
		}
	}
	return rules
}

// evaluate returns what fires at a time, after the evaluations until then: an alert fires
// once its expression has had a value for as long as the rule says.
func evaluate(t *testing.T, engine *promql.Engine, d *database, rule rulefmt.Rule, at, interval time.Duration) (all []firing) {
	t.Helper()
	since := map[string]time.Duration{}
	for now := time.Duration(0); now <= at; now += interval {
		vector := query(t, engine, d, rule.Expr, time.Unix(0, 0).Add(now))
		active := map[string]time.Duration{}
		all = nil
		for _, sample := range vector {
			l := labels.NewBuilder(sample.Metric).Del("__name__").Labels()
			began, ok := since[l.String()]
			if !ok {
				began = now
			}
			active[l.String()] = began
			if now-began >= time.Duration(rule.For) {
				all = append(all, firingOf(t, rule, l, sample.F, now))
			}
		}
		since = active
	}
	return all
}

func firingOf(t *testing.T, rule rulefmt.Rule, l labels.Labels, value float64, now time.Duration) firing {
	t.Helper()
	f := firing{Labels: l.Map(), Annotations: map[string]string{}}
	maps.Copy(f.Labels, rule.Labels)
	data := template.AlertTemplateData(l.Map(), nil, "", promql.Sample{F: value, Metric: l})
	at := model.Time(timestamp.FromTime(time.Unix(0, 0).Add(now)))
	for name, text := range rule.Annotations {
		text = "{{$labels := .Labels}}{{$externalLabels := .ExternalLabels}}{{$externalURL := .ExternalURL}}{{$value := .Value}}" + text
		expanded, err := template.NewTemplateExpander(context.Background(), text, "__alert_"+rule.Alert, data, at, nil, &url.URL{}, nil).Expand()
		if err != nil || strings.Contains(expanded, "no value") {
			t.Errorf("%s: annotation %s: %q, %v", rule.Alert, name, expanded, err)
		}
		f.Annotations[name] = expanded
	}
	return f
}
