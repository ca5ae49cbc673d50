package rootca

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"

	certificatesv1 "k8s.io/api/certificates/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/watch"

	"github.com/kubesa/serviceaccount/internal/configerror"
	"github.com/kubesa/serviceaccount/internal/contract"
	"github.com/kubesa/serviceaccount/sacontroller"
	"github.com/kubesa/serviceaccount/sacontroller/internal/apicall"
	"github.com/kubesa/serviceaccount/sacontroller/internal/cabundle"
)

// ServingSigner is the signer of the certificate that kube-apiserver serves with:
// Pods project the ClusterTrustBundles of this signer to verify it.
const ServingSigner = "kubernetes.io/kube-apiserver-serving" // CTB-5

// OwnerLabel is the label of the ClusterTrustBundles of a [TrustBundles]. Its
// value is [TrustBundlesConfig.Owner].
const OwnerLabel = "app.kubernetes.io/managed-by"

// The defaults of [TrustBundlesConfig].
const (
	trustBundleOwner = "kube-apiserver-serving-clustertrustbundle-publisher"
	trustBundleGrace = 24 * time.Hour
)

// trustBundlePrefix begins the names of the bundles (CTB-6).
var trustBundlePrefix = strings.ReplaceAll(ServingSigner, "/", ":")

// trustBundleKey returns the one key of a [TrustBundles] and tenant.
func trustBundleKey(tenant string) sacontroller.Key {
	return sacontroller.Key{Tenant: tenant, Kind: "ClusterTrustBundle", Name: trustBundlePrefix}
}

// A TrustBundlesReader is what [TrustBundles] decides from. The package
// documentation says what every Reader and Client promises.
type TrustBundlesReader interface {
	// ListClusterTrustBundles returns the ClusterTrustBundles of the signer.
	ListClusterTrustBundles(ctx context.Context, signerName string) ([]*certificatesv1.ClusterTrustBundle, error)
}

// A TrustBundlesClient is what [TrustBundles] writes through.
type TrustBundlesClient interface {
	CreateClusterTrustBundle(ctx context.Context, bundle *certificatesv1.ClusterTrustBundle) (*certificatesv1.ClusterTrustBundle, error)
	UpdateClusterTrustBundle(ctx context.Context, bundle *certificatesv1.ClusterTrustBundle) (*certificatesv1.ClusterTrustBundle, error)
	DeleteClusterTrustBundle(ctx context.Context, name string, opts metav1.DeleteOptions) error
}

// TrustBundlesConfig configures [NewTrustBundles].
type TrustBundlesConfig struct {
	Reader TrustBundlesReader // required; may be a cache
	Client TrustBundlesClient // required

	// RootCA is the CA bundle to publish; required. [CheckTrustAnchors] says whether the
	// API server accepts it. [TrustBundles.SetRootCA] changes it at run time.
	RootCA []byte

	// RootCAOf, if not nil, returns the CA bundle of the tenant of a context, which takes
	// the place of RootCA; an empty one leaves that. It must be fast and safe for
	// concurrent use. After it has changed, a driver must report the tenant's objects as
	// Added once more.
	RootCAOf func(ctx context.Context) []byte

	// Owner is the value of [OwnerLabel]. All replicas have the same; control planes
	// of one cluster that should leave each other's bundles alone have different ones.
	// If empty, it is "kube-apiserver-serving-clustertrustbundle-publisher".
	Owner string

	// GracePeriod is how long a bundle stays after another one has taken its place,
	// so that Pods trust the old and the new CA while servers change their
	// certificates. Zero means 24 hours.
	GracePeriod time.Duration

	// Observe, if not nil, is called after each Reconcile, with its context. It must be
	// fast and safe for concurrent use.
	Observe func(ctx context.Context, e Event)
	// Now returns the current time. If nil, time.Now is used.
	Now func() time.Time
}

// TrustBundles is the controller that publishes a CA bundle as a
// ClusterTrustBundle of the signer [ServingSigner], named after its content. Pods
// should project the bundles of the signer, not one by name: after a change of the CA
// the union of both is there for the grace period. It is safe for concurrent use.
//
// Bundles that it hasn't made stay. Kubernetes' own controller deletes all others of
// the signer at once, so the two must not run in the same cluster.
type TrustBundles struct {
	publisher
	cfg TrustBundlesConfig
}

var (
	_ sacontroller.Resyncer  = (*TrustBundles)(nil)
	_ sacontroller.Forgetter = (*TrustBundles)(nil)
)

// NewTrustBundles returns a TrustBundles, or an error naming every invalid field, each
// as a [*ConfigError].
func NewTrustBundles(cfg TrustBundlesConfig) (*TrustBundles, error) {
	mistakes := configerror.List{Config: "rootca.TrustBundlesConfig"}
	mistakes.Require("Reader", cfg.Reader, "a TrustBundlesReader")
	mistakes.Require("Client", cfg.Client, "a TrustBundlesClient")
	if err := cabundle.CheckAnchors(cfg.RootCA); err != nil {
		mistakes.Add("RootCA", "is rejected: %v", err)
	}
	if problems := validation.IsValidLabelValue(cfg.Owner); len(problems) > 0 {
		mistakes.Add("Owner", "is %q, want the value of a label", cfg.Owner)
	}
	configerror.NotNegative(&mistakes, "GracePeriod", cfg.GracePeriod)
	if err := mistakes.Err(); err != nil {
		return nil, err
	}
	if cfg.Owner == "" {
		cfg.Owner = trustBundleOwner
	}
	if cfg.GracePeriod == 0 {
		cfg.GracePeriod = trustBundleGrace
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	return &TrustBundles{newPublisher(cabundle.New(cfg.RootCA, cfg.RootCAOf, CheckTrustAnchors), cfg.Observe, cfg.Now), cfg}, nil
}

// CheckTrustAnchors returns nil if data is a CA bundle that can be published as a
// ClusterTrustBundle: what [sacontroller.CheckCABundle] accepts, of CA certificates only, each of
// them once, without headers in their PEM blocks, and at most 1 MiB. Otherwise its
// error names the certificate that is wrong.
func CheckTrustAnchors(data []byte) error {
	return cabundle.Named("rootca", cabundle.CheckAnchors)(data)
}

// Name returns "kube-apiserver-serving-clustertrustbundle-publisher-controller".
func (c *TrustBundles) Name() string { // CTB-2
	return "kube-apiserver-serving-clustertrustbundle-publisher-controller"
}

// Due returns the one key after any change of a ClusterTrustBundle of the signer, and
// when the Namespace default or kube-system, one of which every cluster has, is added:
// so it is due in a cluster without a bundle, too.
func (c *TrustBundles) Due(change sacontroller.Change) []sacontroller.Key {
	switch object := change.Object.(type) { // CTB-10
	case *certificatesv1.ClusterTrustBundle:
		if object != nil && object.Spec.SignerName == ServingSigner {
			return []sacontroller.Key{trustBundleKey(change.Tenant)}
		}
	case *corev1.Namespace:
		if object != nil && change.Type == watch.Added && (object.Name == metav1.NamespaceDefault || object.Name == metav1.NamespaceSystem) {
			return []sacontroller.Key{trustBundleKey(change.Tenant)}
		}
	}
	return nil
}

// Reconcile creates or mends the ClusterTrustBundle, and deletes those of the same owner
// whose place it has taken, after the grace period. If another writer reverts what is
// written more than sixty times in a minute, Reconcile waits until that minute is over,
// and [TrustBundles.LastError] says so.
func (c *TrustBundles) Reconcile(ctx context.Context, key sacontroller.Key) (sacontroller.Result, error) {
	if key != trustBundleKey(key.Tenant) {
		return sacontroller.Result{}, nil
	}
	return c.attempt(ctx, c.Name(), key, func(ctx context.Context, t *throttle) (sacontroller.Result, error) {
		return c.publish(ctx, key, t)
	})
}

func (c *TrustBundles) publish(ctx context.Context, key sacontroller.Key, t *throttle) (sacontroller.Result, error) {
	bundles, err := apicall.RequireAll(c.cfg.Reader.ListClusterTrustBundles(ctx, ServingSigner))
	if err != nil {
		return sacontroller.Result{}, fmt.Errorf("rootca: listing the ClusterTrustBundles of %s: %w", ServingSigner, err)
	}
	plan := planTrustBundles(bundles, string(c.rootCA.Get(ctx)), c.cfg.Owner, c.cfg.Now(), c.cfg.GracePeriod)
	if plan.write == nil {
		return c.deleteAll(ctx, plan)
	}
	if wait := t.Wait(key); wait > 0 {
		return sacontroller.Result{}, apicall.Reverted("rootca", key, wait)
	}
	write, verb := c.cfg.Client.CreateClusterTrustBundle, "creating"
	if plan.write.ResourceVersion != "" || plan.write.UID != "" {
		write, verb = c.cfg.Client.UpdateClusterTrustBundle, "updating"
	}
	if _, err := contract.Require(write(ctx, plan.write)); err != nil {
		return sacontroller.Result{}, apicall.WriteError(err, "rootca: %s ClusterTrustBundle %s", verb, plan.write.Name) // CTB-11, CTB-13
	}
	t.Wrote(key)
	return sacontroller.Result{}, nil // what is written makes the key due again
}

// maxBundleDeletes bounds the calls of one attempt.
const maxBundleDeletes = 30

// deleteAll deletes what plan says. One failure doesn't keep the others (CTB-14).
func (c *TrustBundles) deleteAll(ctx context.Context, plan trustBundlePlan) (sacontroller.Result, error) {
	var failures []error
	result := sacontroller.Result{RequeueAfter: plan.again}
	for i, b := range plan.deletes {
		if i == maxBundleDeletes {
			result.RequeueAfter = sacontroller.Yield
			break
		}
		err := c.cfg.Client.DeleteClusterTrustBundle(ctx, b.Name, metav1.DeleteOptions{
			Preconditions: &metav1.Preconditions{UID: &b.UID, ResourceVersion: &b.ResourceVersion},
		})
		if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) { // which a change makes due
			failures = append(failures, fmt.Errorf("rootca: deleting ClusterTrustBundle %s: %w", b.Name, err))
		}
	}
	return result, errors.Join(failures...)
}

// A trustBundlePlan is what to do about the bundles of the signer: to write the current
// one, or else to delete some.
type trustBundlePlan struct {
	write   *certificatesv1.ClusterTrustBundle   // nil if the current one is published
	deletes []*certificatesv1.ClusterTrustBundle // nil unless it is
	again   time.Duration                        // until the next one is to be deleted, 0 for none
}

// planTrustBundles plans for the bundles that there are. It reads only its arguments and
// changes none.
func planTrustBundles(bundles []*certificatesv1.ClusterTrustBundle, rootCA, owner string, now time.Time, grace time.Duration) trustBundlePlan {
	name := trustBundleName(rootCA)
	var current *certificatesv1.ClusterTrustBundle
	for _, b := range bundles {
		if b.Name == name {
			current = b
		}
	}
	switch {
	case current == nil: // CTB-8
		b := &certificatesv1.ClusterTrustBundle{Spec: certificatesv1.ClusterTrustBundleSpec{SignerName: ServingSigner, TrustBundle: rootCA}}
		b.Name, b.Labels = name, map[string]string{OwnerLabel: owner}
		return trustBundlePlan{write: b}
	case current.DeletionTimestamp != nil: // it is created again once it is gone
		return trustBundlePlan{}
	case current.Spec.TrustBundle != rootCA: // CTB-12
		b := current.DeepCopy()
		b.Spec.TrustBundle = rootCA
		return trustBundlePlan{write: b}
	}
	var plan trustBundlePlan
	for _, b := range bundles {
		if b == current || !madeBy(b, owner) || b.DeletionTimestamp != nil {
			continue
		}
		wait := replacedFor(b, current, grace).Sub(now)
		switch {
		case wait <= 0:
			plan.deletes = append(plan.deletes, b)
		case plan.again == 0 || wait < plan.again:
			plan.again = wait
		}
	}
	return plan
}

// madeBy reports whether b is one of owner's: it has the label, and a name and a content
// that only a publisher gives it (CTB-15).
func madeBy(b *certificatesv1.ClusterTrustBundle, owner string) bool {
	return b.Spec.SignerName == ServingSigner && b.Labels[OwnerLabel] == owner && b.Name == trustBundleName(b.Spec.TrustBundle)
}

// replacedFor returns when b may be deleted because of current: after the grace period
// with both. If b is the newer one, it is that of another publisher with another CA, or
// the CA was changed back. Then it is after twice that: of two publishers that delete each
// other's bundles, one after the other does so, and at most once in a grace period.
func replacedFor(b, current *certificatesv1.ClusterTrustBundle, grace time.Duration) time.Time {
	made, since := b.CreationTimestamp.Time, current.CreationTimestamp.Time
	if made.After(since) {
		return made.Add(2 * grace)
	}
	return since.Add(grace)
}

// trustBundleName returns the name of the bundle with this content (CTB-6, CTB-7).
func trustBundleName(content string) string {
	sum := sha256.Sum256([]byte(content))
	return trustBundlePrefix + ":" + hex.EncodeToString(sum[:12])
}
