package compat

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"

	"github.com/kubesa/serviceaccount/fake"
	"github.com/kubesa/serviceaccount/fake/apiserver"
	"github.com/kubesa/serviceaccount/keys"
	"github.com/kubesa/serviceaccount/sacontroller"
)

// A wireStep is one request of a story that is told to two servers, and what of its answer
// differs on purpose.
type wireStep struct {
	request string // method and path; {continue}, {rv} and {uid} are those of the answer before
	body    string
	media   types.PatchType // of a patch; server-side apply if it is empty
	header  string          // one more, or another one
	only    string          // what is compared: "code" where the texts differ
}

// A wireClient tells a story to a server.
type wireClient struct {
	config   *rest.Config
	metadata struct{ Continue, ResourceVersion, UID string } // of the last answer
}

// compareAnswers tells story to an API server and to the fake, and compares the answers:
// code, warnings and body.
func compareAnswers(t *testing.T, story []wireStep) {
	t.Helper()
	e := startEndToEnd(t, keys.ES256)
	authority := must(fake.NewAuthority(fake.AuthorityConfig{}))
	server := httptest.NewServer(must(apiserver.New(authority, apiserver.Config{Controllers: []sacontroller.Controller{}})))
	defer server.Close()
	theirs, ours := &wireClient{config: e.server.Admin()}, &wireClient{config: &rest.Config{Host: server.URL}}
	for i, step := range story {
		want, got := theirs.ask(t, step), ours.ask(t, step)
		if step.only == "code" {
			want, got = want[:3], got[:3]
		}
		if got != want {
			t.Errorf("%d: %s %.200s\nthe fake answers  %s\nthe API server    %s", i, step.request, step.body, got, want)
		}
	}
}

func (c *wireClient) ask(t *testing.T, s wireStep) string {
	t.Helper()
	client := must(rest.HTTPClientFor(c.config))
	method, path, _ := strings.Cut(s.request, " ")
	fill := strings.NewReplacer("{continue}", c.metadata.Continue, "{rv}", c.metadata.ResourceVersion, "{uid}", c.metadata.UID)
	req := must(http.NewRequestWithContext(t.Context(), method, c.config.Host+fill.Replace(path), strings.NewReader(fill.Replace(s.body))))
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", "teller/v1")
	switch {
	case method != http.MethodPatch:
		req.Header.Set("Content-Type", "application/json")
	case s.media != "":
		req.Header.Set("Content-Type", string(s.media))
	default:
		req.Header.Set("Content-Type", string(types.ApplyYAMLPatchType))
	}
	if name, value, ok := strings.Cut(s.header, ": "); ok {
		req.Header.Set(name, value)
	}
	resp := must(client.Do(req))
	defer resp.Body.Close()
	body := must(io.ReadAll(resp.Body))
	var answer struct {
		Metadata struct{ Continue, ResourceVersion, UID string }
	}
	if json.Unmarshal(body, &answer) == nil && resp.StatusCode < 300 {
		c.metadata = answer.Metadata
	}
	warnings := resp.Header.Values("Warning")
	slices.Sort(warnings)
	var out strings.Builder
	fmt.Fprintf(&out, "%d %q", resp.StatusCode, warnings)
	for line := range bytes.Lines(body) { // the events of a watch
		out.WriteString(" " + plainAnswer(bytes.TrimSpace(line)))
	}
	return changing.ReplaceAllString(out.String(), "*")
}

// plainAnswer returns a body without what differs from run to run.
func plainAnswer(body []byte) string {
	var v any
	if err := json.Unmarshal(body, &v); err != nil {
		return string(body)
	}
	return string(must(json.Marshal(withoutRevisions(v))))
}

func withoutRevisions(v any) any {
	switch v := v.(type) {
	case map[string]any:
		delete(v, "resourceVersion")
		if v["continue"] != nil {
			v["continue"] = "*"
		}
		if v["kind"] == "Pod" || v["kind"] == "Node" {
			delete(v, "spec") // with many defaults
			delete(v, "status")
		}
		for key := range v {
			v[key] = withoutRevisions(v[key])
		}
		if entries, ok := v["managedFields"].([]any); ok {
			// They are in the order of their seconds: two requests are within one or not.
			slices.SortFunc(entries, func(a, b any) int { return strings.Compare(untimed(a), untimed(b)) })
		}
	case []any:
		for i := range v {
			v[i] = withoutRevisions(v[i])
		}
	}
	return v
}

func untimed(entry any) string {
	fields, ok := entry.(map[string]any)
	if !ok {
		return ""
	}
	fields = maps.Clone(fields)
	delete(fields, "time")
	return string(must(json.Marshal(fields)))
}
