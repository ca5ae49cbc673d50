package tokenrequest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/kubesa/serviceaccount/internal/configerror"
	"github.com/kubesa/serviceaccount/internal/contract"
	"github.com/kubesa/serviceaccount/internal/names"
	"github.com/kubesa/serviceaccount/tokens"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// Who is a node (NOD-1).
const (
	nodeUserPrefix = "system:node:"
	nodesGroup     = "system:nodes"
)

// NodeRuleConfig configures [NewNodeRule].
type NodeRuleConfig struct {
	// User is required. It returns the user who sends the request of ctx; false
	// denies the request.
	User func(ctx context.Context) (authenticationv1.UserInfo, bool)

	// Pods is required. It may read from a cache: a kubelet whose pod isn't there
	// yet retries.
	Pods tokens.PodGetter

	// CSIDrivers allows the audiences of the CSI drivers of the pod's inline volumes.
	// PersistentVolumeClaims and PersistentVolumes, which require each other and
	// CSIDrivers, allow those of its claims, too. Without a getter, such volumes allow
	// no audience. They should read from caches: up to 64 volumes of a pod are looked
	// up for one request.
	CSIDrivers             CSIDriverGetter
	PersistentVolumeClaims PersistentVolumeClaimGetter
	PersistentVolumes      PersistentVolumeGetter

	// AuthorizeAudience, if set, is asked about audiences that no volume of the pod
	// has, such as those of the kubelet's image credential providers. An API server
	// asks its authorizer whether node, the user, has the verb
	// request-serviceaccounts-token-audience on the core resource audience, with
	// the namespace and the name of the account.
	AuthorizeAudience func(ctx context.Context, node authenticationv1.UserInfo, namespace, name, audience string) (allowed bool, err error)

	// AnyAudience doesn't check audiences, as Kubernetes did up to 1.32.
	AnyAudience bool
}

func (cfg *NodeRuleConfig) check() error {
	mistakes := configerror.List{Config: "tokenrequest.NodeRuleConfig"}
	mistakes.Require("User", cfg.User, "a function that returns the user of a request")
	mistakes.Require("Pods", cfg.Pods, "a PodGetter")
	claims, volumes := cfg.PersistentVolumeClaims != nil, cfg.PersistentVolumes != nil
	if claims != volumes || claims && cfg.CSIDrivers == nil {
		mistakes.Add("PersistentVolumeClaims", "is set without PersistentVolumes or CSIDrivers, or they without it, want all")
	}
	if cfg.CSIDrivers != nil {
		mistakes.Require("CSIDrivers", cfg.CSIDrivers, "a CSIDriverGetter")
	}
	if claims {
		mistakes.Require("PersistentVolumeClaims", cfg.PersistentVolumeClaims, "a PersistentVolumeClaimGetter")
	}
	if volumes {
		mistakes.Require("PersistentVolumes", cfg.PersistentVolumes, "a PersistentVolumeGetter")
	}
	return mistakes.Err()
}

// NewNodeRule returns a [Config.Admit] that lets nodes request tokens only for pods
// that run on them, as the admission plugin NodeRestriction of Kubernetes does; or an
// error naming every invalid field, each as a [*ConfigError]. It does no I/O, and what
// it returns is safe for concurrent use.
//
// A node is a user of the group system:nodes called system:node:<name>; requests of
// others are allowed. A token for a node must be bound to a pod, by UID, that is
// scheduled on that node, and have at most one audience: that of a projected token
// source of the pod, of a CSI driver of one of its volumes, or one that
// AuthorizeAudience allows. Whether the pod runs as the account is checked when the
// token is issued.
//
// A denial is a Forbidden of serviceaccounts; a pod that isn't there is a NotFound.
// Everything fails closed: a lookup that fails denies the request.
func NewNodeRule(cfg NodeRuleConfig) (func(ctx context.Context, namespace, name string, request *authenticationv1.TokenRequest) error, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	return cfg.admit, nil
}

// admit denies what a node may not request, in the order of NOD-10.
func (cfg *NodeRuleConfig) admit(ctx context.Context, namespace, name string, request *authenticationv1.TokenRequest) error {
	forbidden := func(err error) error { return apierrors.NewForbidden(corev1.Resource("serviceaccounts"), name, err) }
	user, ok := cfg.User(ctx)
	if !ok {
		return forbidden(errors.New("the user of the request is not known"))
	}
	node, err := nodeOf(&user)
	if err != nil {
		return forbidden(err)
	}
	if node == "" {
		return nil
	}
	if request == nil {
		return forbidden(errors.New("unexpected type: nil"))
	}
	ref := request.Spec.BoundObjectRef
	switch {
	case ref == nil || ref.APIVersion != "v1" || ref.Kind != "Pod" || ref.Name == "": // NOD-5
		return forbidden(errors.New("node requested token not bound to a pod"))
	case ref.UID == "": // NOD-6
		return forbidden(errors.New("node requested token with a pod binding without a uid"))
	}
	pod, err := cfg.pod(ctx, namespace, ref.Name)
	switch {
	case apierrors.IsNotFound(err): // NOD-7
		return apierrors.NewNotFound(corev1.Resource("pod"), ref.Name)
	case err != nil:
		return forbidden(err)
	case ref.UID != pod.UID: // NOD-8
		return forbidden(fmt.Errorf("the UID in the bound object reference (%s) does not match the UID in record. The object might have been deleted and then recreated", ref.UID))
	case pod.Spec.NodeName != node: // NOD-9
		return forbidden(errors.New("node requested token bound to a pod scheduled on a different node"))
	case cfg.AnyAudience: // NOD-11
		return nil
	}
	if err := cfg.admitAudience(ctx, user, namespace, name, pod, request.Spec.Audiences); err != nil {
		return forbidden(err)
	}
	return nil
}

// nodeOf returns the name of the node that user is, empty if it is none (NOD-1,
// NOD-2).
func nodeOf(user *authenticationv1.UserInfo) (string, error) {
	node, ok := strings.CutPrefix(user.Username, nodeUserPrefix)
	if !ok || !slices.Contains(user.Groups, nodesGroup) {
		return "", nil
	}
	if node == "" {
		return "", fmt.Errorf("could not determine node from user %q", user.Username)
	}
	return node, nil
}

// pod looks up a pod. What can't be its name is not found, without a request.
func (cfg *NodeRuleConfig) pod(ctx context.Context, namespace, name string) (*corev1.Pod, error) {
	if !names.Valid(name) {
		return nil, apierrors.NewNotFound(corev1.Resource("pod"), name)
	}
	pod, err := contract.Require(cfg.Pods.GetPod(ctx, namespace, name))
	return pod, err
}
