package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

const podManifest = `apiVersion: v1
kind: Pod
metadata: {name: web}
spec:
  containers: [{name: web, image: web}]
`

// A tour demonstrates the control plane, and checks the results.
type tour struct {
	*plane
	tenants []string
	out     io.Writer
}

func newTour(p *plane, tenants []string, out io.Writer) *tour { return &tour{p, tenants, out} }

func (t *tour) say(format string, args ...any) { fmt.Fprintf(t.out, "\n# "+format+"\n", args...) }

// kubectl runs kubectl in a cluster.
func (t *tour) kubectl(ctx context.Context, cluster, stdin string, args ...string) (string, error) {
	fmt.Fprintf(t.out, "%s$ kubectl %s\n", cluster, strings.Join(args, " "))
	program := filepath.Join(t.bin, "kubectl")
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Env = append(os.Environ(), "KUBECONFIG="+t.kubeconfig(cluster), "HOME="+t.own)
	cmd.Stdin = strings.NewReader(stdin)
	output, err := cmd.CombinedOutput()
	fmt.Fprint(t.out, hide(string(output)))
	if err != nil {
		return "", fmt.Errorf("kubectl %s: %w\n%s", strings.Join(args, " "), err, hide(string(output)))
	}
	return string(output), nil
}

// hide shortens tokens.
func hide(text string) string {
	lines := strings.SplitAfter(text, "\n")
	for i, line := range lines {
		if strings.HasPrefix(line, "eyJ") {
			lines[i] = line[:8] + "…\n"
		}
	}
	return strings.Join(lines, "")
}

func (t *tour) all(ctx context.Context) error {
	for _, step := range []func(context.Context) error{t.pods, t.secrets, t.apart, t.newcomer} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	t.say("That was all.")
	return nil
}

// await tries until f succeeds.
func await(ctx context.Context, what string, f func() error) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	for {
		err := f()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s: %w", what, err)
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// account waits for an account of a cluster.
func (t *tour) account(ctx context.Context, cluster, namespace, name string) error {
	client, err := t.client(cluster)
	if err != nil {
		return err
	}
	return await(ctx, "account "+name, func() error {
		_, err := client.CoreV1().ServiceAccounts(namespace).Get(ctx, name, metav1.GetOptions{})
		return err
	})
}

func (t *tour) pods(ctx context.Context) error {
	cluster := t.tenants[0]
	t.say("A Namespace gets its account, and a pod its token volume.")
	if _, err := t.kubectl(ctx, cluster, "", "create", "namespace", "shop"); err != nil {
		return err
	}
	if err := t.account(ctx, cluster, "shop", "default"); err != nil {
		return err
	}
	if _, err := t.kubectl(ctx, cluster, podManifest, "apply", "-n", "shop", "-f", "-"); err != nil {
		return err
	}
	output, err := t.kubectl(ctx, cluster, "", "get", "pod", "web", "-n", "shop", "-o", "jsonpath={.spec.serviceAccountName} {.spec.volumes[*].projected.sources[*].serviceAccountToken.path}{\"\\n\"}")
	if err == nil && output != "default token\n" {
		err = fmt.Errorf("the pod has %q", output)
	}
	if err != nil {
		return err
	}
	t.say("A token that is bound to the pod says who it is, until the pod is deleted.")
	token, err := t.kubectl(ctx, cluster, "", "create", "token", "default", "-n", "shop", "--bound-object-kind=Pod", "--bound-object-name=web")
	if err != nil {
		return err
	}
	token = strings.TrimSpace(token)
	if err := t.who(ctx, cluster, token, "system:serviceaccount:shop:default"); err != nil {
		return err
	}
	if _, err := t.kubectl(ctx, cluster, "", "delete", "pod", "web", "-n", "shop", "--grace-period=0", "--force"); err != nil {
		return err
	}
	return t.who(ctx, cluster, token, "")
}

// who checks who a token is of in a cluster, nobody if want is empty.
func (t *tour) who(ctx context.Context, cluster, token, want string) error {
	client, err := t.bearer(cluster, token)
	if err != nil {
		return err
	}
	review, err := client.AuthenticationV1().SelfSubjectReviews().Create(ctx, &authenticationv1.SelfSubjectReview{}, metav1.CreateOptions{})
	got := ""
	if err == nil {
		got = review.Status.UserInfo.Username
	}
	fmt.Fprintf(t.out, "%s: the token is of %q\n", cluster, got)
	if got != want {
		return fmt.Errorf("in %s the token is of %q, want %q (%w)", cluster, got, want, err)
	}
	return nil
}

// bearer returns a client that has token only.
func (t *tour) bearer(cluster, token string) (*kubernetes.Clientset, error) {
	config := inTenant(t.admin, cluster)
	return kubernetes.NewForConfig(&rest.Config{Host: config.Host, BearerToken: token, QPS: -1, TLSClientConfig: config.TLSClientConfig, WarningHandler: rest.NoWarnings{}})
}

func (t *tour) secrets(ctx context.Context) error {
	cluster := t.tenants[0]
	t.say("RBAC: an account may do what it was allowed to.")
	for _, args := range [][]string{
		{"create", "serviceaccount", "robot", "-n", "shop"},
		{"create", "role", "reader", "-n", "shop", "--verb=get,list", "--resource=configmaps"},
		{"create", "rolebinding", "robot", "-n", "shop", "--role=reader", "--serviceaccount=shop:robot"},
	} {
		if _, err := t.kubectl(ctx, cluster, "", args...); err != nil {
			return err
		}
	}
	output, err := t.kubectl(ctx, cluster, "", "create", "token", "robot", "-n", "shop")
	if err != nil {
		return err
	}
	token := strings.TrimSpace(output)
	client, err := t.bearer(cluster, token)
	if err != nil {
		return err
	}
	_, err = client.CoreV1().ConfigMaps("shop").List(ctx, metav1.ListOptions{})
	_, err2 := client.CoreV1().Secrets("shop").List(ctx, metav1.ListOptions{})
	fmt.Fprintf(t.out, "list configmaps: %v\nlist secrets: %v\n", err, err2)
	if err != nil || err2 == nil {
		return errors.New("RBAC allows the wrong thing")
	}
	return nil
}

func (t *tour) apart(ctx context.Context) error {
	if len(t.tenants) < 2 {
		return nil
	}
	one, other := t.tenants[0], t.tenants[1]
	t.say("The same account of another cluster is another one.")
	if _, err := t.kubectl(ctx, other, "", "create", "namespace", "shop"); err != nil {
		return err
	}
	if err := t.account(ctx, other, "shop", "default"); err != nil {
		return err
	}
	output, err := t.kubectl(ctx, one, "", "create", "token", "default", "-n", "shop")
	if err != nil {
		return err
	}
	token := strings.TrimSpace(output)
	return errors.Join(t.who(ctx, one, token, "system:serviceaccount:shop:default"), t.who(ctx, other, token, ""))
}

func (t *tour) newcomer(ctx context.Context) error {
	t.say("A new cluster is served while the others are.")
	began := time.Now()
	if err := t.join(ctx, "green"); err != nil {
		return err
	}
	if err := t.account(ctx, "green", "default", "default"); err != nil {
		return err
	}
	fmt.Fprintf(t.out, "its account default/default is there after %v\n", time.Since(began).Round(10*time.Millisecond))
	return nil
}
