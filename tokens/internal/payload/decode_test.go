package payload_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/kubesa/serviceaccount/internal/strictjson"
	"github.com/kubesa/serviceaccount/tokens/internal/payload"
)

// read decodes and checks the claims of text.
func read(legacy bool, cluster, text string) (*payload.Claims, *payload.Fault) {
	c := payload.New(legacy, cluster)
	for name, value := range strictjson.Members(text) {
		if fault := c.Decode(name, value); fault != nil {
			return nil, fault
		}
	}
	return c, c.Check()
}

const boundText = `{"aud":["a","b"],"exp":1767272400,"iat":1767268800,"jti":"id-1","kubernetes.io":{"namespace":"ci",` +
	`"serviceaccount":{"name":"builder","uid":"u1"}},"nbf":1767268801,"sub":"system:serviceaccount:ci:builder"}`

func boundClaims() *payload.Claims {
	c := payload.New(false, "")
	c.SetID("id-1")
	c.Subject, c.Audiences = "system:serviceaccount:ci:builder", []string{"a", "b"}
	c.Expiry, c.IssuedAt, c.NotBefore = 1767272400, 1767268800, 1767268801
	c.Namespace, c.Account = "ci", payload.Ref{Name: "builder", UID: "u1"}
	return c
}

const legacyPrefix = "kubernetes.io/serviceaccount/"

const legacyText = `{"` + legacyPrefix + `namespace":"ci","` + legacyPrefix + `secret.name":"t","` + legacyPrefix + `service-account.name":"builder","` +
	legacyPrefix + `service-account.uid":"u1","sub":"system:serviceaccount:ci:builder"}`

func legacyClaims() *payload.Claims {
	c := payload.New(true, "")
	c.Subject, c.Namespace = "system:serviceaccount:ci:builder", "ci"
	c.Account, c.Secret = payload.Ref{Name: "builder", UID: "u1"}, payload.Ref{Name: "t"}
	return c
}

// audiences returns n different ones as JSON.
func audiences(n int) string {
	var list []string
	for i := range n {
		list = append(list, fmt.Sprintf(`"%d"`, i))
	}
	return "[" + strings.Join(list, ",") + "]"
}

// A row changes one thing of a good payload: what follows, or which claim is wrong.
type row struct {
	name, old, new string
	want           func(*payload.Claims)
	fault          string // the text of the Fault
}

func testRead(t *testing.T, legacy bool, cluster, text string, good func() *payload.Claims, rows []row) {
	t.Helper()
	for _, tt := range rows {
		t.Run(tt.name, func(t *testing.T) {
			if !strings.Contains(text, tt.old) {
				t.Fatalf("the payload has no %s", tt.old)
			}
			got, fault := read(legacy, cluster, strings.Replace(text, tt.old, tt.new, 1))
			if tt.fault != "" {
				if fault == nil || fault.Error() != tt.fault {
					t.Errorf("the fault is %v, want %s", fault, tt.fault)
				}
				return
			}
			want := good()
			if tt.want != nil {
				tt.want(want)
			}
			if fault != nil {
				t.Fatal(fault)
			}
			if diff := cmp.Diff(want, got, cmpopts.IgnoreUnexported(payload.Claims{})); diff != "" {
				t.Errorf("claims (-want +got):\n%s", diff)
			}
		})
	}
}

func TestDecodeBound(t *testing.T) {
	const namespace = `"namespace":"ci"`
	more := func(members string) string { return namespace + "," + members }
	object := func(apiVersion, kind, name, uid string) string {
		return more(fmt.Sprintf(`"object":{"apiVersion":%s,"kind":%s,"name":%s,"uid":%s}`, apiVersion, kind, name, uid))
	}
	invalid := func(claim string) string { return fmt.Sprintf("claim %q is invalid", claim) }
	missing := func(claim string) string { return fmt.Sprintf("claim %q is missing", claim) }
	job := payload.Ref{Name: "x", UID: "u2"}
	rows := []row{
		{name: "good"},
		{name: "unknown claims", old: namespace, new: more(`"x":1,"y":{}`)},
		{name: "pod and node", old: namespace, new: more(`"pod":{"name":"x","uid":"u2","z":1},"node":{"name":"x","uid":"u2"}`), want: func(c *payload.Claims) { c.Pod, c.Node = job, job }},
		{name: "node", old: namespace, new: more(`"node":{"name":"x","uid":"u2"}`), want: func(c *payload.Claims) { c.Node = job }},
		{name: "secret", old: namespace, new: more(`"secret":{"name":"x","uid":"u2"}`), want: func(c *payload.Claims) { c.Secret = job }},
		{name: "validating webhook", old: namespace, new: more(`"validatingwebhookconfiguration":{"name":"x","uid":"u2"},"attestations":{"a":[],"b":["x","y"]}`), want: func(c *payload.Claims) {
			c.Validating, c.Attestations = job, map[string][]string{"a": {}, "b": {"x", "y"}}
		}},
		{name: "mutating webhook", old: namespace, new: more(`"mutatingwebhookconfiguration":{"name":"x","uid":"u2"}`), want: func(c *payload.Claims) { c.Mutating = job }},
		{name: "further kind", old: namespace, new: object(`"batch/v1"`, `"Job"`, `"x"`, `"u2"`), want: func(c *payload.Claims) {
			c.Object = payload.Object{APIVersion: "batch/v1", Kind: "Job", Name: "x", UID: "u2"}
		}},
		{name: "warnafter", old: namespace, new: more(`"warnafter":7`), want: func(c *payload.Claims) { c.WarnAfter = 7 }},
		{name: "one audience as text", old: `["a","b"]`, new: `"a"`, want: func(c *payload.Claims) { c.Audiences = []string{"a"} }},
		{name: "64 audiences", old: `["a","b"]`, new: audiences(64), want: func(c *payload.Claims) {
			c.Audiences = nil
			for i := range 64 {
				c.Audiences = append(c.Audiences, fmt.Sprint(i))
			}
		}},
		{name: "the last second of 9999", old: "1767272400", new: "253402300799", want: func(c *payload.Claims) { c.Expiry = payload.MaxTime }},
		{name: "no iat", old: `"iat":1767268800,`, want: func(c *payload.Claims) { c.IssuedAt = payload.NoTime }},
		{name: "no nbf", old: `"nbf":1767268801,`, want: func(c *payload.Claims) { c.NotBefore = payload.NoTime }},
		{name: "no jti", old: `"jti":"id-1",`, want: func(c *payload.Claims) { c.SetID("") }},

		{name: "65 audiences", old: `["a","b"]`, new: audiences(65), fault: invalid("aud")},
		{name: "an audience twice", old: `["a","b"]`, new: `["a","b","a"]`, fault: invalid("aud")},
		{name: "audience number", old: `["a","b"]`, new: `1`, fault: invalid("aud")},
		{name: "audiences with a number", old: `["a","b"]`, new: `["a",1]`, fault: invalid("aud")},
		{name: "no audience", old: `"aud":["a","b"],`, fault: missing("aud")},
		{name: "empty audiences", old: `["a","b"]`, new: `[]`, fault: missing("aud")},
		{name: "jti number", old: `"id-1"`, new: `1`, fault: invalid("jti")},
		{name: "no exp", old: `"exp":1767272400,`, fault: missing("exp")},
		{name: "negative exp", old: "1767272400", new: "-1", fault: invalid("exp")},
		{name: "minus zero as exp", old: "1767272400", new: "-0", fault: invalid("exp")},
		{name: "exp after 9999", old: "1767272400", new: "253402300800", fault: invalid("exp")},
		{name: "exp text", old: "1767272400", new: `"1"`, fault: invalid("exp")},
		{name: "iat text", old: "1767268800", new: `"1"`, fault: invalid("iat")},
		{name: "nbf text", old: "1767268801", new: `"1"`, fault: invalid("nbf")},
		{name: "no sub", old: `,"sub":"system:serviceaccount:ci:builder"`, fault: missing("sub")},
		{name: "sub number", old: `"system:serviceaccount:ci:builder"`, new: `1`, fault: invalid("sub")},
		{name: "sub of another account", old: `ci:builder"`, new: `ci:buildex"`, fault: invalid("sub")},
		{name: "no private claim", old: `"kubernetes.io"`, new: `"other"`, fault: missing("kubernetes.io")},
		{name: "private claim a list", old: boundText[strings.Index(boundText, `{"namespace"`):strings.Index(boundText, `,"nbf"`)], new: `[]`, fault: invalid("kubernetes.io")},
		{name: "no namespace", old: namespace, new: `"x":1`, fault: missing("namespace")},
		{name: "namespace number", old: `"ci"`, new: `1`, fault: invalid("namespace")},
		{name: "no account", old: `"serviceaccount"`, new: `"x"`, fault: missing("serviceaccount")},
		{name: "account text", old: `{"name":"builder","uid":"u1"}`, new: `"builder"`, fault: invalid("serviceaccount")},
		{name: "account name number", old: `"builder"`, new: `1`, fault: invalid("serviceaccount")},
		{name: "account UID number", old: `"u1"`, new: `1`, fault: invalid("serviceaccount")},
		{name: "account without UID", old: `,"uid":"u1"`, fault: missing("serviceaccount")},
		{name: "account that can't be", old: `"name":"builder"`, new: `"name":"a:b"`, fault: invalid("serviceaccount")},
		{name: "warnafter text", old: namespace, new: more(`"warnafter":"1"`), fault: invalid("warnafter")},
		{name: "attestations a list", old: namespace, new: more(`"attestations":[]`), fault: invalid("attestations")},
		{name: "attestation text", old: namespace, new: more(`"attestations":{"a":"b"}`), fault: invalid("attestations")},
		{name: "attestation number", old: namespace, new: more(`"attestations":{"a":[1]}`), fault: invalid("attestations")},
		{name: "object of no kind", old: namespace, new: object(`"batch/v1"`, `""`, `"x"`, `"u2"`), fault: invalid("object")},
		{name: "object of no version", old: namespace, new: object(`""`, `"Job"`, `"x"`, `"u2"`), fault: invalid("object")},
		{name: "object of no name", old: namespace, new: object(`"batch/v1"`, `"Job"`, `""`, `"u2"`), fault: invalid("object")},
		{name: "object of no UID", old: namespace, new: object(`"batch/v1"`, `"Job"`, `"x"`, `""`), fault: invalid("object")},
		{name: "object name number", old: namespace, new: object(`"batch/v1"`, `"Job"`, `1`, `"u2"`), fault: invalid("object")},
		{name: "object with a number", old: namespace, new: more(`"object":{"apiVersion":"batch/v1","kind":"Job","name":"x","uid":"u2","z":1}`), fault: invalid("object")},
		{name: "object name a path", old: namespace, new: object(`"batch/v1"`, `"Job"`, `"a/b"`, `"u2"`), fault: invalid("object")},
		{name: "object kind a path", old: namespace, new: object(`"batch/v1"`, `"Job/x"`, `"x"`, `"u2"`), fault: invalid("object")},
		{name: "two webhooks", old: namespace, new: more(`"validatingwebhookconfiguration":{"name":"x","uid":"u2"},"mutatingwebhookconfiguration":{"name":"x","uid":"u2"}`), fault: invalid("kubernetes.io")},
		{name: "pod and secret", old: namespace, new: more(`"pod":{"name":"x"},"secret":{"name":"x"}`), fault: invalid("kubernetes.io")},
		{name: "node and secret", old: namespace, new: more(`"node":{"name":"x"},"secret":{"name":"x"}`), fault: invalid("kubernetes.io")},
		{name: "object and pod", old: namespace, new: object(`"batch/v1"`, `"Job"`, `"x"`, `"u2"`) + `,"pod":{"name":"x"}`, fault: invalid("kubernetes.io")},
	}
	for _, claim := range []string{"pod", "secret", "node", "validatingwebhookconfiguration", "mutatingwebhookconfiguration"} {
		for name, value := range map[string]string{"a number": "1", "without name": `{"uid":"u2"}`, "with a name number": `{"name":1}`, "with a UID number": `{"name":"x","uid":1}`, "with a name that can't be": `{"name":"a/b","uid":"u2"}`} {
			rows = append(rows, row{name: claim + " " + name, old: namespace, new: more(`"` + claim + `":` + value), fault: invalid(claim)})
		}
	}
	for _, claim := range []string{"namespace", "secret.name", "service-account.name", "service-account.uid"} {
		rows = append(rows, row{name: "the Secret-based " + claim, old: `"nbf"`, new: `"` + legacyPrefix + claim + `":"x","nbf"`, fault: invalid(legacyPrefix + claim)})
	}
	testRead(t, false, "", boundText, boundClaims, rows)
	testRead(t, false, "cluster", boundText, boundClaims, []row{
		{name: "cluster", old: namespace, new: more(`"cluster":"c","x":"y"`), want: func(c *payload.Claims) { c.Cluster = "c" }},
		{name: "no cluster", fault: missing("cluster")},
		{name: "cluster number", old: namespace, new: more(`"cluster":1`), fault: invalid("cluster")},
		{name: "cluster and no sub", old: `,"sub":"system:serviceaccount:ci:builder"`, fault: missing("sub")},
		{name: "cluster of a Secret-based token", old: `"nbf"`, new: `"` + legacyPrefix + `cluster":"c","nbf"`, fault: invalid(legacyPrefix + "cluster")},
	})
	testRead(t, false, "", boundText, boundClaims, []row{{name: "no claim of a cluster", old: `"nbf"`, new: `"` + legacyPrefix + `":1,"nbf"`}, {name: "a member without a name", old: namespace, new: more(`"":1`)}})
}

func TestDecodeLegacy(t *testing.T) {
	invalid := func(claim string) string { return fmt.Sprintf("claim %q is invalid", claim) }
	missing := func(claim string) string { return fmt.Sprintf("claim %q is missing", claim) }
	rows := []row{
		{name: "good"},
		{name: "with times", old: `"sub"`, new: `"exp":1,"iat":2,"nbf":3,"jti":"id-1","aud":"a","x":1,"sub"`, want: func(c *payload.Claims) {
			c.Expiry, c.IssuedAt, c.NotBefore, c.Audiences = 1, 2, 3, []string{"a"}
			c.SetID("id-1")
		}},
		{name: "exp text", old: `"sub"`, new: `"exp":"1","sub"`, fault: invalid("exp")},
		{name: "bound", old: `"sub"`, new: `"kubernetes.io":{},"sub"`, fault: invalid("kubernetes.io")},
		{name: "no sub", old: `"sub"`, new: `"x"`, fault: missing("sub")},
		{name: "sub of another account", old: `ci:builder"`, new: `ci:other"`, fault: invalid("sub")},
		{name: "secret that can't be", old: `"t"`, new: `"a/b"`, fault: invalid("secretName")},
		{name: "account that can't be", old: `"builder"`, new: `"a:b"`, fault: invalid("sub")},
		{name: "account that can't be, with its sub", old: legacyText[strings.Index(legacyText, `"builder"`):], new: `"a:b","` + legacyPrefix + `service-account.uid":"u1","sub":"system:serviceaccount:ci:a:b"}`, fault: invalid("sub")},
	}
	for claim, value := range map[[2]string]string{{"namespace", "namespace"}: `"ci"`, {"secret.name", "secretName"}: `"t"`, {"service-account.name", "serviceAccountName"}: `"builder"`, {"service-account.uid", "serviceAccountUID"}: `"u1"`} {
		member := `"` + legacyPrefix + claim[0] + `":`
		rows = append(rows,
			row{name: "no " + claim[0], old: member, new: `"x` + claim[0] + `":`, fault: missing(claim[1])},
			row{name: "empty " + claim[0], old: member + value, new: member + `""`, fault: missing(claim[1])},
			row{name: claim[0] + " number", old: member + value, new: member + "1", fault: invalid(claim[1])})
	}
	testRead(t, true, "", legacyText, legacyClaims, rows)
	testRead(t, true, "cluster", legacyText, legacyClaims, []row{
		{name: "cluster", old: `"sub"`, new: `"` + legacyPrefix + `cluster":"c","` + legacyPrefix + `x":"y","sub"`, want: func(c *payload.Claims) { c.Cluster = "c" }},
		{name: "no cluster", fault: missing("cluster")},
		{name: "cluster without the prefix", old: `"sub"`, new: `"cluster":"c","sub"`, fault: missing("cluster")},
		{name: "cluster number", old: `"sub"`, new: `"` + legacyPrefix + `cluster":1,"sub"`, fault: invalid("cluster")},
	})
	testRead(t, true, "", legacyText, legacyClaims, []row{{name: "no claim of a cluster", old: `"sub"`, new: `"` + legacyPrefix + `":1,"sub"`}})
}

// Others are the texts that Kubernetes gives no meaning.
func TestOthers(t *testing.T) {
	for _, tt := range []struct {
		legacy      bool
		name, value string
		want        map[string]string
	}{
		{false, "kubernetes.io", `{"namespace":"ci","clusterName":"c","x":1,"y":"z"}`, map[string]string{"clusterName": "c", "y": "z"}},
		{false, "other", `{"clusterName":"c"}`, map[string]string{}},
		{true, legacyPrefix + "clusterName", `"c"`, map[string]string{"clusterName": "c"}},
		{true, legacyPrefix + "clusterName", `1`, map[string]string{}},
		{true, legacyPrefix + "secret.name", `"c"`, map[string]string{}},
		{true, "kubernetes.io", `{"clusterName":"c"}`, map[string]string{}},
		{true, "clusterName", `"c"`, map[string]string{}},
	} {
		got := map[string]string{}
		for name, text := range payload.Others(tt.legacy, tt.name, tt.value) {
			got[name] = text
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("Others(%t, %s) (-want +got):\n%s", tt.legacy, tt.name, diff)
		}
	}
	for name := range payload.Others(false, "kubernetes.io", `{"x":"1","y":"2"}`) {
		if name != "x" {
			t.Errorf("got %s after the end", name)
		}
		break
	}
}

func TestObjectComplete(t *testing.T) {
	good := payload.Object{APIVersion: "v1", Kind: "K", Name: "n", UID: "u"}
	for what, change := range map[string]func(*payload.Object){
		"version": func(o *payload.Object) { o.APIVersion = "" }, "kind": func(o *payload.Object) { o.Kind = "" },
		"name": func(o *payload.Object) { o.Name = "" }, "UID": func(o *payload.Object) { o.UID = "" },
	} {
		o := good
		change(&o)
		if !good.Complete() || o.Complete() {
			t.Errorf("Complete() = %t with, %t without a %s", good.Complete(), o.Complete(), what)
		}
	}
}

func TestTime(t *testing.T) {
	for seconds, want := range map[int64]time.Time{payload.NoTime: {}, 0: {}, 1: time.Unix(1, 0)} {
		if got := payload.Time(seconds); !got.Equal(want) {
			t.Errorf("Time(%d) = %v, want %v", seconds, got, want)
		}
	}
}
