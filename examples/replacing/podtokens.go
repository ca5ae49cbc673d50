package replacing

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/kubesa/serviceaccount/sacontroller"
	"github.com/kubesa/serviceaccount/tokens"
	"github.com/kubesa/serviceaccount/tokens/keeper"
)

// podTokenAnnotation is that of a Secret of the host that holds a token of a virtual
// cluster's pod: which one, as a podToken.
const podTokenAnnotation = "vcluster.loft.sh/pod-token"

type podToken struct {
	Namespace, Account, Pod string
	UID                     types.UID
	Audience                string
	Seconds                 int64
}

// AddPodTokenSecrets has the volumes of a host's pod take the tokens of the virtual
// cluster's pod from Secrets of the host, which it creates and [NewPodTokens] fills:
// vcluster's option useSecretsForSATokens (pkg/controllers/resources/pods/translate/translator.go
// and pkg/controllers/resources/pods/token/sa_token_secret.go).
func AddPodTokenSecrets(ctx context.Context, virtual, host *corev1.Pod, owners []metav1.OwnerReference, secrets interface {
	CreateSecret(ctx context.Context, secret *corev1.Secret) (*corev1.Secret, error)
}) error {
	for v := range host.Spec.Volumes {
		if host.Spec.Volumes[v].Projected == nil {
			continue
		}
		for s := range host.Spec.Volumes[v].Projected.Sources {
			source := &host.Spec.Volumes[v].Projected.Sources[s]
			token := source.ServiceAccountToken
			if token == nil {
				continue
			}
			of := podToken{virtual.Namespace, cmp.Or(virtual.Spec.ServiceAccountName, "default"), virtual.Name, virtual.UID, token.Audience, 3600}
			if token.ExpirationSeconds != nil {
				of.Seconds = *token.ExpirationSeconds
			}
			text, err := json.Marshal(of)
			if err != nil {
				return err
			}
			name := fmt.Sprintf("%s-%d-%d", virtual.UID, v, s) // which no pod after it has
			_, err = secrets.CreateSecret(ctx, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{
				Namespace: host.Namespace, Name: name, OwnerReferences: owners, Annotations: map[string]string{podTokenAnnotation: string(text)},
			}})
			if err != nil && !apierrors.IsAlreadyExists(err) {
				return err
			}
			*source = corev1.VolumeProjection{Secret: &corev1.SecretProjection{
				LocalObjectReference: corev1.LocalObjectReference{Name: name}, Items: []corev1.KeyToPath{{Key: keeper.DefaultKey, Path: token.Path}},
			}}
		}
	}
	return nil
}

// NewPodTokens keeps the tokens of virtual pods in Secrets of the host.
func NewPodTokens(secrets interface {
	keeper.SecretGetter
	keeper.SecretUpdater
}, createToken CreateToken, now func() time.Time) (sacontroller.Controller, error) {
	return keeper.NewSecrets(keeper.SecretsConfig{
		Reader: secrets, Client: secrets, Now: now,
		Want: func(secret *corev1.Secret) (*keeper.Want, error) {
			text, ok := secret.Annotations[podTokenAnnotation]
			if !ok {
				return nil, nil
			}
			var of podToken
			if err := json.Unmarshal([]byte(text), &of); err != nil {
				return nil, fmt.Errorf("annotation %s: %w", podTokenAnnotation, err)
			}
			want := &keeper.Want{Namespace: of.Namespace, Name: of.Account, Pod: tokens.ObjectRef{Name: of.Pod, UID: of.UID}, Lifetime: time.Duration(of.Seconds) * time.Second}
			if of.Audience != "" {
				want.Audiences = []string{of.Audience}
			}
			return want, nil
		},
		Mint: func(ctx context.Context, want keeper.Want) (*tokens.Token, error) {
			pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: want.Namespace, Name: want.Pod.Name, UID: want.Pod.UID}}
			pod.Spec.ServiceAccountName = want.Name
			seconds, audience := int64(want.Lifetime/time.Second), ""
			if len(want.Audiences) > 0 {
				audience = want.Audiences[0]
			}
			return createToken.mintFor(ctx, pod, &corev1.ServiceAccountTokenProjection{Audience: audience, ExpirationSeconds: &seconds})
		},
	})
}
