package apiserver_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubesa/serviceaccount/fake/apiserver"
)

const asTable = "Accept: application/json;as=Table;v=v1;g=meta.k8s.io,application/json"

// What kubectl shows of objects.
func TestAPITables(t *testing.T) {
	a := newAPI(t, apiserver.Config{})
	a.authority.Advance(3*time.Hour + 5*time.Minute)
	for path, want := range map[string][]string{
		"/api/v1/namespaces":                     {"ci Active 3h5m", "default Active 3h5m"},
		"/api/v1/namespaces/ci":                  {"ci Active 3h5m"},
		"/api/v1/namespaces/ci/serviceaccounts":  {"builder 0 3h5m", "default 0 0s"},
		"/api/v1/namespaces/ci/secrets":          {"password Opaque 1 3h5m"},
		"/api/v1/namespaces/ci/events":           {},
		"/api/v1/namespaces/ci/pods?limit=1":     {"web 0/1  0 3h5m <none> <none>"},
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
		got := []string{}
		for _, row := range table.Rows {
			got = append(got, strings.TrimSpace(fmt.Sprintln(row.Cells...)))
			if len(row.Cells) != len(table.ColumnDefinitions) {
				t.Errorf("%s: %d cells for %d columns", path, len(row.Cells), len(table.ColumnDefinitions))
			}
		}
		if diff := cmp.Diff(want, got); diff != "" || len(table.ColumnDefinitions) == 0 {
			t.Errorf("%s with %d columns (-want +got):\n%s", path, len(table.ColumnDefinitions), diff)
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
		"":    "SecretList",
		"*/*": "SecretList",
		"application/json;as=Table;v=v1;g=meta.k8s.io":                                       "Table",
		"application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io, application/json": "PartialObjectMetadataList",
		"text/html": "Status",
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
