package controllerruntime

import (
	"context"
	"fmt"
	"sync"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/kubesa/serviceaccount/fake"
	"github.com/kubesa/serviceaccount/fake/apiserver/fieldmanager"
	"github.com/kubesa/serviceaccount/fake/clientgo/internal/apiserver"
	"github.com/kubesa/serviceaccount/internal/configerror"
)

// A ConfigError says what is wrong with a field of a [Config], or with the client that
// NewClient is given, which has the field name "base". It is the same type in every
// package of this library.
type ConfigError = configerror.Error

// Config configures [NewClient].
type Config struct {
	// Authority is required. Its Cluster holds the objects, and the test may
	// read and change them there, too.
	Authority *fake.Authority

	// Token, if not empty, is what every call of the client comes with, as that
	// of a program in a Pod: calls get 401 Unauthorized as soon as the token is
	// no longer valid. Nothing else depends on it, as there is no authorization. If
	// it is empty, an administrator calls.
	Token string
}

// NewClient returns a client that answers for service accounts as an API server
// does: calls for Namespaces, Nodes, ServiceAccounts, Secrets, Pods,
// ConfigMaps and ClusterTrustBundles go to the Authority's Cluster, TokenRequests and TokenReviews to the
// Authority, and everything else to base, which is what
// sigs.k8s.io/controller-runtime/pkg/client/fake has built, or any other client.
// Objects may be typed, unstructured, or metadata only.
//
// Objects of the seven kinds that base holds are copied to the Cluster, with
// [fake.Cluster.Load]; from then on base is not used for those kinds.
//
// The result is safe for concurrent use if base is. NewClient returns an error naming
// every invalid field of cfg, each as a [*ConfigError]: also a nil base; or an error that
// says which objects can't be copied.
func NewClient(base client.WithWatch, cfg Config) (client.WithWatch, error) {
	mistakes := configerror.List{Config: "controllerruntime.Config"}
	mistakes.Require("base", base, "a client")
	server := apiserver.New(&mistakes, cfg.Authority, cfg.Token)
	if err := mistakes.Err(); err != nil {
		return nil, err
	}
	objects, err := held(base, server)
	if err != nil {
		return nil, fmt.Errorf("controllerruntime: reading what base holds: %w", err)
	}
	if err := cfg.Authority.Cluster.Load(objects...); err != nil {
		return nil, fmt.Errorf("controllerruntime: copying what base holds: %w", err)
	}
	cfg.Authority.Cluster.ManageFields(fieldmanager.New())
	r := router{server: server, indexing: new(sync.Mutex)}
	return interceptor.NewClient(base, interceptor.Funcs{
		Get: r.get, List: r.list, Watch: r.watch,
		Create: r.create, Update: r.update, Patch: r.patch, Apply: r.apply,
		Delete: r.delete, DeleteAllOf: r.deleteAllOf,
		SubResourceGet: r.subresourceGet, SubResourceCreate: r.subresourceCreate,
		SubResourceUpdate: r.subresourceUpdate, SubResourcePatch: r.subresourcePatch, SubResourceApply: r.subresourceApply,
	}), nil
}

// held returns the objects of base that the Cluster can hold.
func held(base client.WithWatch, server *apiserver.Server) ([]runtime.Object, error) {
	var all []runtime.Object
	for _, resource := range server.Resources() {
		if !base.Scheme().Recognizes(resource.GVK()) {
			continue
		}
		list := resource.NewList().(client.ObjectList)
		if err := base.List(context.Background(), list); err != nil {
			return nil, err
		}
		objects, err := meta.ExtractList(list)
		if err != nil {
			return nil, err
		}
		all = append(all, objects...)
	}
	return all, nil
}
