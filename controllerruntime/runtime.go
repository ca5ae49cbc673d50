package saruntime

import (
	"errors"
	"fmt"

	certificatesv1 "k8s.io/api/certificates/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/manager"

	"github.com/kubesa/serviceaccount"
	"github.com/kubesa/serviceaccount/internal/configerror"
	"github.com/kubesa/serviceaccount/internal/trim"
	"github.com/kubesa/serviceaccount/sacontroller/rootca"
)

// Config configures [New].
type Config struct {
	// Manager is required. Its scheme must have the core v1 types.
	Manager manager.Manager

	// Cache is what controllers and the [Reader] read, and where changes come from,
	// such as Manager.GetCache(). It must have every object of the kinds that they
	// need: no selectors that leave some out.
	//
	// If nil, New makes a cache that holds little: of Secrets only token Secrets, of
	// ConfigMaps those called kube-root-ca.crt and those of kube-system, of
	// ClusterTrustBundles those of [rootca.ServingSigner], no status of pods and
	// no managed fields. It also tells when it has listed again, so that
	// controllers look at every object once more. The manager starts it.
	Cache cache.Cache
}

// A ConfigError is one mistake in a [Config] or [Options], or in what a function of
// this package gets. All mistakes are returned at once, joined: [errors.As] finds the
// first.
type ConfigError = configerror.Error

// A Runtime runs this library's controllers and webhook on a manager of
// controller-runtime. It is safe for concurrent use.
type Runtime struct {
	manager manager.Manager
	cache   cache.Cache
	scheme  *runtime.Scheme // of cache
	lists   *lists          // nil for a cache that New didn't make
	reader  *Reader
	live    core
}

// New returns a Runtime for a manager, and adds its cache to it. It does no I/O. It
// returns an error naming every invalid field, each as a [*ConfigError]: also a Manager
// whose scheme lacks the core v1 types. Or it returns the manager's error if that takes no
// cache.
func New(cfg Config) (*Runtime, error) {
	mistakes := configerror.List{Config: "saruntime.Config"}
	mistakes.Require("Manager", cfg.Manager, "what ctrl.NewManager returns")
	mistakes.Optional("Cache", cfg.Cache)
	if err := mistakes.Err(); err != nil {
		return nil, err
	}
	if !cfg.Manager.GetScheme().Recognizes(corev1.SchemeGroupVersion.WithKind("ServiceAccount")) {
		mistakes.Add("Manager", "has a scheme without core v1, want clientgoscheme.AddToScheme called for it")
	}
	requireLive(&mistakes, "Manager.GetAPIReader()", cfg.Manager.GetAPIReader())
	if err := mistakes.Err(); err != nil {
		return nil, err
	}
	r := &Runtime{
		manager: cfg.Manager, cache: cfg.Cache, scheme: cfg.Manager.GetScheme(),
		live: core{cfg.Manager.GetAPIReader(), cfg.Manager.GetClient()},
	}
	if r.cache == nil {
		if err := r.addCache(); err != nil {
			return nil, err
		}
	}
	r.reader = &Reader{cache: r.cache, own: r.lists != nil}
	return r, nil
}

// Reader returns the reader of the cache: the Reader of the controllers that are added
// to r, and a getter that may be stale.
func (r *Runtime) Reader() *Reader { return r.reader }

// Client returns live access: the Client of controllers. It reads through the
// manager's GetAPIReader, never from a cache, and writes through its GetClient.
func (r *Runtime) Client() *serviceaccount.CoreV1 { return serviceaccount.FromCoreV1(r.live) }

// Certificates returns live access to ClusterTrustBundles, which need Kubernetes 1.37:
// the Client of a [rootca.TrustBundles].
func (r *Runtime) Certificates() *serviceaccount.CertificatesV1 {
	return serviceaccount.FromCertificatesV1(r.live)
}

// The ConfigMaps that controllers know (CST-11, CST-12).
const (
	rootCAName      = "kube-root-ca.crt"
	systemNamespace = "kube-system"
)

// addCache makes the cache of [Config.Cache], and has the manager start it. The kinds
// that it has are known, so nothing needs to be discovered.
func (r *Runtime) addCache() error {
	r.scheme = runtime.NewScheme()
	if err := errors.Join(corev1.AddToScheme(r.scheme), certificatesv1.AddToScheme(r.scheme)); err != nil {
		return fmt.Errorf("saruntime: %v", err)
	}
	mapper := meta.NewDefaultRESTMapper(nil)
	for kind, scope := range map[string]meta.RESTScope{
		"Namespace": meta.RESTScopeRoot, "Node": meta.RESTScopeRoot, "ServiceAccount": meta.RESTScopeNamespace,
		"Secret": meta.RESTScopeNamespace, "Pod": meta.RESTScopeNamespace, "ConfigMap": meta.RESTScopeNamespace,
	} {
		mapper.Add(corev1.SchemeGroupVersion.WithKind(kind), scope)
	}
	mapper.Add(certificatesv1.SchemeGroupVersion.WithKind("ClusterTrustBundle"), meta.RESTScopeRoot)
	r.lists = new(lists)
	own, err := cache.New(r.manager.GetConfig(), cache.Options{
		HTTPClient:  r.manager.GetHTTPClient(),
		Scheme:      r.scheme,
		Mapper:      mapper,
		NewInformer: r.lists.newInformer,
		ByObject: map[client.Object]cache.ByObject{
			&corev1.Namespace{}:      {Transform: new(trim.Trimmer).Trim},
			&corev1.ServiceAccount{}: {Transform: new(trim.Trimmer).Trim},
			&corev1.Pod{}:            {Transform: new(trim.Trimmer).Trim},
			&corev1.Secret{}: {
				Transform: new(trim.Trimmer).Trim,
				Field:     fields.OneTermEqualSelector("type", string(corev1.SecretTypeServiceAccountToken)),
			},
			&certificatesv1.ClusterTrustBundle{}: {
				Transform: cache.TransformStripManagedFields(),
				Field:     fields.OneTermEqualSelector("spec.signerName", rootca.ServingSigner),
			},
			&corev1.ConfigMap{}: {
				Transform: new(trim.Trimmer).Trim,
				Namespaces: map[string]cache.Config{
					cache.AllNamespaces: {FieldSelector: fields.OneTermEqualSelector("metadata.name", rootCAName)},
					systemNamespace:     {},
				},
			},
		},
	})
	if err != nil {
		return fmt.Errorf("saruntime: making the cache: %v", err)
	}
	r.cache = own
	if err := r.manager.Add(runnable{own}); err != nil {
		return fmt.Errorf("saruntime: adding the cache to the manager: %w", err)
	}
	return nil
}

// runnable is a cache as the manager wants it: it is started before controllers, on
// every replica.
type runnable struct{ cache.Cache }

func (c runnable) GetCache() cache.Cache { return c.Cache }
