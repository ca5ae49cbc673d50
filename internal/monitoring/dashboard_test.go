package monitoring

import (
	"encoding/json"
	"os"
	"strings"
	"testing"
)

// A dashboard is what we check of one of Grafana.
type dashboard struct {
	Title, UID string
	Panels     []panel
	Templating struct {
		List []struct{ Name, Type string }
	}
}

type panel struct {
	ID                       int
	Type, Title, Description string
	GridPos                  struct{ H, W, X, Y int }
	FieldConfig              struct{ Defaults struct{ Unit string } }
	Targets                  []struct{ RefID, Expr, LegendFormat string }
}

func readDashboard(t *testing.T) dashboard {
	t.Helper()
	data, err := os.ReadFile("../../prometheus/dashboard.json")
	if err != nil {
		t.Fatal(err)
	}
	var d dashboard
	if err := json.Unmarshal(data, &d); err != nil {
		t.Fatal(err)
	}
	return d
}

// resolve returns an expression of the dashboard as Grafana sends it.
func resolve(expr string) string {
	return strings.NewReplacer("$__rate_interval", "5m", "$job", ".+").Replace(expr)
}

// Every panel asks for what is exported, every metric is on a panel, and no two panels
// overlap.
func TestDashboard(t *testing.T) {
	all := exported(t)
	shown, ids, taken := map[string]bool{}, map[int]bool{}, map[[2]int]string{}
	for _, p := range readDashboard(t).Panels {
		if ids[p.ID] {
			t.Errorf("%s has the id %d of another panel", p.Title, p.ID)
		}
		ids[p.ID] = true
		for x := range p.GridPos.W {
			for y := range p.GridPos.H {
				at := [2]int{p.GridPos.X + x, p.GridPos.Y + y}
				if other := taken[at]; other != "" || at[0] >= 24 {
					t.Fatalf("%s lies on %s or beside the dashboard", p.Title, other)
				}
				taken[at] = p.Title
			}
		}
		if p.Type == "row" {
			continue
		}
		if p.Title == "" || p.Description == "" || p.FieldConfig.Defaults.Unit == "" || len(p.Targets) == 0 {
			t.Errorf("%q lacks a title, a description, a unit or a query", p.Title)
		}
		for _, target := range p.Targets {
			for _, name := range checkNames(t, p.Title, resolve(target.Expr), all) {
				shown[name] = true
			}
			for _, part := range strings.Split(target.LegendFormat, "{{")[1:] {
				label, _, _ := strings.Cut(part, "}}")
				if !strings.Contains(target.Expr, label) {
					t.Errorf("%s: the legend has %s, the query %s doesn't", p.Title, label, target.Expr)
				}
			}
		}
	}
	for name := range all {
		if !shown[name] {
			t.Errorf("no panel shows %s", name)
		}
	}
}
