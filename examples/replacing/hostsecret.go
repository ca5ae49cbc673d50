package replacing

import (
	"context"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/kubesa/serviceaccount/tokens"
	"github.com/kubesa/serviceaccount/tokens/keeper"
	"github.com/kubesa/serviceaccount/tokens/tokensource"
)

// HostSecretData is what a Secret of the host cluster holds in place of a projected volume
// of a virtual cluster's pod, and when it must be renewed: requestTokenSecret and
// transformKubeAccessToken of k3k's kubelet (k3k-kubelet/provider/token.go). The token of
// the volume kube-api-access is one of these, too, which ends with the pod.
func HostSecretData(ctx context.Context, pod *corev1.Pod, volume *corev1.ProjectedVolumeSource, configMaps keeper.ConfigMapGetter, createToken CreateToken) (map[string][]byte, time.Time, error) {
	files, expiry, err := keeper.Payload(ctx, pod, volume, keeper.PayloadConfig{ConfigMaps: configMaps, Mint: createToken.mintFor})
	data := make(map[string][]byte, len(files))
	for name, file := range files {
		data[name] = file.Data
	}
	return data, expiry, err
}

// mintFor requests the token of one source of a pod's volume.
func (c CreateToken) mintFor(ctx context.Context, pod *corev1.Pod, source *corev1.ServiceAccountTokenProjection) (*tokens.Token, error) {
	request := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{
		ExpirationSeconds: source.ExpirationSeconds,
		BoundObjectRef:    &authenticationv1.BoundObjectReference{APIVersion: "v1", Kind: "Pod", Name: pod.Name, UID: pod.UID},
	}}
	if source.Audience != "" {
		request.Spec.Audiences = []string{source.Audience}
	}
	answer, err := c(ctx, pod.Namespace, pod.Spec.ServiceAccountName, request)
	if err != nil {
		return nil, err
	}
	return tokensource.TokenOf(answer)
}
