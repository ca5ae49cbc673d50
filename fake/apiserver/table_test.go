package apiserver_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubesa/serviceaccount/fake"
	"github.com/kubesa/serviceaccount/fake/apiserver"
)

const asTable = "Accept: application/json;as=Table;v=v1;g=meta.k8s.io,application/json"

// show returns a table as lines: the header, and the rows. Columns for -o wide
// are in brackets.
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

// What kubectl shows of each kind.
func TestAPITables(t *testing.T) {
	a := newAPI(t, apiserver.Config{})
	running := goodPod("running")
	running.Spec.NodeName = "n1"
	running.Spec.Containers = append(running.Spec.Containers, corev1.Container{Name: "more", Image: "busybox"})
	running.Status = corev1.PodStatus{Phase: corev1.PodRunning, PodIP: "10.0.0.1", ContainerStatuses: []corev1.ContainerStatus{
		{Ready: true, RestartCount: 2},
		{RestartCount: 1, State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "CrashLoopBackOff"}}},
	}}
	done := goodPod("done")
	done.Status = corev1.PodStatus{Phase: corev1.PodSucceeded, ContainerStatuses: []corev1.ContainerStatus{
		{State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{Reason: "Completed"}}},
	}}
	evicted := goodPod("evicted")
	evicted.Status = corev1.PodStatus{Phase: corev1.PodFailed, Reason: "Evicted"}
	leaving := goodPod("leaving")
	leaving.Finalizers = []string{"example.com/wait"}
	leaving.DeletionTimestamp = new(metav1.NewTime(fake.Epoch))
	account := &corev1.ServiceAccount{ObjectMeta: meta("ci", "two"), Secrets: []corev1.ObjectReference{{Name: "a"}, {Name: "b"}}}
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n1", Labels: map[string]string{"node-role.kubernetes.io/worker": "", "node-role.kubernetes.io/control-plane": ""}}}
	node.Status = corev1.NodeStatus{Conditions: []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue}}, NodeInfo: corev1.NodeSystemInfo{KubeletVersion: "v1.37.0"}}
	drained := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n2"}, Spec: corev1.NodeSpec{Unschedulable: true}}
	broken := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n3"}}
	broken.Status.Conditions = []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionUnknown}}
	settings := &corev1.ConfigMap{ObjectMeta: meta("ci", "settings"), Data: map[string]string{"a": "b"}, BinaryData: map[string][]byte{"c": {1}}}
	if err := a.cluster.Load(running, done, evicted, leaving, account, node, drained, broken, settings); err != nil {
		t.Fatal(err)
	}
	a.authority.Advance(3*time.Hour + 5*time.Minute)
	for path, want := range map[string][]string{
		"/api/v1/namespaces":                     {"Name Status Age", "ci Active 3h5m", "default Active 3h5m"},
		"/api/v1/namespaces/ci":                  {"Name Status Age", "ci Active 3h5m"},
		"/api/v1/nodes":                          {"Name Status Roles Age Version", "n1 Ready control-plane,worker 3h5m v1.37.0", "n2 Unknown,SchedulingDisabled <none> 3h5m ", "n3 NotReady <none> 3h5m "},
		"/api/v1/namespaces/ci/serviceaccounts":  {"Name Secrets Age", "builder 0 3h5m", "default 0 0s", "two 2 3h5m"},
		"/api/v1/namespaces/ci/secrets":          {"Name Type Data Age", "password Opaque 1 3h5m"},
		"/api/v1/namespaces/ci/configmaps":       {"Name Data Age", "settings 2 3h5m"},
		"/api/v1/namespaces/ci/events":           {"Last Seen Type Reason Object Message"},
		"/api/v1/namespaces/default/secrets":     {"Name Type Data Age"},
		"/api/v1/namespaces/ci/pods?limit=1":     {"Name Ready Status Restarts Age [IP] [Node]", "done 0/1 Completed 0 3h5m <none> <none>"},
		"/api/v1/namespaces/ci/pods/evicted":     {"Name Ready Status Restarts Age [IP] [Node]", "evicted 0/1 Evicted 0 3h5m <none> <none>"},
		"/api/v1/namespaces/ci/pods/leaving":     {"Name Ready Status Restarts Age [IP] [Node]", "leaving 0/1 Terminating 0 3h5m <none> <none>"},
		"/api/v1/namespaces/ci/pods/running":     {"Name Ready Status Restarts Age [IP] [Node]", "running 1/2 CrashLoopBackOff 3 3h5m 10.0.0.1 n1"},
		"/api/v1/pods?fieldSelector=status.x":    nil, // an error stays a Status
		"/api/v1/namespaces/ci/secrets/nonesuch": nil,
	} {
		if want == nil {
			if _, body := a.do("GET "+path, "", asTable); !strings.Contains(body, `"kind":"Status"`) {
				t.Errorf("%s: got %s, want a Status", path, body)
			}
			continue
		}
		table := ok[metav1.Table](t, a, "GET "+path, "", asTable)
		if table.Kind != "Table" || table.APIVersion != "meta.k8s.io/v1" || table.ResourceVersion == "" {
			t.Errorf("%s: got a %s of %s at %q", path, table.Kind, table.APIVersion, table.ResourceVersion)
		}
		if diff := cmp.Diff(want, show(table)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", path, diff)
		}
	}
}

// Rows have the metadata of their objects, or what includeObject asks for.
func TestAPITableObjects(t *testing.T) {
	a := newAPI(t, apiserver.Config{})
	for query, want := range map[string]string{
		"":                        `{"kind":"PartialObjectMetadata","apiVersion":"meta.k8s.io/v1","metadata":{"name":"password"`,
		"?includeObject=Metadata": `{"kind":"PartialObjectMetadata","apiVersion":"meta.k8s.io/v1","metadata":{"name":"password"`,
		"?includeObject=None":     `null`,
		"?includeObject=Object":   `{"kind":"Secret","apiVersion":"v1","metadata":{"name":"password"`,
	} {
		var table struct {
			Rows []struct{ Object json.RawMessage }
		}
		_, body := a.do("GET /api/v1/namespaces/ci/secrets"+query, "", asTable)
		if err := json.Unmarshal([]byte(body), &table); err != nil || len(table.Rows) != 1 {
			t.Fatalf("%q: %v in %s", query, err, body)
		}
		if got := string(table.Rows[0].Object); !strings.HasPrefix(got, want) {
			t.Errorf("%q: got %s, want %s", query, got, want)
		}
		if got := string(table.Rows[0].Object); query != "?includeObject=Object" && strings.Contains(got, hunter) {
			t.Errorf("%q shows the Secret: %s", query, got)
		}
	}
}

// The first form that can be served is.
func TestAPINegotiates(t *testing.T) {
	a := newAPI(t, apiserver.Config{})
	for accept, want := range map[string]string{
		"":                 "SecretList",
		"*/*":              "SecretList",
		"application/*":    "SecretList",
		"application/json": "SecretList",
		"application/json;as=Table;v=v1;g=meta.k8s.io":                                                           "Table",
		"application/json;as=Table;v=v2;g=meta.k8s.io, application/json;as=Table;g=meta.k8s.io;v=v1":             "Table",
		"application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io, application/json":                     "PartialObjectMetadataList",
		"application/json;as=APIGroupDiscoveryList;v=v2;g=apidiscovery.k8s.io, application/json":                 "SecretList",
		"application/vnd.kubernetes.protobuf;as=Table;v=v1;g=meta.k8s.io, application/json;q=0.5, text/html;q=1": "SecretList",
		";;, application/json": "SecretList",
		"text/html":            "Status",
	} {
		var headers []string
		if accept != "" {
			headers = append(headers, "Accept: "+accept)
		}
		_, body := a.do("GET /api/v1/secrets", "", headers...)
		var got metav1.TypeMeta
		if err := json.Unmarshal([]byte(body), &got); err != nil || got.Kind != want {
			t.Errorf("%q: got a %s (%v), want a %s", accept, got.Kind, err, want)
		}
	}
}

// Whoever asks for metadata sees nothing else, least of all Secrets.
func TestAPIPartialMetadata(t *testing.T) {
	a := newAPI(t, apiserver.Config{})
	const accept = "Accept: application/json;v=v1;g=meta.k8s.io;as=PartialObjectMetadata"
	one := ok[metav1.PartialObjectMetadata](t, a, "GET /api/v1/namespaces/ci/secrets/password", "", accept)
	list := ok[metav1.PartialObjectMetadataList](t, a, "GET /api/v1/namespaces/ci/secrets", "", accept+"List")
	if one.Kind != "PartialObjectMetadata" || one.Name != "password" || list.ResourceVersion == "" || len(list.Items) != 1 {
		t.Fatalf("got %+v, %+v", one, list)
	}
	if diff := cmp.Diff(*one, list.Items[0]); diff != "" {
		t.Errorf("one and list (-one +list):\n%s", diff)
	}
	if _, body := a.do("GET /api/v1/namespaces/ci/secrets", "", accept); strings.Contains(body, hunter) {
		t.Errorf("the metadata shows the Secret: %s", body)
	}
	next := stream(t, a.serve(t), "/api/v1/secrets?watch=true", accept)
	if got := next(); got != "ADDED PartialObjectMetadata password@4" {
		t.Errorf("got %s", got)
	}
}

// Ages are as short as kubectl's.
func TestAPIAges(t *testing.T) {
	a := newAPI(t, apiserver.Config{})
	a.do("GET /version", "")
	for age, want := range map[time.Duration]string{
		-time.Hour: "<invalid>", -time.Second: "0s", 0: "0s", 119 * time.Second: "119s",
		2 * time.Minute: "2m", 9*time.Minute + 59*time.Second: "9m59s", 10*time.Minute + time.Second: "10m", 179 * time.Minute: "179m",
		3 * time.Hour: "3h", 7*time.Hour + 59*time.Minute: "7h59m", 8*time.Hour + time.Minute: "8h", 47 * time.Hour: "47h",
		48 * time.Hour: "2d", 7*24*time.Hour + 23*time.Hour: "7d23h", 8*24*time.Hour + time.Hour: "8d", 729 * 24 * time.Hour: "729d",
		730 * 24 * time.Hour: "2y", 1000 * 24 * time.Hour: "2y270d", 8 * 365 * 24 * time.Hour: "8y",
	} {
		a.authority.Advance(age)
		table := ok[metav1.Table](t, a, "GET /api/v1/namespaces/ci", "", asTable)
		if got := table.Rows[0].Cells[2]; got != want {
			t.Errorf("%v: got %v, want %v", age, got, want)
		}
		a.authority.Advance(-age)
	}
}
