package monitoring

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"github.com/prometheus/prometheus/tsdb/chunks"
	"github.com/prometheus/prometheus/util/annotations"
)

var promParser = parser.NewParser(parser.Options{})

func newEngine() *promql.Engine {
	return promql.NewEngine(promql.EngineOpts{
		Logger: slog.New(slog.DiscardHandler), MaxSamples: 1e6, Timeout: time.Minute, LookbackDelta: 5 * time.Minute, EnableAtModifier: true, Parser: promParser,
	})
}

// A point is a value of a series at a time. It is a chunks.Sample.
type point struct {
	t int64
	v float64
}

func (p point) ST() int64                     { return 0 }
func (p point) T() int64                      { return p.t }
func (p point) F() float64                    { return p.v }
func (p point) H() *histogram.Histogram       { return nil }
func (p point) FH() *histogram.FloatHistogram { return nil }
func (p point) Type() chunkenc.ValueType      { return chunkenc.ValFloat }
func (p point) Copy() chunks.Sample           { return p }

// A database has series in memory.
type database struct {
	series map[string]*memorySeries // by the text of the labels
}

type memorySeries struct {
	labels labels.Labels
	points []chunks.Sample
}

func (d *database) add(l labels.Labels, at time.Time, value float64) {
	if d.series == nil {
		d.series = map[string]*memorySeries{}
	}
	s := d.series[l.String()]
	if s == nil {
		s = &memorySeries{labels: l}
		d.series[l.String()] = s
	}
	s.points = append(s.points, point{at.UnixMilli(), value})
}

// Querier implements storage.Queryable.
func (d *database) Querier(int64, int64) (storage.Querier, error) {
	return &storage.MockQuerier{SelectMockFunction: func(_ bool, _ *storage.SelectHints, matchers ...*labels.Matcher) storage.SeriesSet {
		var found []*memorySeries
		for _, s := range d.series {
			if !slices.ContainsFunc(matchers, func(m *labels.Matcher) bool { return !m.Matches(s.labels.Get(m.Name)) }) {
				found = append(found, s)
			}
		}
		slices.SortFunc(found, func(a, b *memorySeries) int { return labels.Compare(a.labels, b.labels) })
		set := &seriesSet{at: -1}
		for _, s := range found {
			set.all = append(set.all, storage.NewListSeries(s.labels, s.points))
		}
		return set
	}}, nil
}

type seriesSet struct {
	storage.SeriesSet
	all []storage.Series
	at  int
}

func (s *seriesSet) Next() bool                        { s.at++; return s.at < len(s.all) }
func (s *seriesSet) At() storage.Series                { return s.all[s.at] }
func (s *seriesSet) Err() error                        { return nil }
func (s *seriesSet) Warnings() annotations.Annotations { return nil }

// query evaluates expr at a time.
func query(t *testing.T, engine *promql.Engine, d *database, expr string, at time.Time) promql.Vector {
	t.Helper()
	q, err := engine.NewInstantQuery(context.Background(), d, nil, expr, at)
	if err != nil {
		t.Fatalf("%s: %v", expr, err)
	}
	defer q.Close()
	result := q.Exec(context.Background())
	vector, err := result.Vector()
	if err != nil {
		t.Fatalf("%s: %v", expr, err)
	}
	return slices.Clone(vector)
}

// checkNames reports what expr asks for that isn't exported: metrics, and labels of
// matchers and groups.
func checkNames(t *testing.T, where, expr string, all map[string]metric) (used []string) {
	t.Helper()
	parsed, err := promParser.ParseExpr(expr)
	if err != nil {
		t.Errorf("%s: %s: %v", where, expr, err)
		return nil
	}
	known := []string{"job", "instance"} // of every target
	var groups []string
	parser.Inspect(parsed, func(node parser.Node, _ []parser.Node) error {
		switch node := node.(type) {
		case *parser.VectorSelector:
			name := node.Name
			m, ok := all[name]
			for _, suffix := range []string{"_bucket", "_sum", "_count"} {
				if base, cut := strings.CutSuffix(name, suffix); !ok && cut && all[base].kind == "histogram" {
					m, ok = all[base], true
					known = append(known, "le")
				}
			}
			if !ok {
				t.Errorf("%s: %s: there is no metric %s", where, expr, name)
				return nil
			}
			used = append(used, m.name)
			known = append(known, m.labels...)
			for _, matcher := range node.LabelMatchers {
				if matcher.Name != "__name__" && !slices.Contains(append([]string{"job", "instance", "le"}, m.labels...), matcher.Name) {
					t.Errorf("%s: %s: %s has no label %s", where, expr, name, matcher.Name)
				}
			}
		case *parser.AggregateExpr:
			groups = append(groups, node.Grouping...)
		case *parser.Call:
			if rates := []string{"rate", "increase", "irate"}; slices.Contains(rates, node.Func.Name) {
				if s, ok := node.Args[0].(*parser.MatrixSelector); ok && all[s.VectorSelector.(*parser.VectorSelector).Name].kind == "gauge" {
					t.Errorf("%s: %s: %s of a gauge", where, expr, node.Func.Name)
				}
			}
		}
		return nil
	})
	for _, label := range groups {
		if !slices.Contains(known, label) {
			t.Errorf("%s: %s: groups by %s, which none of its metrics has", where, expr, label)
		}
	}
	return used
}
