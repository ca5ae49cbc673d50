package view

import (
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/kubesa/serviceaccount/fake/internal/object"
)

// column is one column of the tables of a kind.
type column struct {
	name        string
	typ         string // string if empty
	description string
	wide        bool // for -o wide only
	cell        func(o object.Object, now time.Time) any
}

func newTable(columns []column, meta metav1.ListMeta) *metav1.Table {
	table := &metav1.Table{
		TypeMeta: metav1.TypeMeta{Kind: "Table", APIVersion: metav1.SchemeGroupVersion.String()},
		ListMeta: meta, Rows: []metav1.TableRow{},
	}
	for _, col := range columns {
		definition := metav1.TableColumnDefinition{Name: col.name, Type: col.typ, Description: col.description}
		if definition.Type == "" {
			definition.Type = "string"
		}
		if col.name == "Name" {
			definition.Format = "name"
		}
		if col.wide {
			definition.Priority = 1
		}
		table.ColumnDefinitions = append(table.ColumnDefinitions, definition)
	}
	return table
}

// Table returns items as a table, at the time now. The rows have what include asks for,
// the metadata if it asks for nothing.
func Table(k *object.Kind, items []object.Object, meta metav1.ListMeta, include metav1.IncludeObjectPolicy, now time.Time) *metav1.Table {
	columns := columnsOf(k)
	table := newTable(columns, meta)
	for _, o := range items {
		var row metav1.TableRow
		for _, col := range columns {
			row.Cells = append(row.Cells, col.cell(o, now))
		}
		switch include {
		case metav1.IncludeNone:
		case metav1.IncludeObject:
			row.Object = runtime.RawExtension{Object: View{}.Of(k, object.CopyOf(o))}
		default:
			row.Object = runtime.RawExtension{Object: Metadata(o)}
		}
		table.Rows = append(table.Rows, row)
	}
	return table
}

// EventTable returns a table of no events.
func EventTable(meta metav1.ListMeta) *metav1.Table { return newTable(eventColumns(), meta) }

// age says how old o is, in the two units that matter.
func age(o object.Object, now time.Time) any {
	created := o.GetCreationTimestamp()
	if created.IsZero() {
		return "<unknown>"
	}
	return shortDuration(now.Sub(created.Time))
}

// shortDuration returns d as kubectl shows ages: the smaller unit is left out
// when there is plenty of the larger one.
func shortDuration(d time.Duration) string {
	const day, year = 24 * time.Hour, 365 * 24 * time.Hour
	two := func(large time.Duration, a string, small time.Duration, b string) string {
		if rest := d % large / small; rest > 0 {
			return fmt.Sprintf("%d%s%d%s", d/large, a, rest, b)
		}
		return fmt.Sprintf("%d%s", d/large, a)
	}
	switch {
	case d < -time.Second:
		return "<invalid>"
	case d < 0:
		return "0s"
	case d < 2*time.Minute:
		return fmt.Sprintf("%ds", d/time.Second)
	case d < 10*time.Minute:
		return two(time.Minute, "m", time.Second, "s")
	case d < 3*time.Hour:
		return fmt.Sprintf("%dm", d/time.Minute)
	case d < 8*time.Hour:
		return two(time.Hour, "h", time.Minute, "m")
	case d < 2*day:
		return fmt.Sprintf("%dh", d/time.Hour)
	case d < 8*day:
		return two(day, "d", time.Hour, "h")
	case d < 2*year:
		return fmt.Sprintf("%dd", d/day)
	case d < 8*year:
		return two(year, "y", day, "d")
	}
	return fmt.Sprintf("%dy", d/year)
}
