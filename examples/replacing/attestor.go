package replacing

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubesa/serviceaccount/tokens"
)

// An Agent is one that runs on a node, and has proved it.
type Agent struct {
	Identity *tokens.Identity
	Pod      *corev1.Pod
	Node     *corev1.Node
}

// AttestAgent finds out on which node the agent that presents token runs: SPIRE's k8s_psat
// node attestor (pkg/server/plugin/nodeattestor/k8spsat/psat.go, with
// pkg/common/plugin/k8s/apiserver/client.go and pkg/common/plugin/k8s/utils.go). allowed is the
// Checker of a Policy that names the accounts of agents, and requires tokens bound to a pod.
func AttestAgent(ctx context.Context, verifier tokens.Verifier, allowed func(*tokens.Identity) error, cluster interface {
	tokens.PodGetter
	tokens.NodeGetter
}, token string) (*Agent, error) {
	id, err := verifier.Authenticate(ctx, token)
	if err != nil {
		return nil, err
	}
	if err := allowed(id); err != nil {
		return nil, err
	}
	pod, err := cluster.GetPod(ctx, id.Namespace, id.Pod.Name)
	if err != nil {
		return nil, fmt.Errorf("the agent's pod: %w", err)
	}
	if pod.UID != id.Pod.UID {
		return nil, fmt.Errorf("the agent's pod %s/%s was created again", id.Namespace, id.Pod.Name)
	}
	node, err := cluster.GetNode(ctx, pod.Spec.NodeName)
	if err != nil {
		return nil, fmt.Errorf("the agent's node: %w", err)
	}
	return &Agent{id, pod, node}, nil
}
