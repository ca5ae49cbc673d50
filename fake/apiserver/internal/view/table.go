package apiserver

import (
	"fmt"
	"net/http"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/kubesa/serviceaccount/fake/internal/object"
)

func gvkOf(k *object.Kind) schema.GroupVersionKind { return k.GroupVersion().WithKind(k.Name) }

func (t target) groupResource() schema.GroupResource {
	return schema.GroupResource{Group: object.GroupOf(t.resource), Resource: t.resource}
}

// sendObject answers with a copy of o, in the form that the client wants.
func (c *call) sendObject(status int, k *object.Kind, o object.Object) error {
	if c.view.ofList {
		return errNotAcceptable(fmt.Sprintf("you requested PartialObjectMetadataList, but the requested object is not a list (*core.%s)", k.Name))
	}
	if c.view.table {
		return c.sendJSON(status, c.tableOf(k, []object.Object{o}, metav1.ListMeta{ResourceVersion: o.GetResourceVersion()}))
	}
	return c.sendJSON(status, c.view.form(k, object.CopyOf(o)))
}

// form returns o, or its metadata, with its kind. It may change o.
func (v view) form(k *object.Kind, o object.Object) runtime.Object {
	if v.metadata {
		return metadataOf(o)
	}
	o.GetObjectKind().SetGroupVersionKind(gvkOf(k))
	return o
}

// sendList answers with what was found, in the form that the client wants.
func (c *call) sendList(k *object.Kind, found object.Page) error {
	if c.view.table {
		return c.sendJSON(http.StatusOK, c.tableOf(k, found.Items, found.Meta))
	}
	if c.view.metadata && !c.view.ofList {
		return errNotAcceptable(fmt.Sprintf("you requested PartialObjectMetadata, but the requested object is a list (*core.%sList)", k.Name))
	}
	if c.view.metadata {
		list := metav1.PartialObjectMetadataList{ListMeta: found.Meta}
		list.SetGroupVersionKind(metav1.SchemeGroupVersion.WithKind("PartialObjectMetadataList"))
		for _, o := range found.Items {
			list.Items = append(list.Items, *metadataOf(o))
		}
		return c.sendJSON(http.StatusOK, &list)
	}
	list := k.List(found)
	list.GetObjectKind().SetGroupVersionKind(k.GroupVersion().WithKind(k.Name + "List"))
	return c.sendJSON(http.StatusOK, list)
}

// sendEvents answers that nothing was recorded.
func (c *call) sendEvents() error {
	meta := metav1.ListMeta{ResourceVersion: c.cluster.Revision()}
	if c.view.table {
		return c.sendJSON(http.StatusOK, newTable(eventColumns(), meta))
	}
	return c.sendJSON(http.StatusOK, &corev1.EventList{
		TypeMeta: metav1.TypeMeta{Kind: "EventList", APIVersion: "v1"}, ListMeta: meta, Items: []corev1.Event{},
	})
}

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

// tableOf returns items as a table. The rows have what includeObject asks for,
// the metadata if it asks for nothing.
func (c *call) tableOf(k *object.Kind, items []object.Object, meta metav1.ListMeta) *metav1.Table {
	columns := columnsOf(k)
	table := newTable(columns, meta)
	now := c.now().Time
	for _, o := range items {
		var row metav1.TableRow
		for _, col := range columns {
			row.Cells = append(row.Cells, col.cell(o, now))
		}
		switch metav1.IncludeObjectPolicy(c.query.Get("includeObject")) {
		case metav1.IncludeNone:
		case metav1.IncludeObject:
			row.Object = runtime.RawExtension{Object: view{}.form(k, object.CopyOf(o))}
		default:
			row.Object = runtime.RawExtension{Object: metadataOf(o)}
		}
		table.Rows = append(table.Rows, row)
	}
	return table
}

// metadataOf returns o without what makes its kind.
func metadataOf(o object.Object) *metav1.PartialObjectMetadata {
	partial := new(metav1.PartialObjectMetadata)
	partial.SetGroupVersionKind(metav1.SchemeGroupVersion.WithKind("PartialObjectMetadata"))
	o.(metav1.ObjectMetaAccessor).GetObjectMeta().(*metav1.ObjectMeta).DeepCopyInto(&partial.ObjectMeta)
	return partial
}

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
