package view_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	certificatesv1 "k8s.io/api/certificates/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubesa/serviceaccount/fake"
	"github.com/kubesa/serviceaccount/fake/apiserver/internal/view"
	"github.com/kubesa/serviceaccount/fake/internal/object"
)

// The first form that can be served is.
func TestNegotiate(t *testing.T) {
	table, metadata, list := view.View{Table: true}, view.View{Metadata: true}, view.View{Metadata: true, OfList: true}
	const asTable, asMetadata = "application/json;as=Table;v=v1;g=meta.k8s.io", "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io"
	for _, tt := range []struct {
		accept   string // headers, with | between them
		other    bool   // what is served is no object
		watching bool
		want     view.View
		refused  bool
	}{
		{accept: "*/*"},
		{accept: "application/*"},
		{accept: "application/json"},
		{accept: "application/json|text/html"},
		{accept: "text/html|application/json"},
		{accept: asTable, want: table},
		{accept: "application/json;as=Table;v=v2;g=meta.k8s.io, application/json;as=Table;g=meta.k8s.io;v=v1", want: table},
		{accept: "application/json;as=Table;v=v1;g=example.org", refused: true},
		{accept: "application/json;as=Tables;v=v1;g=meta.k8s.io", refused: true},
		{accept: asMetadata, want: metadata},
		{accept: "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io, application/json", want: list},
		{accept: "application/json;as=APIGroupDiscoveryList;v=v2;g=apidiscovery.k8s.io, application/json"},
		{accept: asTable, other: true, refused: true},
		{accept: asTable + ", application/json", other: true},
		{accept: "application/vnd.kubernetes.protobuf;as=Table;v=v1;g=meta.k8s.io, application/json;q=0.5, text/html;q=1"},
		{accept: asTable + ";q=0.5, application/json"},
		{accept: asTable + ";q=0.5, " + asMetadata + ";q=0.6", want: metadata},
		{accept: asTable + ";q=0, " + asMetadata + ";q=0.1", want: metadata},
		{accept: asTable + ";q=-1", refused: true},
		{accept: asTable + ";q=0", refused: true},
		{accept: "application/json;as=Table;v=v2;g=meta.k8s.io", refused: true},
		{accept: "application/json;=", refused: true},
		{accept: asTable + ";q=high", want: table},
		{accept: asTable + ", " + asMetadata, want: table},
		{accept: ";;, application/json"},
		{accept: ";;", refused: true},
		{accept: " , "},
		{accept: "text/html", refused: true},
		{accept: "application/json;stream=watch", refused: true},
		{accept: "application/json;stream=watch", watching: true},
		{accept: "application/json;stream=other", watching: true, refused: true},
	} {
		got, ok := view.Negotiate(strings.Split(tt.accept, "|"), !tt.other, tt.watching)
		if ok == tt.refused || got != tt.want {
			t.Errorf("Negotiate(%q) = %+v, %v; want %+v, %v", tt.accept, got, ok, tt.want, !tt.refused)
		}
	}
	if got, ok := view.Negotiate(nil, true, false); !ok || got != (view.View{}) {
		t.Errorf("Negotiate() = %+v, %v without a header, want the whole", got, ok)
	}
}

// show returns a table as lines: the header, and the rows. Columns for -o wide are in
// brackets.
func show(table *metav1.Table) []string {
	var names []string
	for _, col := range table.ColumnDefinitions {
		name := col.Name
		if col.Priority > 0 {
			name = "[" + name + "]"
		}
		names = append(names, name)
	}
	lines := []string{strings.Join(names, " ")}
	for _, row := range table.Rows {
		var cells []string
		for _, cell := range row.Cells {
			cells = append(cells, fmt.Sprint(cell))
		}
		lines = append(lines, strings.Join(cells, " "))
	}
	return lines
}

func meta(name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Name: name, CreationTimestamp: metav1.NewTime(fake.Epoch)}
}

// pod returns one with n containers.
func pod(name string, n int, status corev1.PodStatus) *corev1.Pod {
	return &corev1.Pod{ObjectMeta: meta(name), Spec: corev1.PodSpec{Containers: make([]corev1.Container, n)}, Status: status}
}

// What kubectl shows of each kind.
func TestTable(t *testing.T) {
	running := pod("running", 2, corev1.PodStatus{Phase: corev1.PodRunning, PodIP: "10.0.0.1", ContainerStatuses: []corev1.ContainerStatus{
		{Ready: true, RestartCount: 2},
		{RestartCount: 1, State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "CrashLoopBackOff"}}},
	}})
	running.Spec.NodeName = "n1"
	done := pod("done", 1, corev1.PodStatus{Phase: corev1.PodSucceeded, ContainerStatuses: []corev1.ContainerStatus{
		{State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{Reason: "Completed"}}},
	}})
	silent := pod("silent", 1, corev1.PodStatus{Phase: corev1.PodRunning, ContainerStatuses: []corev1.ContainerStatus{
		{State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{}}}, {State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{}}},
	}})
	evicted := pod("evicted", 1, corev1.PodStatus{Phase: corev1.PodFailed, Reason: "Evicted"})
	leaving := pod("leaving", 1, corev1.PodStatus{Phase: corev1.PodRunning})
	leaving.DeletionTimestamp = new(metav1.NewTime(fake.Epoch))
	node := &corev1.Node{ObjectMeta: meta("n1")}
	node.Labels = map[string]string{"node-role.kubernetes.io/worker": "", "node-role.kubernetes.io/control-plane": "", "node-role.kubernetes.io/": "", "other": "x"}
	node.Status = corev1.NodeStatus{
		Conditions: []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue}, {Type: corev1.NodeDiskPressure}},
		NodeInfo:   corev1.NodeSystemInfo{KubeletVersion: "v1.37.0"},
	}
	drained := &corev1.Node{ObjectMeta: meta("n2"), Spec: corev1.NodeSpec{Unschedulable: true}}
	broken := &corev1.Node{ObjectMeta: meta("n3"), Status: corev1.NodeStatus{Conditions: []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionUnknown}}}}
	for _, tt := range []struct {
		kind  *object.Kind
		items []object.Object
		want  []string
	}{
		{object.Namespaces, []object.Object{&corev1.Namespace{ObjectMeta: meta("ci"), Status: corev1.NamespaceStatus{Phase: corev1.NamespaceActive}}}, []string{"Name Status Age", "ci Active 3h5m"}},
		{object.Nodes, []object.Object{node, drained, broken}, []string{"Name Status Roles Age Version", "n1 Ready control-plane,worker 3h5m v1.37.0", "n2 Unknown,SchedulingDisabled <none> 3h5m ", "n3 NotReady <none> 3h5m "}},
		{object.ServiceAccounts, []object.Object{&corev1.ServiceAccount{ObjectMeta: meta("two"), Secrets: make([]corev1.ObjectReference, 2)}}, []string{"Name Secrets Age", "two 2 3h5m"}},
		{object.Secrets, []object.Object{&corev1.Secret{ObjectMeta: meta("s"), Type: corev1.SecretTypeOpaque, Data: map[string][]byte{"a": nil}}}, []string{"Name Type Data Age", "s Opaque 1 3h5m"}},
		{object.ConfigMaps, []object.Object{&corev1.ConfigMap{ObjectMeta: meta("m"), Data: map[string]string{"a": "b"}, BinaryData: map[string][]byte{"c": {1}}}}, []string{"Name Data Age", "m 2 3h5m"}},
		{object.ClusterTrustBundles, []object.Object{
			&certificatesv1.ClusterTrustBundle{ObjectMeta: meta("a:b"), Spec: certificatesv1.ClusterTrustBundleSpec{SignerName: "a/b"}}, &certificatesv1.ClusterTrustBundle{ObjectMeta: meta("c")},
		}, []string{"Name SignerName", "a:b a/b", "c <none>"}},
		{object.Pods, []object.Object{running, done, silent, evicted, leaving}, []string{
			"Name Ready Status Restarts Age [IP] [Node]", "running 1/2 CrashLoopBackOff 3 3h5m 10.0.0.1 n1", "done 0/1 Completed 0 3h5m <none> <none>",
			"silent 0/1 Running 0 3h5m <none> <none>", "evicted 0/1 Evicted 0 3h5m <none> <none>", "leaving 0/1 Terminating 0 3h5m <none> <none>",
		}},
		{object.Pods, nil, []string{"Name Ready Status Restarts Age [IP] [Node]"}},
	} {
		table := view.Table(tt.kind, tt.items, metav1.ListMeta{ResourceVersion: "7"}, metav1.IncludeMetadata, fake.Epoch.Add(3*time.Hour+5*time.Minute))
		if diff := cmp.Diff(tt.want, show(table)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.kind.Resource, diff)
		}
		if table.Kind != "Table" || table.APIVersion != "meta.k8s.io/v1" || table.ResourceVersion != "7" || table.Rows == nil {
			t.Errorf("%s: got %+v", tt.kind.Resource, table)
		}
		for _, column := range table.ColumnDefinitions {
			typ, format := "string", ""
			switch column.Name {
			case "Name":
				format = "name"
			case "Secrets", "Data", "Restarts":
				typ = "integer"
			}
			if wide := column.Name == "IP" || column.Name == "Node"; column.Priority != map[bool]int32{true: 1}[wide] {
				t.Errorf("%s: got %+v, want priority 1 only of what is for -o wide", tt.kind.Resource, column)
			}
			if column.Type != typ || column.Format != format || column.Description == "" {
				t.Errorf("%s: got %+v, want type %s and format %q", tt.kind.Resource, column, typ, format)
			}
		}
	}
	events := view.EventTable(metav1.ListMeta{ResourceVersion: "7"})
	if diff := cmp.Diff([]string{"Last Seen Type Reason Object Message"}, show(events)); diff != "" || events.ResourceVersion != "7" || events.Rows == nil {
		t.Errorf("got %+v (-want +got):\n%s", events, diff)
	}
}

// Rows have what was asked for, and are no part of what is stored.
func TestTableObjects(t *testing.T) {
	secret := &corev1.Secret{ObjectMeta: meta("s"), Data: map[string][]byte{"a": []byte("hunter2")}}
	for include, want := range map[metav1.IncludeObjectPolicy]string{
		"": "*v1.PartialObjectMetadata", metav1.IncludeMetadata: "*v1.PartialObjectMetadata", "other": "*v1.PartialObjectMetadata",
		metav1.IncludeNone: "<nil>", metav1.IncludeObject: "*v1.Secret",
	} {
		o := view.Table(object.Secrets, []object.Object{secret}, metav1.ListMeta{}, include, fake.Epoch).Rows[0].Object.Object
		if got := fmt.Sprintf("%T", o); got != want {
			t.Errorf("%q: got a %s, want a %s", include, got, want)
		}
		if include == metav1.IncludeObject && o.GetObjectKind().GroupVersionKind().Kind != "Secret" {
			t.Errorf("got %+v", o)
		}
		if secret.Kind != "" {
			t.Fatalf("%q: the stored object was changed", include)
		}
	}
	metadata := view.View{Metadata: true}.Of(object.Secrets, secret)
	want := &metav1.PartialObjectMetadata{TypeMeta: metav1.TypeMeta{Kind: "PartialObjectMetadata", APIVersion: "meta.k8s.io/v1"}, ObjectMeta: secret.ObjectMeta}
	if diff := cmp.Diff(want, metadata); diff != "" {
		t.Errorf("metadata (-want +got):\n%s", diff)
	}
}

// Ages are as short as kubectl's.
func TestAges(t *testing.T) {
	namespace := &corev1.Namespace{ObjectMeta: meta("ci")}
	age := func(d time.Duration) any {
		return view.Table(object.Namespaces, []object.Object{namespace}, metav1.ListMeta{}, metav1.IncludeNone, fake.Epoch.Add(d)).Rows[0].Cells[2]
	}
	for d, want := range map[time.Duration]string{
		-time.Hour: "<invalid>", -time.Second: "0s", -time.Millisecond: "0s", 0: "0s", 119 * time.Second: "119s",
		2 * time.Minute: "2m", 9*time.Minute + 59*time.Second: "9m59s", 10 * time.Minute: "10m", 10*time.Minute + time.Second: "10m", 179 * time.Minute: "179m",
		3 * time.Hour: "3h", 7*time.Hour + 59*time.Minute: "7h59m", 8 * time.Hour: "8h", 8*time.Hour + time.Minute: "8h", 47 * time.Hour: "47h",
		48 * time.Hour: "2d", 7*24*time.Hour + 23*time.Hour: "7d23h", 8 * 24 * time.Hour: "8d", 8*24*time.Hour + time.Hour: "8d", 729 * 24 * time.Hour: "729d",
		730 * 24 * time.Hour: "2y", 1000 * 24 * time.Hour: "2y270d", 8 * 365 * 24 * time.Hour: "8y", 8*365*24*time.Hour + 24*time.Hour: "8y",
	} {
		if got := age(d); got != want {
			t.Errorf("%v: got %v, want %v", d, got, want)
		}
	}
	namespace.CreationTimestamp = metav1.Time{}
	if got := age(0); got != "<unknown>" {
		t.Errorf("got %v without a time, want <unknown>", got)
	}
}
