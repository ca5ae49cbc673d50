package clientgo

import (
	"fmt"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	kubernetesfake "k8s.io/client-go/kubernetes/fake"

	"github.com/kubesa/serviceaccount/fake"
	"github.com/kubesa/serviceaccount/fake/apiserver/fieldmanager"
	"github.com/kubesa/serviceaccount/fake/clientgo/internal/apiserver"
	"github.com/kubesa/serviceaccount/internal/configerror"
)

// A ConfigError says what is wrong with a field of a [Config], or with the clientset,
// which has the field name "clientset". It is the same type in every package of this
// library.
type ConfigError = configerror.Error

// Config configures [Install].
type Config struct {
	// Authority is required. Its Cluster holds the objects, and the test may
	// read and change them there, too.
	Authority *fake.Authority

	// Token, if not empty, is what every call of the clientset comes with, as
	// that of a program in a Pod: calls get 401 Unauthorized as soon as
	// the token is no longer valid. Nothing else depends on it, as there is no
	// authorization. If it is empty, an administrator calls.
	Token string
}

// Install makes clientset answer for service accounts as an API server does:
// calls for Namespaces, Nodes, ServiceAccounts, Secrets, Pods, ConfigMaps
// and ClusterTrustBundles, in all verbs and with watches, go to the Authority's Cluster, TokenRequests and
// TokenReviews to the Authority. Everything else stays with the clientset's
// tracker. See the package's comment for what is different from before.
//
// Objects of the seven kinds that the tracker holds are copied to the Cluster, with
// [fake.Cluster.Load]; from then on the tracker is not used for those kinds.
//
// Install puts its reactors in front of those that are there; reactors that are
// prepended later come before them. It must be called before clientset is used,
// once. It returns an error naming every invalid field of cfg, each as a [*ConfigError],
// or one that says which objects can't be copied; then clientset is as it was.
func Install(clientset *kubernetesfake.Clientset, cfg Config) error {
	mistakes := configerror.List{Config: "clientgo.Config"}
	mistakes.Require("clientset", clientset, "a Clientset")
	server := apiserver.New(&mistakes, cfg.Authority, cfg.Token)
	if err := mistakes.Err(); err != nil {
		return err
	}
	objects, err := tracked(clientset, server)
	if err != nil {
		return fmt.Errorf("clientgo: reading the tracker: %w", err)
	}
	if err := cfg.Authority.Cluster.Load(objects...); err != nil {
		return fmt.Errorf("clientgo: copying the tracker's objects: %w", err)
	}
	cfg.Authority.Cluster.ManageFields(fieldmanager.New())
	r := reactor{server}
	for _, resource := range server.Resources() {
		clientset.PrependReactor("*", resource.GVR().Resource, r.react)
		clientset.PrependWatchReactor(resource.GVR().Resource, r.watch)
	}
	for _, review := range server.Reviews() {
		clientset.PrependReactor("create", review.GVR.Resource, r.review)
	}
	return nil
}

// tracked returns the objects in the tracker that the Cluster can hold.
func tracked(clientset *kubernetesfake.Clientset, server *apiserver.Server) ([]runtime.Object, error) {
	var all []runtime.Object
	for _, resource := range server.Resources() {
		list, err := clientset.Tracker().List(resource.GVR(), resource.GVK(), "")
		if err != nil {
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
