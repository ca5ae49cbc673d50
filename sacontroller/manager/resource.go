package manager

import (
	"fmt"

	"github.com/kubesa/serviceaccount/internal/tokensecret"
	"github.com/kubesa/serviceaccount/internal/trim"
	"github.com/kubesa/serviceaccount/sacontroller"
	certificatesv1 "k8s.io/api/certificates/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/tools/cache"

	"github.com/kubesa/serviceaccount/sacontroller/legacytoken"
	"github.com/kubesa/serviceaccount/sacontroller/rootca"
)

// A Resource is something that a [Manager] can watch. Each is watched once,
// however many controllers need it, and no more of it is kept in memory than its
// comment says.
type Resource string

const (
	// Namespaces are all Namespaces.
	Namespaces Resource = "namespaces"
	// ServiceAccounts are all ServiceAccounts.
	ServiceAccounts Resource = "serviceaccounts"
	// ServiceAccountMetadata is for controllers that need only the metadata of
	// ServiceAccounts. They get whole ones if another controller needs those or
	// there is no [Config.Metadata].
	ServiceAccountMetadata Resource = "serviceaccounts-metadata"
	// TokenSecrets are the Secrets of type kubernetes.io/service-account-token.
	// The API server sends no others.
	TokenSecrets Resource = "token-secrets"
	// Pods are all Pods, without their status.
	Pods Resource = "pods"
	// RootCAConfigMaps are the ConfigMaps called kube-root-ca.crt.
	RootCAConfigMaps Resource = "root-ca-configmaps"
	// TrackingConfigMap is the ConfigMap of kube-system that says since when the
	// use of Secret-based tokens is recorded.
	TrackingConfigMap Resource = "tracking-configmap"
	// ServingTrustBundles are the ClusterTrustBundles of the signer
	// [rootca.ServingSigner]. The API server sends no others. One without
	// ClusterTrustBundles of v1, which Kubernetes has had since 1.37, can't be
	// watched.
	ServingTrustBundles Resource = "serving-trust-bundles"
)

// isKnown reports whether r is one of the above.
func (r Resource) isKnown() bool {
	switch r {
	case Namespaces, ServiceAccounts, ServiceAccountMetadata, TokenSecrets, Pods, RootCAConfigMaps, TrackingConfigMap, ServingTrustBundles:
		return true
	}
	return false
}

// The ConfigMaps that controllers know (CST-11, CST-12).
const (
	rootCAName        = "kube-root-ca.crt"
	trackingNamespace = "kube-system"
	trackingName      = "kube-apiserver-legacy-service-account-token-tracking"
)

// The indexes of the caches: by namespace, and by namespace and the account that
// a token Secret names.
const (
	byNamespace = "namespace"
	byAccount   = "account"
)

// resourcesOf returns what a controller of package sacontroller watches, or nil
// for another one.
func resourcesOf(c sacontroller.Controller) []Resource {
	switch c.(type) {
	case *sacontroller.ServiceAccounts:
		return []Resource{Namespaces, ServiceAccountMetadata}
	case *sacontroller.Tokens:
		return []Resource{Namespaces, ServiceAccounts, TokenSecrets}
	case *legacytoken.Cleaner:
		return []Resource{Namespaces, ServiceAccounts, TokenSecrets, Pods, TrackingConfigMap}
	case *legacytoken.Tracker:
		return []Resource{Namespaces, TrackingConfigMap}
	case *rootca.ConfigMaps:
		return []Resource{Namespaces, RootCAConfigMaps}
	case *rootca.TrustBundles:
		return []Resource{Namespaces, ServingTrustBundles}
	}
	return nil
}

// newInformer returns the informer of r, which isn't running yet. It calls listed as
// listWatch does.
func newInformer(client kubernetes.Interface, md metadata.Interface, r Resource, listed func()) (cache.SharedIndexInformer, error) {
	core := client.CoreV1()
	namespaced := cache.Indexers{byNamespace: cache.MetaNamespaceIndexFunc}
	var informer cache.SharedIndexInformer
	switch r {
	case Namespaces:
		informer = inform(listWatch(client, core.Namespaces(), "", listed), &corev1.Namespace{}, nil)
	case ServiceAccounts:
		informer = inform(listWatch(client, core.ServiceAccounts(""), "", listed), &corev1.ServiceAccount{}, nil)
	case ServiceAccountMetadata:
		accounts := md.Resource(corev1.SchemeGroupVersion.WithResource("serviceaccounts"))
		informer = inform(listWatch(md, accounts, "", listed), &metav1.PartialObjectMetadata{}, nil)
	case TokenSecrets:
		selector := fields.OneTermEqualSelector("type", string(corev1.SecretTypeServiceAccountToken))
		informer = inform(listWatch(client, core.Secrets(""), selector.String(), listed), &corev1.Secret{}, cache.Indexers{
			byNamespace: cache.MetaNamespaceIndexFunc,
			byAccount:   indexByAccount,
		})
	case Pods:
		informer = inform(listWatch(client, core.Pods(""), "", listed), &corev1.Pod{}, namespaced)
	case RootCAConfigMaps:
		selector := fields.OneTermEqualSelector(metav1.ObjectNameField, rootCAName)
		informer = inform(listWatch(client, core.ConfigMaps(""), selector.String(), listed), &corev1.ConfigMap{}, nil)
	case TrackingConfigMap:
		selector := fields.OneTermEqualSelector(metav1.ObjectNameField, trackingName)
		informer = inform(listWatch(client, core.ConfigMaps(trackingNamespace), selector.String(), listed), &corev1.ConfigMap{}, nil)
	case ServingTrustBundles: // CTB-10
		selector := fields.OneTermEqualSelector("spec.signerName", rootca.ServingSigner)
		bundles := client.CertificatesV1().ClusterTrustBundles()
		informer = inform(listWatch(client, bundles, selector.String(), listed), &certificatesv1.ClusterTrustBundle{}, nil)
	default:
		return nil, fmt.Errorf("manager: unknown Resource %q", r)
	}
	if err := informer.SetTransform(new(trim.Trimmer).Trim); err != nil {
		return nil, fmt.Errorf("manager: preparing to watch %s: %v", r, err)
	}
	return informer, nil
}

func inform(lw cache.ListerWatcher, example runtime.Object, indexers cache.Indexers) cache.SharedIndexInformer {
	return cache.NewSharedIndexInformerWithOptions(lw, example, cache.SharedIndexInformerOptions{Indexers: indexers})
}

func indexByAccount(object any) ([]string, error) {
	secret, ok := object.(*corev1.Secret)
	if !ok || !tokensecret.Is(secret) {
		return nil, nil // client-go's fake ignores field selectors
	}
	name, _ := tokensecret.Owner(secret)
	return []string{accountKey(secret.Namespace, name)}, nil
}

// accountKey joins the two names. No namespace holds a slash.
func accountKey(namespace, name string) string { return namespace + "/" + name }
