package keeper_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	certificatesv1 "k8s.io/api/certificates/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubesa/serviceaccount/fake"
	"github.com/kubesa/serviceaccount/sacontroller/rootca"
	"github.com/kubesa/serviceaccount/tokens"
	"github.com/kubesa/serviceaccount/tokens/inspect"
	"github.com/kubesa/serviceaccount/tokens/keeper"
	"github.com/kubesa/serviceaccount/tokens/tokensource"
)

// Keep a token of ci/builder in each Secret that asks for one.
func ExampleNewSecrets() {
	ctx := context.Background()
	cluster := fake.New(
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "ci"}},
		&corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: "ci", Name: "builder"}},
		&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "ci", Name: "remote", Labels: map[string]string{"example.org/account": "builder"}}},
	)
	authority, err := fake.NewAuthority(fake.AuthorityConfig{Cluster: cluster})
	if err != nil {
		fmt.Println(err)
		return
	}
	controller, err := keeper.NewSecrets(keeper.SecretsConfig{
		Reader: cluster, Client: cluster, Now: authority.Now,
		Want: func(secret *corev1.Secret) (*keeper.Want, error) {
			name := secret.Labels["example.org/account"]
			if name == "" {
				return nil, nil
			}
			return &keeper.Want{Namespace: secret.Namespace, Name: name, Audiences: []string{"vault"}, Lifetime: time.Hour}, nil
		},
		Mint: func(ctx context.Context, want keeper.Want) (*tokens.Token, error) {
			seconds := int64(want.Lifetime / time.Second)
			tr, err := authority.CreateToken(ctx, want.Namespace, want.Name, &authenticationv1.TokenRequest{
				Spec: authenticationv1.TokenRequestSpec{Audiences: want.Audiences, ExpirationSeconds: &seconds},
			})
			if err != nil {
				return nil, err
			}
			return tokensource.TokenOf(tr)
		},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	check := func() {
		if err := cluster.Settle(ctx, controller); err != nil { // a manager does so all the time
			fmt.Println(err)
			return
		}
		secret, err := cluster.GetSecret(ctx, "ci", "remote")
		if err != nil {
			fmt.Println(err)
			return
		}
		claims, err := inspect.PeekUnverified(string(secret.Data["token"]))
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(claims.Subject, claims.Audiences, "for another", claims.Expiry.Sub(authority.Now()))
	}
	check()
	authority.Advance(50 * time.Minute)
	check()

	// Output:
	// system:serviceaccount:ci:builder [vault] for another 1h0m0s
	// system:serviceaccount:ci:builder [vault] for another 1h0m0s
}

// Keep a token in a folder that a program reads it from. Run does this for ever.
func ExampleNewFolder() {
	ctx := context.Background()
	cluster := fake.New(
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "ci"}},
		&corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: "ci", Name: "builder"}},
	)
	authority, err := fake.NewAuthority(fake.AuthorityConfig{Cluster: cluster})
	if err != nil {
		fmt.Println(err)
		return
	}
	dir, err := os.MkdirTemp("", "")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	folder, err := keeper.NewFolder(keeper.FolderConfig{
		Dir: dir, Now: authority.Now,
		Fill: func(ctx context.Context) (map[string]keeper.File, time.Time, error) {
			tr, err := authority.CreateToken(ctx, "ci", "builder", &authenticationv1.TokenRequest{})
			if err != nil {
				return nil, time.Time{}, err
			}
			return map[string]keeper.File{"token": {Data: []byte(tr.Status.Token)}}, tr.Status.ExpirationTimestamp.Time, nil
		},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	for range 2 {
		if _, err := folder.Sync(ctx); err != nil {
			fmt.Println(err)
			return
		}
		token, err := os.ReadFile(filepath.Join(dir, "token"))
		if err != nil {
			fmt.Println(err)
			return
		}
		claims, err := inspect.PeekUnverified(string(token))
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(claims.Subject, "until", claims.Expiry.UTC().Format(time.TimeOnly))
		authority.Advance(50 * time.Minute)
	}

	// Output:
	// system:serviceaccount:ci:builder until 01:00:00
	// system:serviceaccount:ci:builder until 01:50:00
}

// Write what a kubelet would mount.
func ExampleWriteVolume() {
	dir, err := os.MkdirTemp("", "")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	for range 2 {
		changed, err := keeper.WriteVolume(dir, map[string]keeper.File{
			"token":     {Data: []byte("a token")},
			"namespace": {Data: []byte("ci"), Mode: 0o644},
		})
		fmt.Println(changed, err)
	}
	data, err := os.ReadFile(filepath.Join(dir, "namespace"))
	fmt.Println(string(data), err)

	// Output:
	// true <nil>
	// false <nil>
	// ci <nil>
}

// A virtual kubelet writes the volume of a pod whose CA comes from ClusterTrustBundles, as
// with admission.Config.RootCASigner.
func ExamplePayload() {
	ctx := context.Background()
	cluster := fake.New()
	signer := rootca.ServingSigner
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "ci", Name: "job"}}
	volume := &corev1.ProjectedVolumeSource{Sources: []corev1.VolumeProjection{
		{DownwardAPI: &corev1.DownwardAPIProjection{Items: []corev1.DownwardAPIVolumeFile{{Path: "namespace", FieldRef: &corev1.ObjectFieldSelector{FieldPath: "metadata.namespace"}}}}},
		{ClusterTrustBundle: &corev1.ClusterTrustBundleProjection{SignerName: &signer, LabelSelector: &metav1.LabelSelector{}, Path: "ca.crt"}},
	}}
	cfg := keeper.PayloadConfig{TrustBundles: cluster} // or serviceaccount.FromCertificatesV1(clientset.CertificatesV1())
	_, _, err := keeper.Payload(ctx, pod, volume, cfg)
	fmt.Println(err)
	if none, ok := errors.AsType[*keeper.NoTrustBundleError](err); ok {
		fmt.Println("try again when there is a bundle of", none.SignerName)
	}
	if err := cluster.Load(&certificatesv1.ClusterTrustBundle{
		ObjectMeta: metav1.ObjectMeta{Name: "kubernetes.io:kube-apiserver-serving:1"},
		Spec:       certificatesv1.ClusterTrustBundleSpec{SignerName: signer, TrustBundle: "-----BEGIN CERTIFICATE-----\nQ0E=\n-----END CERTIFICATE-----\n"},
	}); err != nil {
		fmt.Println(err)
		return
	}
	files, _, err := keeper.Payload(ctx, pod, volume, cfg)
	fmt.Print(err, "\n", string(files["namespace"].Data), "\n", string(files["ca.crt"].Data))

	// Output:
	// keeper: source 1: there is no ClusterTrustBundle of the signer "kubernetes.io/kube-apiserver-serving"
	// try again when there is a bundle of kubernetes.io/kube-apiserver-serving
	// <nil>
	// ci
	// -----BEGIN CERTIFICATE-----
	// Q0E=
	// -----END CERTIFICATE-----
}
