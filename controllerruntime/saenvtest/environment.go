package saenvtest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	"github.com/kubesa/serviceaccount/keys"
)

// An Environment is an [envtest.Environment] in which ServiceAccounts work as in a
// cluster. Its Start and Stop take the place of those of the one in it; all else is the
// same. It is not safe for concurrent use, but for TokenConfig.
type Environment struct {
	envtest.Environment

	controllers *controllers // between Start and Stop
}

// Start starts the control plane as [envtest.Environment.Start] does, but with the
// admission plugin ServiceAccount, and then the controllers that a cluster has for
// ServiceAccounts. When it returns, there are the ServiceAccount "default" and the
// ConfigMap "kube-root-ca.crt" in the namespace "default".
//
// With UseExistingCluster it does what envtest does: such a cluster has its own
// controllers. After an error nothing is left running.
func (e *Environment) Start() (*rest.Config, error) {
	if e.existing() {
		return e.Environment.Start()
	}
	if e.controllers != nil {
		return nil, errors.New("saenvtest: the Environment was started already, want Stop called before")
	}
	const flag = "disable-admission-plugins"
	args := e.ControlPlane.GetAPIServer().Configure()
	args.SetRaw(flag, without{args.Get(flag), "ServiceAccount"})
	config, err := e.Environment.Start()
	if err == nil {
		err = e.startControllers(config)
	}
	if err != nil {
		return nil, errors.Join(err, e.Stop())
	}
	return config, nil
}

// Stop stops the controllers and then the control plane.
func (e *Environment) Stop() error {
	var err error
	if e.controllers != nil {
		err = e.controllers.stop()
		e.controllers = nil
	}
	return errors.Join(err, e.Environment.Stop())
}

// TokenConfig returns a configuration for clients that act as a ServiceAccount, with a
// token of an hour from the TokenRequest API, as a pod has. The account has the rights
// that the test's RBAC gives it. The error is the API server's, such as NotFound for
// an account that doesn't exist.
func (e *Environment) TokenConfig(ctx context.Context, namespace, account string) (*rest.Config, error) {
	if e.Config == nil {
		return nil, errors.New("saenvtest: the Environment isn't running, want Start called before")
	}
	c, err := client.New(e.Config, client.Options{})
	if err != nil {
		return nil, fmt.Errorf("saenvtest: %w", err)
	}
	request := &authenticationv1.TokenRequest{}
	owner := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: account}}
	if err := c.SubResource("token").Create(ctx, owner, request); err != nil {
		return nil, fmt.Errorf("saenvtest: requesting a token: %w", err)
	}
	config := rest.AnonymousClientConfig(e.Config)
	config.BearerToken = request.Status.Token
	return config, nil
}

// existing reports whether e is for an existing cluster, as envtest decides.
func (e *Environment) existing() bool {
	if e.UseExistingCluster == nil {
		return strings.EqualFold(os.Getenv("USE_EXISTING_CLUSTER"), "true")
	}
	return *e.UseExistingCluster
}

func (e *Environment) startControllers(config *rest.Config) error {
	key, err := e.signingKey()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), e.ControlPlaneStartTimeout) // which envtest has set
	defer cancel()
	e.controllers, err = startControllers(ctx, config, key)
	return err
}

// signingKey returns the key that the API server signs tokens with, so that it accepts
// those of the controllers.
func (e *Environment) signingKey() (keys.Signer, error) {
	server := e.ControlPlane.GetAPIServer()
	files := server.Configure().Get("service-account-signing-key-file").Get([]string{filepath.Join(server.CertDir, "sa-signer.key")})
	if len(files) == 0 {
		return nil, errors.New("saenvtest: the API server has no --service-account-signing-key-file, want one to sign token Secrets with")
	}
	data, err := os.ReadFile(files[len(files)-1])
	if err != nil {
		return nil, fmt.Errorf("saenvtest: reading the API server's signing key: %w", err)
	}
	key, err := keys.ParsePrivateKey(data)
	if err != nil {
		return nil, fmt.Errorf("saenvtest: the API server's signing key: %w", err)
	}
	return keys.NewSigner(key)
}

// without is a flag whose value is a list, without one item of it.
type without struct {
	envtest.Arg
	item string
}

// Append implements [envtest.Arg].
func (w without) Append(values ...string) envtest.Arg {
	return without{w.Arg.Append(values...), w.item}
}

// Get implements [envtest.Arg].
func (w without) Get(defaults []string) []string {
	var rest []string
	for _, value := range w.Arg.Get(defaults) {
		for item := range strings.SplitSeq(value, ",") {
			if strings.TrimSpace(item) != w.item {
				rest = append(rest, item)
			}
		}
	}
	if len(rest) == 0 {
		return nil // the flag isn't passed
	}
	return []string{strings.Join(rest, ",")}
}
