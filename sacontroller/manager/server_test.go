package manager_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"math/big"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	certificatesv1 "k8s.io/api/certificates/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	"k8s.io/apimachinery/pkg/watch"
	clientset "k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"

	"github.com/kubesa/serviceaccount"
	"github.com/kubesa/serviceaccount/fake"
	"github.com/kubesa/serviceaccount/sacontroller"
	"github.com/kubesa/serviceaccount/sacontroller/manager"
	"github.com/prometheus/client_golang/prometheus"
)

// TestMain takes away the pause that apimachinery makes after an error: it begins
// with the time at which the program started, which in the bubbles of synctest is
// far in the future.
func TestMain(m *testing.M) {
	utilruntime.ErrorHandlers = utilruntime.ErrorHandlers[:1]
	m.Run()
}

// A server is client-go's fake clientset with the semantics of a fake.Cluster
// behind it: resourceVersions, preconditions, selectors, watches that break. Only
// Leases and Events are kept by client-go's own tracker.
type server struct {
	*fake.Cluster
	client     *clientset.Clientset
	leasesDown atomic.Bool // every request for a Lease fails
}

func newServer(objects ...runtime.Object) *server {
	s := &server{Cluster: fake.New(objects...), client: clientset.NewClientset()}
	s.client.PrependReactor("*", "leases", func(clienttesting.Action) (bool, runtime.Object, error) {
		return s.leasesDown.Load(), nil, apierrors.NewServiceUnavailable("down")
	})
	core := s.Cluster.CoreV1()
	forward(s.client, "namespaces", func(string) client[corev1.Namespace, corev1.NamespaceList] { return core.Namespaces() })
	forward(s.client, "serviceaccounts", func(ns string) client[corev1.ServiceAccount, corev1.ServiceAccountList] {
		return core.ServiceAccounts(ns)
	})
	forward(s.client, "secrets", func(ns string) client[corev1.Secret, corev1.SecretList] { return core.Secrets(ns) })
	forward(s.client, "pods", func(ns string) client[corev1.Pod, corev1.PodList] { return core.Pods(ns) })
	forward(s.client, "configmaps", func(ns string) client[corev1.ConfigMap, corev1.ConfigMapList] { return core.ConfigMaps(ns) })
	forward(s.client, "clustertrustbundles", func(string) client[certificatesv1.ClusterTrustBundle, certificatesv1.ClusterTrustBundleList] {
		return s.Cluster.CertificatesV1().ClusterTrustBundles()
	})
	return s
}

// client is what forward needs of a typed client.
type client[T, L any] interface {
	Create(ctx context.Context, object *T, opts metav1.CreateOptions) (*T, error)
	Update(ctx context.Context, object *T, opts metav1.UpdateOptions) (*T, error)
	Patch(ctx context.Context, name string, pt types.PatchType, data []byte, opts metav1.PatchOptions, subresources ...string) (*T, error)
	Delete(ctx context.Context, name string, opts metav1.DeleteOptions) error
	Get(ctx context.Context, name string, opts metav1.GetOptions) (*T, error)
	List(ctx context.Context, opts metav1.ListOptions) (*L, error)
	Watch(ctx context.Context, opts metav1.ListOptions) (watch.Interface, error)
}

// forward makes from answer for resource with what to says.
func forward[T, L any](from *clientset.Clientset, resource string, to func(namespace string) client[T, L]) {
	ctx := context.Background()
	from.PrependReactor("*", resource, func(action clienttesting.Action) (bool, runtime.Object, error) {
		c := to(action.GetNamespace())
		switch a := action.(type) {
		case clienttesting.CreateActionImpl:
			return answer(c.Create(ctx, any(a.Object).(*T), a.CreateOptions))
		case clienttesting.UpdateActionImpl:
			return answer(c.Update(ctx, any(a.Object).(*T), a.UpdateOptions))
		case clienttesting.PatchActionImpl:
			return answer(c.Patch(ctx, a.Name, a.PatchType, a.Patch, a.PatchOptions))
		case clienttesting.GetActionImpl:
			return answer(c.Get(ctx, a.Name, a.GetOptions))
		case clienttesting.ListActionImpl:
			return answer(c.List(ctx, a.ListOptions))
		case clienttesting.DeleteActionImpl:
			return true, nil, c.Delete(ctx, a.Name, a.DeleteOptions)
		}
		return true, nil, fmt.Errorf("unexpected %T", action)
	})
	from.PrependWatchReactor(resource, func(action clienttesting.Action) (bool, watch.Interface, error) {
		a, ok := action.(clienttesting.WatchActionImpl)
		if !ok {
			return true, nil, fmt.Errorf("unexpected %T", action)
		}
		w, err := to(a.Namespace).Watch(ctx, a.ListOptions)
		return true, w, err
	})
}

func answer[T any](object *T, err error) (bool, runtime.Object, error) {
	if err != nil {
		return true, nil, err
	}
	return true, any(object).(runtime.Object), nil
}

// stubIssuer signs tokens that say what they are for, unless it is broken.
type stubIssuer struct {
	mu  sync.Mutex
	err error
}

func (i *stubIssuer) fail(err error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.err = err
}

func (i *stubIssuer) IssueLegacy(_ context.Context, account *corev1.ServiceAccount, secret *corev1.Secret) (string, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.err != nil {
		return "", i.err
	}
	return fmt.Sprintf("token(%s/%s/%s)", account.Namespace, account.UID, secret.Name), nil
}

// A program is a Manager that runs ServiceAccounts and Tokens on a server.
type program struct {
	*manager.Manager
	registry *prometheus.Registry
	issuer   *stubIssuer
	tokens   *sacontroller.Tokens
	log      bytes.Buffer // read it only when the Manager is idle

	cancel context.CancelFunc
	done   chan error
}

func newProgram(t *testing.T, s *server, mutate ...func(*manager.Config)) *program {
	t.Helper()
	p := &program{registry: prometheus.NewRegistry(), issuer: &stubIssuer{}, done: make(chan error, 1)}
	cfg := manager.Config{
		Client:  s.client,
		Metrics: p.registry,
		Logger:  slog.New(slog.NewTextHandler(&p.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	for _, m := range mutate {
		m(&cfg)
	}
	var err error
	if p.Manager, err = manager.New(cfg); err != nil {
		t.Fatal(err)
	}
	clients := serviceaccount.FromCoreV1(cfg.Client.CoreV1())
	accounts, err := sacontroller.NewServiceAccounts(sacontroller.ServiceAccountsConfig{Reader: p.Reader(), Client: clients})
	if err != nil {
		t.Fatal(err)
	}
	p.tokens, err = sacontroller.NewTokens(sacontroller.TokensConfig{
		Reader: p.Reader(), Client: clients, Issuer: p.CountIssued(p.issuer), RootCA: []byte("CA Data"),
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []sacontroller.Controller{accounts, p.tokens} {
		if err := p.Add(c, manager.Options{Workers: 3}); err != nil {
			t.Fatal(err)
		}
	}
	return p
}

// start runs p. It is stopped when the test ends, if not before.
func (p *program) start(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	p.cancel = cancel
	go func() { p.done <- p.Run(ctx) }()
	synctest.Wait()
}

// stop ends p and returns what Run returned.
func (p *program) stop() error {
	p.cancel()
	return <-p.done
}

// metric returns the sum of the counters and gauges called name, and of the counts
// of histograms, whose labels hold all of values. What was never counted is 0.
func (p *program) metric(t *testing.T, name string, values ...string) float64 {
	t.Helper()
	families, err := p.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	sum := 0.0
	for _, family := range families {
		if family.GetName() != name {
			continue
		}
		for _, m := range family.GetMetric() {
			matched := 0
			for _, label := range m.GetLabel() {
				for _, v := range values {
					if label.GetValue() == v {
						matched++
					}
				}
			}
			if matched == len(values) {
				sum += m.GetCounter().GetValue() + m.GetGauge().GetValue() + float64(m.GetHistogram().GetSampleCount())
			}
		}
	}
	return sum
}

// events returns the Events that were recorded.
func (s *server) events(t *testing.T) []corev1.Event {
	t.Helper()
	list, err := s.client.CoreV1().Events("").List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return list.Items
}

// createToken creates a token Secret of account.
func (s *server) createToken(t *testing.T, namespace, name, account string) {
	t.Helper()
	_, err := s.CreateSecret(t.Context(), &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: namespace, Name: name,
			Annotations: map[string]string{corev1.ServiceAccountNameKey: account},
		},
		Type: corev1.SecretTypeServiceAccountToken,
	})
	if err != nil {
		t.Fatal(err)
	}
}

// token returns the token in a Secret, or "" if there is none.
func (s *server) token(t *testing.T, namespace, name string) string {
	t.Helper()
	secret, err := s.GetSecret(t.Context(), namespace, name)
	if err != nil {
		t.Fatal(err)
	}
	return string(secret.Data[corev1.ServiceAccountTokenKey])
}

func active(name string) *corev1.Namespace {
	return &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}, Status: corev1.NamespaceStatus{Phase: corev1.NamespaceActive}}
}

var errKMS = errors.New("the KMS is down")

// newCA returns a bundle of one certificate.
func newCA(t *testing.T) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}
