package clustertest

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/kubesa/serviceaccount/sacontroller"
	"github.com/kubesa/serviceaccount/sacontroller/legacytoken"
	"github.com/kubesa/serviceaccount/sacontroller/rootca"
	"github.com/kubesa/serviceaccount/tokens"
)

// A Cluster is what is checked: every getter and client of this module, and
// below them what the promises need to set the stage. fake.Cluster and what
// serviceaccount.FromCoreV1 returns have all of it.
//
// An implementation that doesn't have a kind, or one of the methods, returns an
// error that wraps errors.ErrUnsupported from it. Promises about all kinds are
// then checked for the others, and those that can't be kept without it skipped.
type Cluster interface {
	sacontroller.ServiceAccountsReader
	sacontroller.ServiceAccountsClient
	sacontroller.TokensReader
	sacontroller.TokensClient
	legacytoken.CleanerReader
	legacytoken.CleanerClient
	legacytoken.TrackerClient
	rootca.ConfigMapsReader
	rootca.ConfigMapsClient
	tokens.PodGetter
	tokens.NodeGetter

	ListNamespaces(ctx context.Context) ([]*corev1.Namespace, error)
	CreateNamespace(ctx context.Context, namespace *corev1.Namespace) (*corev1.Namespace, error)
	DeleteNamespace(ctx context.Context, name string, opts metav1.DeleteOptions) error
	CreateNode(ctx context.Context, node *corev1.Node) (*corev1.Node, error)
	DeleteNode(ctx context.Context, name string, opts metav1.DeleteOptions) error
	CreatePod(ctx context.Context, pod *corev1.Pod) (*corev1.Pod, error)
	DeletePod(ctx context.Context, namespace, name string, opts metav1.DeleteOptions) error
	PatchServiceAccount(ctx context.Context, namespace, name string, pt types.PatchType, data []byte) (*corev1.ServiceAccount, error)
	DeleteServiceAccount(ctx context.Context, namespace, name string, opts metav1.DeleteOptions) error
	DeleteConfigMap(ctx context.Context, namespace, name string, opts metav1.DeleteOptions) error
}
