package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"k8s.io/client-go/util/cert"

	"github.com/kubesa/serviceaccount/apiserver"
	"github.com/kubesa/serviceaccount/keys"
	"github.com/kubesa/serviceaccount/keys/keyring"
)

// A plane is the running control plane.
type plane struct {
	own    string // temporary
	folder string // kept between runs, if it isn't in own
	bin    string // the folder of etcd and kubectl
	admin  *rest.Config
	ring   *keyring.Ring
	stages []*stage // what runs, each after what it needs
	failed chan error

	mu          sync.Mutex
	tenants     []string
	controllers []*controllers
}

// start brings the control plane up, with its tenants. If it fails, nothing is left
// running.
func start(ctx context.Context, o options, log io.Writer) (_ *plane, err error) {
	p := &plane{failed: make(chan error, 1), tenants: []string{leaseTenant}}
	defer func() {
		if err != nil {
			err = errors.Join(err, p.stop())
		}
	}()
	if p.own, err = os.MkdirTemp("", "apiserver-"); err != nil {
		return nil, err
	}
	if p.folder = o.data; p.folder == "" {
		p.folder = filepath.Join(p.own, "data")
	}
	if err := os.MkdirAll(p.folder, 0o700); err != nil {
		return nil, err
	}
	if p.ring, err = keyring.Open(ctx, filepath.Join(p.folder, "keys"), keyring.Config{}); err != nil {
		return nil, err
	}
	if _, err := p.ring.EnsureSigning(ctx, keys.ES256); err != nil {
		return nil, err
	}
	if p.bin, err = programs(ctx, log); err != nil {
		return nil, err
	}
	store := p.stage(ctx)
	etcd, etcdEnded, err := startEtcd(store.ctx, filepath.Join(p.bin, "etcd"), filepath.Join(p.folder, "etcd"), p.own, log)
	if err != nil {
		return nil, err
	}
	store.parts.Go(etcdEnded)
	if err := p.startServers(p.stage(ctx), etcd, o); err != nil {
		return nil, err
	}
	for _, name := range append([]string{leaseTenant}, o.tenants...) {
		if err := p.join(ctx, name); err != nil {
			return nil, err
		}
	}
	return p, p.startManagers(p.stage(ctx), o.replicas, log)
}

// startServers starts the replicas of the API server behind one address.
func (p *plane) startServers(s *stage, etcd string, o options) error {
	ctx := s.ctx
	front, err := (&net.ListenConfig{}).Listen(ctx, "tcp", fmt.Sprintf("127.0.0.1:%d", o.port))
	if err != nil {
		return err
	}
	cfg := serverConfig{etcd: etcd, ring: p.ring, adminToken: rand.Text(), address: front.Addr().String(), tenants: p.names}
	if cfg.cert, cfg.key, err = cert.GenerateSelfSignedCertKey("127.0.0.1", nil, nil); err != nil {
		return err
	}
	p.admin = &rest.Config{Host: "https://" + cfg.address, BearerToken: cfg.adminToken, QPS: -1, TLSClientConfig: rest.TLSClientConfig{CAData: cfg.cert}}
	var backends []string
	for range o.replicas {
		listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
		if err != nil {
			return err
		}
		server, err := newServer(cfg, listener)
		if err != nil {
			return errors.Join(err, listener.Close())
		}
		backends = append(backends, listener.Addr().String())
		s.run(p.failed, func() error { return serve(ctx, server) })
	}
	s.parts.Go(func() { balance(ctx, front, backends) })
	return nil
}

// startManagers starts one manager beside each replica.
func (p *plane) startManagers(s *stage, replicas int, log io.Writer) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	for n := range replicas {
		c, err := newControllers(p.admin, p.ring, p.admin.CAData, fmt.Sprintf("manager-%d", n), log)
		if err != nil {
			return err
		}
		for _, name := range p.tenants {
			if err := c.join(name); err != nil {
				return err
			}
		}
		p.controllers = append(p.controllers, c)
		s.run(p.failed, func() error { return c.run(s.ctx) })
	}
	return nil
}

func (p *plane) names() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.tenants)
}

// join adds a tenant, with the Namespaces and roles that every one has, and a kubeconfig
// of its administrator.
func (p *plane) join(ctx context.Context, name string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !slices.Contains(p.tenants, name) {
		p.tenants = append(p.tenants, name)
	}
	p.mu.Unlock()
	err := p.bootstrap(ctx, name)
	p.mu.Lock()
	for _, c := range p.controllers {
		err = errors.Join(err, c.join(name))
	}
	return errors.Join(err, p.writeKubeconfig(name))
}

func (p *plane) bootstrap(ctx context.Context, name string) error {
	client, err := p.client(name)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	if err := waitReady(ctx, client); err != nil {
		return err
	}
	create := metav1.CreateOptions{}
	for _, namespace := range []string{metav1.NamespaceDefault, metav1.NamespaceSystem} {
		_, err := client.CoreV1().Namespaces().Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}}, create)
		if err != nil && !apierrors.IsAlreadyExists(err) {
			return err
		}
	}
	for _, role := range apiserver.ClusterRoles() {
		if _, err := client.RbacV1().ClusterRoles().Create(ctx, &role, create); err != nil && !apierrors.IsAlreadyExists(err) {
			return err
		}
	}
	for _, binding := range apiserver.ClusterRoleBindings() {
		if _, err := client.RbacV1().ClusterRoleBindings().Create(ctx, &binding, create); err != nil && !apierrors.IsAlreadyExists(err) {
			return err
		}
	}
	return nil
}

// waitReady waits until the server answers.
func waitReady(ctx context.Context, client *kubernetes.Clientset) error {
	for {
		_, err := client.CoreV1().Namespaces().List(ctx, metav1.ListOptions{Limit: 1})
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("waiting for the server: %w (%v)", ctx.Err(), err)
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// client returns a client of a tenant's administrator.
func (p *plane) client(name string) (*kubernetes.Clientset, error) {
	return kubernetes.NewForConfig(inTenant(p.admin, name))
}

// kubeconfig returns the file for kubectl of a tenant.
func (p *plane) kubeconfig(name string) string { return filepath.Join(p.own, name+".kubeconfig") }

func (p *plane) writeKubeconfig(name string) error {
	config := clientcmdapi.NewConfig()
	config.Clusters[name] = &clientcmdapi.Cluster{Server: p.admin.Host + clustersPrefix + name, CertificateAuthorityData: p.admin.CAData}
	config.AuthInfos["admin"] = &clientcmdapi.AuthInfo{Token: p.admin.BearerToken}
	config.Contexts[name] = &clientcmdapi.Context{Cluster: name, AuthInfo: "admin"}
	config.CurrentContext = name
	return clientcmd.WriteToFile(*config, p.kubeconfig(name))
}

// A stage is what runs, and ends, together.
type stage struct {
	ctx   context.Context
	end   context.CancelFunc
	parts sync.WaitGroup
}

// stage returns a stage that ends before those that there are.
func (p *plane) stage(ctx context.Context) *stage {
	s := &stage{}
	s.ctx, s.end = context.WithCancel(context.WithoutCancel(ctx))
	p.stages = append(p.stages, s)
	return s
}

// run runs a part until the stage ends. One that returns before that is a failure.
func (s *stage) run(failed chan<- error, part func() error) {
	s.parts.Go(func() {
		if err := part(); err != nil {
			select {
			case failed <- err:
			default:
			}
		}
	})
}

// stop stops all stages, the last one first.
func (p *plane) stop() error {
	for _, s := range slices.Backward(p.stages) {
		s.end()
		s.parts.Wait()
	}
	return os.RemoveAll(p.own)
}
