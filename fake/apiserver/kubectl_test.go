package apiserver_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/kubesa/serviceaccount/fake"
	"github.com/kubesa/serviceaccount/fake/apiserver"
)

// kubectl runs the machine's kubectl against one server, with a home and a
// configuration of its own.
type kubectl struct {
	path, home, config string
}

func newKubectl(t *testing.T, server string) *kubectl {
	t.Helper()
	path, err := exec.LookPath("kubectl")
	if err != nil {
		t.Skip("kubectl is not on PATH: this test runs the real one")
	}
	home := t.TempDir()
	k := &kubectl{path: path, home: home, config: filepath.Join(home, "config")}
	config := fmt.Sprintf(`{"apiVersion": "v1", "kind": "Config", "current-context": "fake",
		"clusters": [{"name": "fake", "cluster": {"server": %q}}],
		"users": [{"name": "nobody", "user": {}}],
		"contexts": [{"name": "fake", "context": {"cluster": "fake", "user": "nobody"}}]}`, server)
	if err := os.WriteFile(k.config, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	return k
}

func (k *kubectl) command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, k.path, args...)
	cmd.Env = []string{"HOME=" + k.home, "KUBECONFIG=" + k.config, "PATH=" + os.Getenv("PATH")}
	cmd.Dir = k.home
	cmd.WaitDelay = time.Second
	return cmd
}

// run returns what a command says, on both of its outputs.
func (k *kubectl) run(t *testing.T, args ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	out, err := k.command(ctx, args...).CombinedOutput()
	if t.Logf("$ kubectl %s\n%s", strings.Join(args, " "), out); ctx.Err() != nil {
		t.Fatal("kubectl did not end")
	}
	return string(out), err
}

// The story of the guide, told by kubectl itself.
func TestKubectl(t *testing.T) {
	authority, err := fake.NewAuthority(fake.AuthorityConfig{RootCA: []byte("-----BEGIN CERTIFICATE-----\n")})
	if err != nil {
		t.Fatal(err)
	}
	handler, err := apiserver.New(authority, apiserver.Config{})
	if err != nil {
		t.Fatal(err)
	}
	a := &api{Handler: handler, authority: authority, cluster: authority.Cluster}
	k := newKubectl(t, a.serve(t).URL)
	const manifest = `{"kind": "Secret", "apiVersion": "v1", "type": "kubernetes.io/service-account-token",
		"metadata": {"name": "mysecretname", "annotations": {"kubernetes.io/service-account.name": "myserviceaccount"}}}`
	for name, text := range map[string]string{
		"secret.json":        manifest,
		"relabeled.json":     `{"kind": "Secret", "apiVersion": "v1", "metadata": {"name": "mysecretname", "labels": {"team": "blue"}}}`,
		"relabeled-too.json": `{"kind": "Secret", "apiVersion": "v1", "metadata": {"name": "mysecretname", "labels": {"team": "red"}}}`,
		"typo.json":          strings.Replace(manifest, `"type"`, `"tipe"`, 1),
	} {
		if err := os.WriteFile(filepath.Join(k.home, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	const jwt = `eyJ[\w-]+\.[\w-]+\.[\w-]+`
	for _, step := range []struct {
		args string
		want string // a regular expression for the whole output, or its start
		fail bool
	}{
		{args: "version", want: `(?s)Client Version: .*Server Version: v1\.37\.0`},
		{args: "get serviceaccounts", want: `NAME +SECRETS +AGE\ndefault +0 +0s\n$`},
		{args: "create serviceaccount myserviceaccount", want: `serviceaccount/myserviceaccount created\n$`},
		{args: "create -f secret.json", want: `secret/mysecretname created\n$`},
		{args: "create -f secret.json", want: `Error from server \(AlreadyExists\): .*secrets "mysecretname" already exists\n$`, fail: true},
		{args: "create -f typo.json", want: `Error from server \(BadRequest\): .*strict decoding error: unknown field "tipe"\n$`, fail: true},
		{args: "get secret mysecretname", want: `NAME +TYPE +DATA +AGE\nmysecretname +kubernetes\.io/service-account-token +3 +0s\n$`},
		{args: "describe secret mysecretname", want: `(?s)Name: +mysecretname\n.*kubernetes\.io/service-account\.uid: [0-9a-f]{8}-.*Type: +kubernetes\.io/service-account-token\n.*token: +` + jwt + `\n`},
		{args: "describe secret mysecretname", want: `(?s).*\nca\.crt: +28 bytes\n`}, // in any order
		{args: "describe serviceaccount myserviceaccount", want: `(?s)Name: +myserviceaccount\n.*Events: +<none>\n$`},
		{args: "get sa -o wide", want: `NAME +SECRETS +AGE\ndefault +0 +0s\nmyserviceaccount +0 +0s\n$`},
		{args: "create token myserviceaccount", want: jwt + `\n?$`},
		{args: "create token myserviceaccount --duration 1m", want: `error: failed to create token: .*expirationSeconds`, fail: true},
		{args: "create token myserviceaccount --bound-object-kind Secret --bound-object-name mysecretname", want: jwt + `\n?$`},
		{args: "create token nobody", want: `error: failed to create token: serviceaccounts "nobody" not found\n$`, fail: true},
		{args: "auth whoami", want: `(?s)ATTRIBUTE +VALUE\nUsername +system:anonymous\n`},
		{args: "create namespace ci", want: `namespace/ci created\n$`},
		{args: "get ns", want: `NAME +STATUS +AGE\nci +Active +0s\ndefault +Active +0s\n$`},
		{args: "get sa -A", want: `NAMESPACE +NAME +SECRETS +AGE\nci +default +0 +0s\ndefault +default +0 +0s\ndefault +myserviceaccount +0 +0s\n$`},
		{args: "label sa myserviceaccount team=blue", want: `serviceaccount/myserviceaccount labeled\n$`},
		{args: "get sa -l team=blue -o name", want: `serviceaccount/myserviceaccount\n$`},
		{args: `patch sa myserviceaccount -p {"automountServiceAccountToken":false}`, want: `serviceaccount/myserviceaccount patched\n$`},
		{args: `patch sa myserviceaccount --type json -p [{"op":"remove","path":"/metadata/labels"}]`, want: `serviceaccount/myserviceaccount patched\n$`},
		{args: "get sa myserviceaccount -o jsonpath={.automountServiceAccountToken}{.metadata.labels}", want: `false$`},
		{args: "apply --server-side -f secret.json", want: `secret/mysecretname serverside-applied\n$`},
		{args: "apply --server-side -f typo.json", want: `Error from server: .*\.tipe: field not declared in schema\n$`, fail: true},
		{args: "apply --server-side --field-manager other -f relabeled.json", want: `secret/mysecretname serverside-applied\n$`},
		{args: "apply --server-side --field-manager third -f relabeled-too.json", want: `(?s)error: Apply failed with 1 conflict: conflict with "other": \.metadata\.labels\.team\n`, fail: true},
		{args: "apply --server-side --field-manager third --force-conflicts -f relabeled-too.json", want: `secret/mysecretname serverside-applied\n$`},
		{args: "get secret mysecretname --show-managed-fields -o jsonpath={.metadata.managedFields[*].manager}", want: `(?s).*kubectl.*third`},
		{args: "run web --image=web", want: `pod/web created\n$`},
		{args: "get pods", want: `NAME +READY +STATUS +RESTARTS +AGE\nweb +0/1 +Pending +0 +0s\n$`},
		{args: "describe pod web", want: `(?s)Name: +web\n.*Events: +<none>\n$`},
		{args: "delete pod web", want: `pod "web" deleted`},
		{args: "get events", want: `No resources found in default namespace\.\n$`},
		{args: "get --raw /openid/v1/jwks", want: `\{"keys":\[\{.*"kty":"EC"`},
		{args: "get --raw /.well-known/openid-configuration", want: `\{"issuer":"https://kubernetes\.default\.svc"`},
		{args: "delete secret mysecretname", want: `secret "mysecretname" deleted`},
		{args: "get secret mysecretname", want: `Error from server \(NotFound\): secrets "mysecretname" not found\n$`, fail: true},
		{args: "delete namespace ci", want: `namespace "ci" deleted`},
		{args: "delete namespace default", want: `Error from server \(Forbidden\): `, fail: true},
		{args: "api-resources --api-group= -o name", want: `(?s).*serviceaccounts\n$`},
	} {
		out, err := k.run(t, strings.Split(step.args, " ")...)
		if (err != nil) != step.fail || !regexp.MustCompile(`^(?:`+step.want+`)`).MatchString(out) {
			t.Errorf("kubectl %s: got %v and\n%s\nwant %s", step.args, err, out, step.want)
		}
	}
}

// kubectl get --watch shows changes as they come.
func TestKubectlWatch(t *testing.T) {
	a := newAPI(t, apiserver.Config{})
	k := newKubectl(t, a.serve(t).URL)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := k.command(ctx, "get", "secrets", "-n", "ci", "--watch", "--output-watch-events")
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	next := func() string {
		if !lines.Scan() {
			t.Fatalf("kubectl ended: %v\n%s", lines.Err(), said.String())
		}
		t.Log(lines.Text())
		return strings.Join(strings.Fields(lines.Text()), " ")
	}
	check := func(want ...string) {
		t.Helper()
		for _, w := range want {
			if got := next(); got != w {
				t.Errorf("got %q, want %q", got, w)
			}
		}
	}
	check("EVENT NAME TYPE DATA AGE", "ADDED password Opaque 1 0s")
	a.do("POST /api/v1/namespaces/ci/secrets", guideSecret)
	check("ADDED mysecretname kubernetes.io/service-account-token 0 0s", "MODIFIED mysecretname kubernetes.io/service-account-token 3 0s")
	a.do("DELETE /api/v1/namespaces/ci/secrets/mysecretname", "")
	check("DELETED mysecretname kubernetes.io/service-account-token 3 0s")
	cancel()
	_ = cmd.Wait() // it was killed
}
