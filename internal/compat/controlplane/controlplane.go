package controlplane

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/kubesa/serviceaccount/keys"
)

// Config says whose tokens the API server believes, and where things are. Issuer,
// Audiences and either SigningEndpoint or both SigningKey and PublicKeys are
// required.
type Config struct {
	// Issuer is the "iss" of bound tokens: --service-account-issuer.
	Issuer string
	// FormerIssuers are believed too.
	FormerIssuers []string
	// Audiences are those of the API server: --api-audiences.
	Audiences []string

	// SigningKey signs what the TokenRequest API returns.
	SigningKey crypto.Signer
	// PublicKeys are all keys that tokens may be signed with.
	PublicKeys []crypto.PublicKey
	// SigningEndpoint is the Unix socket of an ExternalJWTSigner, which signs and
	// knows the keys instead of the two: --service-account-signing-endpoint.
	SigningEndpoint string

	// NodeRestriction turns the admission plugin of that name on.
	NodeRestriction bool

	// Folder keeps what etcd stores and the authority of the certificates, and is
	// made if there is none; etcd then waits for the disk. If empty, everything is
	// gone after Stop.
	Folder string
	// Port is that of the API server; if 0, one that is free.
	Port int
	// Progress is told what is built. It may be nil.
	Progress io.Writer
}

func (c *Config) check() error {
	var errs []error
	if c.Issuer == "" || len(c.Audiences) == 0 {
		errs = append(errs, errors.New("controlplane: Config has no Issuer or no Audiences"))
	}
	if signs := c.SigningKey != nil && len(c.PublicKeys) > 0; signs == (c.SigningEndpoint != "") {
		errs = append(errs, errors.New("controlplane: Config wants either SigningEndpoint, or SigningKey and PublicKeys"))
	}
	return errors.Join(errs...)
}

// ControlPlane is a running etcd and kube-apiserver. Its methods are safe for
// concurrent use, but for Stop.
type ControlPlane struct {
	dir      string // temporary
	cfg      Config
	port     int // of the API server
	programs string
	ca       *authority
	admin    *rest.Config
	watchdog *watchdog
	running  []*process
}

// Start builds the programs if need be, starts them and waits until the API
// server is ready. The caller has to call [ControlPlane.Stop] in the end. ctx
// bounds Start only.
//
// If it returns an error, which has the last lines of what the server wrote,
// nothing is left behind.
func Start(ctx context.Context, cfg Config) (*ControlPlane, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	programs, err := Programs(ctx, cfg.Progress)
	if err != nil {
		return nil, err
	}
	// Ports can't be reserved for another process, so somebody may take one.
	const attempts = 3
	for attempt := 1; ; attempt++ {
		c, err := start(ctx, cfg, programs)
		if err == nil || attempt == attempts || ctx.Err() != nil {
			return c, err
		}
	}
}

func start(ctx context.Context, cfg Config, programs string) (_ *ControlPlane, err error) {
	c := &ControlPlane{programs: programs, cfg: cfg}
	defer func() {
		if err != nil {
			err = errors.Join(err, c.Stop())
		}
	}()
	if c.dir, err = os.MkdirTemp("", "controlplane-"); err != nil {
		return nil, err
	}
	if c.watchdog, err = startWatchdog(c.dir); err != nil {
		return nil, err
	}
	kept := c.dir
	if cfg.Folder != "" {
		if kept, err = filepath.Abs(cfg.Folder); err != nil {
			return nil, err
		}
	}
	if err := os.MkdirAll(kept, 0o700); err != nil {
		return nil, err
	}
	if c.ca, err = openAuthority(kept); err != nil {
		return nil, err
	}
	if c.port = cfg.Port; c.port == 0 {
		if c.port, err = freePort(); err != nil {
			return nil, err
		}
	}
	if err := c.run("etcd", c.etcdFlags(filepath.Join(kept, "etcd"))...); err != nil {
		return nil, err
	}
	if err := c.writeFiles(); err != nil {
		return nil, err
	}
	if err := c.run("kube-apiserver", c.serverFlags()...); err != nil {
		return nil, err
	}
	if err := c.writeAdmin(fmt.Sprintf("https://127.0.0.1:%d", c.port)); err != nil {
		return nil, err
	}
	return c, c.waitReady(ctx)
}

func (c *ControlPlane) run(program string, args ...string) error {
	p, err := startProcess(c.watchdog, c.dir, filepath.Join(c.programs, program), args...)
	if err == nil {
		c.running = append(c.running, p)
	}
	return err
}

// etcdFlags keeps etcd to sockets in the temporary folder, which only this user
// may enter.
func (c *ControlPlane) etcdFlags(data string) []string {
	flags := []string{
		"--data-dir=" + data,
		"--listen-client-urls=" + c.etcdURL(),
		"--advertise-client-urls=" + c.etcdURL(),
		"--listen-peer-urls=http://127.0.0.1:0",
		"--log-level=warn",
	}
	if c.cfg.Folder == "" {
		flags = append(flags, "--unsafe-no-fsync")
	}
	return flags
}

func (c *ControlPlane) etcdURL() string { return "unix://" + c.path("etcd.sock") }

// writeFiles writes the files that kube-apiserver reads.
func (c *ControlPlane) writeFiles() error {
	certPEM, keyPEM, err := c.ca.server()
	if err != nil {
		return err
	}
	files := map[string][]byte{"client-ca.crt": c.ca.pem, "server.crt": certPEM, "server.key": keyPEM}
	if c.cfg.SigningEndpoint == "" {
		if files["signing.key"], err = keys.EncodePrivateKey(c.cfg.SigningKey); err != nil {
			return err
		}
	}
	for _, key := range c.cfg.PublicKeys {
		data, err := keys.EncodePublicKey(key)
		if err != nil {
			return err
		}
		files["public.pem"] = append(files["public.pem"], data...)
	}
	for name, data := range files {
		if err := os.WriteFile(c.path(name), data, 0o600); err != nil {
			return err
		}
	}
	return nil
}

func (c *ControlPlane) serverFlags() []string {
	flags := []string{
		"--etcd-servers=" + c.etcdURL(),
		"--bind-address=127.0.0.1",
		"--advertise-address=127.0.0.1",
		"--endpoint-reconciler-type=none",
		fmt.Sprintf("--secure-port=%d", c.port),
		"--cert-dir=" + c.path("certificates"),
		"--tls-cert-file=" + c.path("server.crt"),
		"--tls-private-key-file=" + c.path("server.key"),
		"--client-ca-file=" + c.path("client-ca.crt"),
		"--api-audiences=" + strings.Join(c.cfg.Audiences, ","),
		"--service-cluster-ip-range=10.0.0.0/24",
		"--authorization-mode=RBAC",
		"--disable-admission-plugins=ServiceAccount",
	}
	if c.cfg.NodeRestriction {
		flags = append(flags, "--enable-admission-plugins=NodeRestriction")
	}
	for _, issuer := range append([]string{c.cfg.Issuer}, c.cfg.FormerIssuers...) {
		flags = append(flags, "--service-account-issuer="+issuer) // the first one issues
	}
	if c.cfg.SigningEndpoint != "" {
		return append(flags, "--service-account-signing-endpoint="+c.cfg.SigningEndpoint)
	}
	return append(flags,
		"--service-account-signing-key-file="+c.path("signing.key"),
		"--service-account-key-file="+c.path("public.pem"),
	)
}

// writeAdmin makes the client certificate of a user who may do everything, and
// the kubeconfig file for kubectl.
func (c *ControlPlane) writeAdmin(url string) error {
	certPEM, keyPEM, err := c.ca.client("admin", "system:masters")
	if err != nil {
		return err
	}
	c.admin = &rest.Config{
		Host:            url,
		TLSClientConfig: rest.TLSClientConfig{CAData: c.ca.pem, CertData: certPEM, KeyData: keyPEM},
		QPS:             -1, // no limit
	}
	file := clientcmdapi.NewConfig()
	file.Clusters["test"] = &clientcmdapi.Cluster{Server: url, CertificateAuthorityData: c.ca.pem}
	file.AuthInfos["admin"] = &clientcmdapi.AuthInfo{ClientCertificateData: certPEM, ClientKeyData: keyPEM}
	file.Contexts["test"] = &clientcmdapi.Context{Cluster: "test", AuthInfo: "admin"}
	file.CurrentContext = "test"
	return clientcmd.WriteToFile(*file, c.path("kubeconfig"))
}

// waitReady returns when the API server says that it is ready, or fails when a
// process has ended.
func (c *ControlPlane) waitReady(ctx context.Context) error {
	client, err := rest.HTTPClientFor(c.admin)
	if err != nil {
		return err
	}
	defer client.CloseIdleConnections()
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		last := ready(ctx, client, c.admin.Host+"/readyz")
		if last == nil {
			return nil
		}
		for _, p := range c.running {
			select {
			case <-p.done:
				return p.failure()
			default:
			}
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("controlplane: kube-apiserver is not ready: %w (%w)", last, ctx.Err())
		case <-tick.C:
		}
	}
}

func ready(ctx context.Context, client *http.Client, url string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", url, resp.Status)
	}
	return nil
}

// Stop ends the servers and removes what isn't in Config.Folder. It may be called more
// than once.
func (c *ControlPlane) Stop() error {
	for i := len(c.running) - 1; i >= 0; i-- {
		c.running[i].stop()
	}
	c.running = nil
	var err error
	if c.dir != "" {
		err = os.RemoveAll(c.dir)
	}
	if c.watchdog != nil {
		c.watchdog.dismiss()
		c.watchdog = nil
	}
	return err
}

// Admin returns the configuration of a client that may do everything. The
// caller may change it.
func (c *ControlPlane) Admin() *rest.Config { return rest.CopyConfig(c.admin) }

// Bearer returns the configuration of a client that shows token and nothing
// else.
func (c *ControlPlane) Bearer(token string) *rest.Config {
	return &rest.Config{
		Host:            c.admin.Host,
		BearerToken:     token,
		TLSClientConfig: rest.TLSClientConfig{CAData: c.ca.pem},
		QPS:             -1,
	}
}

// Kubeconfig returns the name of a file that makes kubectl the admin user. It is
// gone after Stop.
func (c *ControlPlane) Kubeconfig() string { return c.path("kubeconfig") }

// CA returns the certificate that clients have to trust, as PEM.
func (c *ControlPlane) CA() []byte { return append([]byte(nil), c.ca.pem...) }

// Program returns the file of one of the programs: etcd, kube-apiserver or kubectl.
func (c *ControlPlane) Program(name string) string { return filepath.Join(c.programs, name) }

// Kubectl runs kubectl as the admin user and returns what it wrote, standard
// error included.
func (c *ControlPlane) Kubectl(ctx context.Context, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, filepath.Join(c.programs, "kubectl"), args...)
	cmd.Env = []string{"HOME=" + c.dir, "KUBECONFIG=" + c.path("kubeconfig"), "PATH=" + os.Getenv("PATH")}
	out, err := cmd.CombinedOutput()
	if err != nil {
		return string(out), fmt.Errorf("controlplane: kubectl %s: %w\n%s", strings.Join(args, " "), err, out)
	}
	return string(out), nil
}

func (c *ControlPlane) path(name string) string { return filepath.Join(c.dir, name) }
