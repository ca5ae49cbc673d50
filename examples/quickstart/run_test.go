package main

import (
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the output of the tests to testdata/golden")

// quickstart runs the program and returns its exit status and output.
func quickstart(stdin string, args ...string) (status int, stdout, stderr string) {
	var out, errs strings.Builder
	status = run(args, strings.NewReader(stdin), &out, &errs)
	return status, out.String(), errs.String()
}

func TestOutput(t *testing.T) {
	tests := []struct {
		name   string
		args   string
		status int
	}{
		{name: "story", status: exitGood},
		{name: "story-yaml", args: "-o yaml", status: exitGood},
		{name: "story-plan", args: "-o plan", status: exitGood},
		{name: "story-legacy", args: "-legacy", status: exitGood},
		{name: "usage", args: "-h", status: exitGood},
		{name: "good", args: "-f testdata/good.yaml", status: exitGood},
		{name: "good-json", args: "-o json -n elsewhere -f testdata/good.yaml", status: exitGood},
		{name: "good-legacy-yaml", args: "-legacy -o yaml -f testdata/good.yaml", status: exitGood},
		{name: "shop", args: "-f testdata/shop", status: exitDenied},
		{name: "shop-plan", args: "-f testdata/shop -o plan", status: exitDenied},
		{name: "shop-yaml", args: "-f testdata/shop -o yaml", status: exitDenied},
		{name: "shop-json", args: "-f testdata/shop -o json", status: exitDenied},
		{name: "shop-strict", args: "-strict -f testdata/shop/10-accounts.yaml -f testdata/shop/20-pods.yaml", status: exitDenied},
	}
	want := map[string]bool{}
	for _, tt := range tests {
		want[tt.name+".txt"] = true
		t.Run(tt.name, func(t *testing.T) {
			status, stdout, stderr := quickstart("", strings.Fields(tt.args)...)
			if status != tt.status || stderr != "" {
				t.Errorf("exit status %d with %q on standard error, want %d and nothing", status, stderr, tt.status)
			}
			golden(t, tt.name, withoutChance(stdout))
		})
	}
	files, err := os.ReadDir("testdata/golden")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if !want[f.Name()] {
			t.Errorf("testdata/golden/%s belongs to no test", f.Name())
		}
	}
}

// golden compares got with a file, or writes it with -update.
func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", "golden", name+".txt")
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatalf("%v; go test -update writes it", err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("output (-want +got):\n%s", diff)
	}
}

var (
	keyID        = regexp.MustCompile(`key id [\w-]{43}`)
	credentialID = regexp.MustCompile(`JTI=[0-9a-f-]{36}`)
	tokenSize    = regexp.MustCompile(`\((\d+) bytes\)`)
)

// withoutChance replaces what depends on the random keys and ids of a run.
func withoutChance(text string) string {
	text = keyID.ReplaceAllString(text, "key id KEYID")
	text = credentialID.ReplaceAllString(text, "JTI=ID")
	return tokenSize.ReplaceAllString(text, "(N bytes)")
}

func TestExitStatus(t *testing.T) {
	const pod = "apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec: {containers: [{name: c, image: i}]}\n"
	tests := []struct {
		name, stdin, args string
		status            int
		stdout, stderr    string // parts of the output
	}{
		{name: "admitted", stdin: pod, args: "-f -", status: exitGood, stdout: "1 admitted\n"},
		{name: "nothing", stdin: "# nothing\n", args: "-f -", status: exitGood, stdout: "nothing found\n"},
		{name: "only skipped", stdin: "apiVersion: v1\nkind: Service\n", args: "-f -", status: exitGood, stdout: "1 skipped\n"},
		{name: "denied", stdin: strings.Replace(pod, "spec: {", "spec: {serviceAccountName: ghost, ", 1), args: "-f -", status: exitDenied, stdout: "1 denied\n"},
		{name: "denied in JSON", stdin: strings.Replace(pod, "spec: {", "spec: {serviceAccountName: ghost, ", 1), args: "-o json -f -", status: exitDenied, stdout: `"denied": 1`},
		{name: "broken", stdin: "{", args: "-f -", status: exitDenied, stdout: "standard input:1\n"},
		{name: "one bad of two", stdin: "{\n---\n" + pod, args: "-f -", status: exitDenied, stdout: "1 admitted, 1 broken\n"},
		{name: "missing file", args: "-f nowhere.yaml", status: exitDenied, stdout: "broken      nowhere.yaml\n            no such file or directory\n"},
		{name: "file and standard input", stdin: pod, args: "-f testdata/good.yaml -f -", status: exitGood, stdout: "2 admitted, 1 created\n"},

		{name: "unknown flag", args: "-x", status: exitUsage, stderr: "flag provided but not defined: -x"},
		{name: "unknown format", args: "-o xml", status: exitUsage, stderr: `-o "xml": want one of diff, plan, yaml, json`},
		{name: "no value", args: "-f", status: exitUsage, stderr: "flag needs an argument: -f"},
		{name: "empty file name", args: "-f=", status: exitUsage, stderr: "want a file, a folder or -"},
		{name: "argument", args: "pod.yaml", status: exitUsage, stderr: `unexpected argument "pod.yaml": name manifests with -f`},
		{name: "namespace of a story", args: "-n shop", status: exitUsage, stderr: "-n without -f: it is about manifests"},
		{name: "kinds of a story", args: "-legacy -strict-kinds", status: exitUsage, stderr: "-strict-kinds without -f: it is about manifests"},
		{name: "bad namespace", args: "-n No", status: exitUsage, stderr: `-n "No": want the name of a namespace`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			status, stdout, stderr := quickstart(tt.stdin, strings.Fields(tt.args)...)
			if status != tt.status {
				t.Errorf("exit status %d, want %d", status, tt.status)
			}
			if !strings.Contains(stdout, tt.stdout) || tt.stdout == "" && stdout != "" {
				t.Errorf("standard output is %q, want %q in it", stdout, tt.stdout)
			}
			if !strings.Contains(stderr, tt.stderr) || tt.stderr == "" && stderr != "" {
				t.Errorf("standard error is %q, want %q in it", stderr, tt.stderr)
			}
			if tt.status == exitUsage && (strings.Count(stderr, "\n") != 1 || !strings.HasPrefix(stderr, "quickstart: ")) {
				t.Errorf("standard error is %q, want one line", stderr)
			}
		})
	}
}

// Nothing of a manifest or of a file's name is more than text: neither to a terminal, nor
// to what reads the YAML.
func TestOutputIsText(t *testing.T) {
	const text = "apiVersion: v1\nkind: \"P\\e[31m\"\nmetadata: {name: \"a\\n---\\nkind: Evil\", namespace: \"\\e]0;x\\a\\r\\x85\\u202e\"}\n"
	file := filepath.Join(t.TempDir(), "\x1b[31m\n.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, format := range []string{"diff", "plan", "yaml"} {
		_, stdout, stderr := quickstart("", "-f", file, "-o", format)
		if odd := strings.Trim(stdout+stderr, "\n"); strings.Count(odd, "\n") != 2 || strings.ContainsFunc(odd, func(r rune) bool { return r != '\n' && !strconv.IsPrint(r) }) {
			t.Errorf("-o %s prints %q, want three lines of text", format, odd)
		}
	}
}

// A copy of a live cluster keeps the UIDs that its tokens refer to.
func TestReviewOfLiveObjects(t *testing.T) {
	const live = `{"apiVersion":"v1","kind":"List","items":[
{"apiVersion":"v1","kind":"Namespace","metadata":{"name":"shop","uid":"n-1","resourceVersion":"5"},"status":{"phase":"Active"}},
{"apiVersion":"v1","kind":"ServiceAccount","metadata":{"name":"builder","namespace":"shop","uid":"a-1","resourceVersion":"7","creationTimestamp":"2026-01-01T00:00:00Z"}},
{"apiVersion":"v1","kind":"Secret","metadata":{"name":"current","namespace":"shop","uid":"s-1","resourceVersion":"8",
  "annotations":{"kubernetes.io/service-account.name":"builder","kubernetes.io/service-account.uid":"a-1"}},"type":"kubernetes.io/service-account-token","data":{"token":"aHVzaC1odXNo"}},
{"apiVersion":"v1","kind":"Secret","metadata":{"name":"stale","namespace":"shop","uid":"s-2","resourceVersion":"9",
  "annotations":{"kubernetes.io/service-account.name":"builder","kubernetes.io/service-account.uid":"a-0"}},"type":"kubernetes.io/service-account-token","data":{"token":"aHVzaC1odXNo"}}
]}`
	status, stdout, stderr := quickstart(live, "-o", "json", "-f", "-")
	if status != exitDenied || stderr != "" {
		t.Errorf("exit status %d with %q on standard error, want %d and nothing", status, stderr, exitDenied)
	}
	var got struct{ Results []record }
	if err := json.Unmarshal([]byte(stdout), &got); err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, r := range got.Results {
		lines = append(lines, strings.TrimSpace(r.Name+": "+string(r.Outcome)+" "+r.Reason))
	}
	want := []string{
		"shop: created",
		"shop/builder: created",
		"shop/current: created",
		"shop/stale: denied deleted by the token controller: there is no ServiceAccount shop/builder with the UID a-0",
	}
	if diff := cmp.Diff(want, lines); diff != "" {
		t.Errorf("results (-want +got):\n%s", diff)
	}
}

// No output holds a Secret's value, not even encoded, or a whole token.
func TestOutputHoldsNoSecrets(t *testing.T) {
	const manifest = `
apiVersion: v1
kind: Secret
metadata: {name: plain}
stringData: {password: hush-hush}
---
apiVersion: v1
kind: Secret
metadata: {name: encoded}
data: {password: aHVzaC1odXNo}
---
apiVersion: v1
kind: Secret
metadata: {name: wrong}
data: {password: "hush-hush!"}
---
apiVersion: v1
kind: Secret
metadata: {name: typed}
type: kubernetes.io/dockerconfigjson
stringData: {.dockerconfigjson: "hush-hush"}
---
apiVersion: v1
kind: Secret
metadata: {name: twice}
stringData: {password: hush-hush, password: hush-hush}
`
	token := regexp.MustCompile(`[\w-]{20,}\.[\w-]{20,}\.[\w-]{20,}`)
	outputs := map[string]string{}
	for _, format := range formats {
		_, stdout, stderr := quickstart(manifest, "-o", format, "-f", "-")
		outputs["review -o "+format] = stdout + stderr
		_, stdout, stderr = quickstart("", "-o", format)
		outputs["story -o "+format] = stdout + stderr
	}
	for name, output := range outputs {
		for _, secret := range []string{"hush-hush", "aHVzaC1odXNo"} {
			if strings.Contains(output, secret) {
				t.Errorf("%s holds the value of a Secret:\n%s", name, output)
			}
		}
		if found := token.FindString(output); found != "" {
			t.Errorf("%s holds a token", name)
		}
	}
}
