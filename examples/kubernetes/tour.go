package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/kubesa/serviceaccount/keys/keyring"
)

// What the tour creates.
const (
	podManifest = `apiVersion: v1
kind: Pod
metadata: {name: web, namespace: shop}
spec:
  containers: [{name: web, image: web}]
`
	ghostManifest = `apiVersion: v1
kind: Pod
metadata: {name: haunted, namespace: shop}
spec:
  serviceAccountName: ghost
  containers: [{name: web, image: web}]
`
	secretManifest = `{
  "apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/service-account-token",
  "metadata": {"name": "build-robot-secret", "annotations": {"kubernetes.io/service-account.name": "build-robot"}}
}
`
	newIssuerURL = "https://tokens.example.com"
)

// A tour demonstrates the cluster with kubectl, and checks the results.
type tour struct {
	*plane
	out     io.Writer
	kubectl string
}

// newTour uses the machine's kubectl or, without one, that of the cluster.
func newTour(p *plane, out io.Writer) *tour {
	t := &tour{plane: p, out: out, kubectl: p.server.Program("kubectl")}
	if found, err := exec.LookPath("kubectl"); err == nil {
		t.kubectl = found
	}
	return t
}

// all is the whole tour. With Secret-based tokens it ends after the pod.
func (t *tour) all(ctx context.Context) error {
	second := ""
	var err error
	if t.era == eraProjected {
		t.say("A second signing key is published. It signs once every verifier has had time to fetch it.")
		if second, err = addKey(ctx, t.ring); err != nil {
			return err
		}
	}
	steps := []func(context.Context) error{t.namespace, t.pod}
	if t.era == eraProjected {
		steps = append(steps, t.guide, t.boundToken,
			func(ctx context.Context) error { return t.rotation(ctx, second) }, t.migration)
	}
	if t.replicas > 1 {
		steps = append(steps, t.takeover)
	}
	for _, step := range steps {
		if err := step(ctx); err != nil {
			return err
		}
	}
	t.say("That was the tour.")
	return nil
}

func (t *tour) namespace(ctx context.Context) error {
	t.say("A namespace gets its account.")
	return errors.Join(
		t.show(ctx, "namespace/shop created", "create", "namespace", "shop"),
		t.show(ctx, "condition met", "wait", "--for=create", "--timeout=60s", "-n", "shop", "serviceaccount/default"),
		t.show(ctx, "default", "get", "serviceaccounts", "-n", "shop"),
	)
}

func (t *tour) pod(ctx context.Context) error {
	t.say("A pod gets the account, and a volume with a token.")
	volume := "kube-api-access-"
	if t.era == eraSecrets {
		volume = "default-token-"
		if err := t.show(ctx, "condition met", "wait", "--for=jsonpath={.secrets}", "--timeout=60s", "-n", "shop", "serviceaccount/default"); err != nil {
			return err
		}
	}
	if err := t.create(ctx, "pod/web created", "pod.yaml", podManifest); err != nil {
		return err
	}
	if err := t.show(ctx, volume, "get", "pod", "web", "-n", "shop",
		`-o=jsonpath={.spec.serviceAccountName}{"\n"}{.spec.containers[0].volumeMounts}{"\n"}{.spec.volumes}{"\n"}`); err != nil {
		return err
	}
	t.say("A pod whose account does not exist is rejected.")
	return t.refuse(ctx, `serviceaccount "ghost" not found`, "ghost.yaml", ghostManifest)
}

// guide is "Manually create an API token for a ServiceAccount" of the documentation.
func (t *tour) guide(ctx context.Context) error {
	t.say("A Secret-based token.")
	if err := errors.Join(
		t.show(ctx, "created", "create", "serviceaccount", "build-robot"),
		t.create(ctx, "created", "secret.json", secretManifest),
		t.show(ctx, "condition met", "wait", "--for=jsonpath={.data.token}", "--timeout=60s", "secret/build-robot-secret"),
		t.show(ctx, "kubernetes.io/service-account.uid: ", "describe", "secrets/build-robot-secret"),
	); err != nil {
		return err
	}
	secret, err := t.client.CoreV1().Secrets("default").Get(ctx, "build-robot-secret", metav1.GetOptions{})
	if err != nil {
		return err
	}
	token := string(secret.Data["token"])
	if err := t.accepted(ctx, token, "system:serviceaccount:default:build-robot"); err != nil {
		return err
	}
	if err := t.show(ctx, "deleted", "delete", "secret", "build-robot-secret"); err != nil {
		return err
	}
	return t.refused(ctx, token)
}

func (t *tour) boundToken(ctx context.Context) error {
	t.say("A token that is bound to a pod.")
	token, err := t.run(ctx, "create", "token", "default", "-n", "shop", "--bound-object-kind=Pod", "--bound-object-name=web")
	if err != nil {
		return err
	}
	token = strings.TrimSpace(token)
	if err := t.accepted(ctx, token, "system:serviceaccount:shop:default"); err != nil {
		return err
	}
	if err := t.show(ctx, "deleted", "delete", "pod", "web", "-n", "shop", "--grace-period=0", "--force"); err != nil {
		return err
	}
	return t.refused(ctx, token)
}

// rotation promotes the key of that id, while clients use tokens.
func (t *tour) rotation(ctx context.Context, id string) error {
	t.say("The key is promoted as soon as that is safe, while clients use tokens.")
	load := t.startLoad(ctx)
	err := t.promote(ctx, id)
	if err == nil {
		err = load.wait(ctx, 50)
	}
	if err = errors.Join(err, load.stop()); err != nil {
		return err
	}
	fmt.Fprintf(t.out, "%s\n", load)
	return t.wantHeader(ctx, `"kid":"`+id+`"`)
}

// promote waits until the step is safe, and takes it.
func (t *tour) promote(ctx context.Context, id string) error {
	_, later := t.ring.Plan(time.Now())
	for _, step := range later {
		if step.Action == keyring.Promote && step.ID == id {
			fmt.Fprintf(t.out, "promote %s: not before %s\n", id, step.Earliest.Format(time.TimeOnly))
			select {
			case <-time.After(time.Until(step.Earliest)):
			case <-ctx.Done():
				return ctx.Err()
			}
		}
	}
	if err := t.ring.Promote(ctx, id); err != nil {
		return err
	}
	fmt.Fprintf(t.out, "promoted %s\n", id)
	return nil
}

// migration changes the issuer; the tokens of the former one stay valid.
func (t *tour) migration(ctx context.Context) error {
	t.say("The issuer gets another name, while clients use tokens. The API server is restarted for that.")
	load := t.startLoad(ctx)
	err := load.wait(ctx, 20)
	if err == nil {
		err = t.server.SetIssuers(ctx, newIssuerURL, issuerURL)
	}
	if err == nil {
		err = load.wait(ctx, 50)
	}
	if err = errors.Join(err, load.stop()); err != nil {
		return err
	}
	fmt.Fprintf(t.out, "%s\n", load)
	return t.wantHeader(ctx, `"iss":"`+newIssuerURL+`"`)
}

// takeover kills the manager that leads.
func (t *tour) takeover(ctx context.Context) error {
	t.say("The manager that leads is killed. Another one takes over.")
	leader, err := t.killLeader(ctx)
	if err != nil {
		return err
	}
	fmt.Fprintf(t.out, "killed %s\n", leader)
	if err := errors.Join(
		t.show(ctx, "namespace/after created", "create", "namespace", "after"),
		t.show(ctx, "condition met", "wait", "--for=create", "--timeout=120s", "-n", "after", "serviceaccount/default"),
		t.show(ctx, "manager-", "get", "lease", "-n", leaseNamespace, leaseName),
	); err != nil {
		return err
	}
	lease, err := t.client.CoordinationV1().Leases(leaseNamespace).Get(ctx, leaseName, metav1.GetOptions{})
	if err == nil && (lease.Spec.HolderIdentity == nil || *lease.Spec.HolderIdentity == leader) {
		err = fmt.Errorf("%s still leads", leader)
	}
	return err
}

// wantHeader checks that a new token has want in its header or claims.
func (t *tour) wantHeader(ctx context.Context, want string) error {
	token, err := t.run(ctx, "create", "token", "default", "-n", "shop")
	if err != nil {
		return err
	}
	for i, part := range strings.Split(token, ".")[:2] {
		decoded, err := decode(part)
		if err != nil {
			return err
		}
		if strings.Contains(decoded, want) {
			fmt.Fprintf(t.out, "a new token's %s has %s\n", []string{"header", "payload"}[i], want)
			return nil
		}
	}
	return fmt.Errorf("a new token does not have %s", want)
}

// accepted authenticates with token at the API server.
func (t *tour) accepted(ctx context.Context, token, user string) error {
	name, err := t.whoami(ctx, token)
	if err != nil || name != user {
		return fmt.Errorf("the API server authenticates the token as %q, want %q: %w", name, user, err)
	}
	fmt.Fprintf(t.out, "the API server authenticates the token as %s\n", name)
	return nil
}

// refused waits until the API server, which caches accepted tokens for ten seconds,
// rejects token.
func (t *tour) refused(ctx context.Context, token string) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	started := time.Now()
	for {
		_, err := t.whoami(ctx, token)
		if apierrors.IsUnauthorized(err) {
			fmt.Fprintf(t.out, "the API server rejects the token, %.0f s later\n", time.Since(started).Seconds())
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the API server still accepts the token: %v", err)
		case <-time.After(200 * time.Millisecond):
		}
	}
}

func (t *tour) whoami(ctx context.Context, token string) (string, error) {
	client, err := kubernetes.NewForConfig(t.server.Bearer(token))
	if err != nil {
		return "", err
	}
	self, err := client.AuthenticationV1().SelfSubjectReviews().Create(ctx, &authenticationv1.SelfSubjectReview{}, metav1.CreateOptions{})
	if err != nil {
		return "", err
	}
	return self.Status.UserInfo.Username, nil
}

func (t *tour) say(text string) { fmt.Fprintf(t.out, "\n# %s\n", text) }

// show runs kubectl, and fails unless its output has want.
func (t *tour) show(ctx context.Context, want string, args ...string) error {
	out, err := t.run(ctx, args...)
	fmt.Fprintf(t.out, "$ kubectl %s\n%s", strings.Join(args, " "), shorten(out))
	if err == nil && !strings.Contains(out, want) {
		err = fmt.Errorf("kubectl %s does not say %q", strings.Join(args, " "), want)
	}
	return err
}

// create runs kubectl create with a file of that name and content.
func (t *tour) create(ctx context.Context, want, name, content string) error {
	file := filepath.Join(t.own, name)
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		return err
	}
	fmt.Fprintf(t.out, "$ cat %s\n%s", name, content)
	out, err := t.run(ctx, "create", "-f", file)
	fmt.Fprintf(t.out, "$ kubectl create -f %s\n%s", name, out)
	if err == nil && !strings.Contains(out, want) {
		err = fmt.Errorf("kubectl create -f %s does not say %q", name, want)
	}
	return err
}

// refuse runs kubectl create, which must fail with an error that has want.
func (t *tour) refuse(ctx context.Context, want, name, content string) error {
	err := t.create(ctx, "", name, content)
	if err == nil || !strings.Contains(err.Error(), want) {
		return fmt.Errorf("creating %s: %v, want an error with %s", name, err, want)
	}
	fmt.Fprintf(t.out, "%s\n", strings.ReplaceAll(strings.TrimSpace(err.Error()), t.own+"/", ""))
	return nil
}

// run returns what kubectl writes to stdout; an error has its stderr.
func (t *tour) run(ctx context.Context, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, t.kubectl, args...)
	cmd.Env = []string{"HOME=" + t.own, "KUBECONFIG=" + t.server.Kubeconfig(), "PATH=" + os.Getenv("PATH")}
	var out, complaint strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &complaint
	if err := cmd.Run(); err != nil {
		return out.String(), fmt.Errorf("%s (%w)", strings.TrimSpace(complaint.String()), err)
	}
	return out.String(), nil
}

// A compact JWS, or the beginning of one.
var jws = regexp.MustCompile(`eyJ[\w-]{8,}(\.[\w-]+){0,2}`)

// shorten cuts tokens to their first characters.
func shorten(text string) string {
	return jws.ReplaceAllStringFunc(text, func(token string) string { return token[:8] + "…" })
}
