package compat

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"fmt"
	"slices"
	"testing"
	"time"

	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	upstreamadmission "k8s.io/apiserver/pkg/admission"
	"k8s.io/client-go/util/keyutil"
	core "k8s.io/kubernetes/pkg/apis/core"
	corev1conversion "k8s.io/kubernetes/pkg/apis/core/v1"
	upstreamtokens "k8s.io/kubernetes/pkg/serviceaccount"

	"github.com/kubesa/serviceaccount/admission"
	"github.com/kubesa/serviceaccount/keys"
	"github.com/kubesa/serviceaccount/tokens"
	"github.com/kubesa/serviceaccount/tokens/tokenissuer"
)

// The benchmarks do the same work with upstream (impl=upstream) and with this
// library (impl=ours), in one run, so that noise meets both; impl=raw is what neither
// can do without: the signature, or the allocation of what a pod gets.

func benchmarkPod(containers int) *corev1.Pod {
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "web", Namespace: admissionNamespace}}
	for i := range containers {
		pod.Spec.Containers = append(pod.Spec.Containers, corev1.Container{
			Name: fmt.Sprintf("c%d", i), VolumeMounts: []corev1.VolumeMount{{Name: "data", MountPath: "/data"}},
		})
	}
	return pod
}

// addByHand gives spec what Admit does, without a decision.
func addByHand(spec *corev1.PodSpec, account *corev1.ServiceAccount) {
	const volume = "kube-api-access-24qtx"
	spec.ServiceAccountName, spec.DeprecatedServiceAccount = account.Name, account.Name
	spec.Volumes = append(spec.Volumes, corev1.Volume{Name: volume, VolumeSource: corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{
		Sources: []corev1.VolumeProjection{
			{ServiceAccountToken: &corev1.ServiceAccountTokenProjection{ExpirationSeconds: new(int64(3607)), Path: corev1.ServiceAccountTokenKey}},
			{ConfigMap: &corev1.ConfigMapProjection{
				LocalObjectReference: corev1.LocalObjectReference{Name: admission.DefaultRootCA},
				Items:                []corev1.KeyToPath{{Key: corev1.ServiceAccountRootCAKey, Path: corev1.ServiceAccountRootCAKey}},
			}},
			{DownwardAPI: &corev1.DownwardAPIProjection{Items: []corev1.DownwardAPIVolumeFile{{
				Path: corev1.ServiceAccountNamespaceKey, FieldRef: &corev1.ObjectFieldSelector{APIVersion: "v1", FieldPath: "metadata.namespace"},
			}}}},
		},
		DefaultMode: new(corev1.ProjectedVolumeSourceDefaultMode),
	}}})
	for i := range spec.Containers {
		c := &spec.Containers[i]
		c.VolumeMounts = append(slices.Clip(c.VolumeMounts), corev1.VolumeMount{Name: volume, ReadOnly: true, MountPath: admission.DefaultMountPath})
	}
	spec.ImagePullSecrets = slices.Clone(account.ImagePullSecrets)
}

func BenchmarkAdmit(b *testing.B) {
	c := &admissionCase{cached: &corev1.ServiceAccount{
		ObjectMeta: metav1.ObjectMeta{Namespace: admissionNamespace, Name: "default"}, ImagePullSecrets: []corev1.LocalObjectReference{{Name: "registry"}},
	}}
	for _, containers := range []int{1, 10} {
		b.Run(fmt.Sprintf("containers=%d/impl=upstream", containers), func(b *testing.B) {
			u := newUpstreamAdmission()
			u.current, u.plugin.MountServiceAccountToken = c, true
			if err := u.cache.Add(c.cached); err != nil {
				b.Fatal(err)
			}
			var fresh core.Pod
			if err := corev1conversion.Convert_v1_Pod_To_core_Pod(benchmarkPod(containers), &fresh, nil); err != nil {
				b.Fatal(err)
			}
			mounts := make([][]core.VolumeMount, containers)
			for i := range mounts {
				mounts[i] = fresh.Spec.Containers[i].VolumeMounts
			}
			attributes := upstreamadmission.NewAttributesRecord(&fresh, nil, core.Kind("Pod").WithVersion("v1"),
				admissionNamespace, "web", core.Resource("pods").WithVersion("v1"), "", upstreamadmission.Create, nil, false, nil)
			b.ReportAllocs()
			for b.Loop() {
				fresh.Spec.ServiceAccountName, fresh.Spec.Volumes, fresh.Spec.ImagePullSecrets = "", nil, nil
				for i := range mounts {
					fresh.Spec.Containers[i].VolumeMounts = mounts[i]
				}
				if err := u.plugin.Admit(context.Background(), attributes, nil); err != nil {
					b.Fatal(err)
				}
			}
			if len(fresh.Spec.Volumes) != 1 {
				b.Fatal("the token volume was not added")
			}
		})
		var raw float64 // ns/op
		for _, impl := range []string{"raw", "ours"} {
			b.Run(fmt.Sprintf("containers=%d/impl=%s", containers, impl), func(b *testing.B) {
				plugin := must(admission.New(admission.Config{ServiceAccounts: cachedAccount{c}}))
				fresh := benchmarkPod(containers)
				mounts := make([][]corev1.VolumeMount, containers)
				for i := range mounts {
					mounts[i] = fresh.Spec.Containers[i].VolumeMounts
				}
				req := admission.Request{Operation: admissionv1.Create, Namespace: admissionNamespace, Name: "web", Pod: fresh}
				b.ReportAllocs()
				for b.Loop() {
					fresh.Spec.ServiceAccountName, fresh.Spec.DeprecatedServiceAccount, fresh.Spec.Volumes, fresh.Spec.ImagePullSecrets = "", "", nil, nil
					for i := range mounts {
						fresh.Spec.Containers[i].VolumeMounts = mounts[i]
					}
					if impl == "raw" {
						addByHand(&fresh.Spec, c.cached)
					} else if err := plugin.Admit(context.Background(), req); err != nil {
						b.Fatal(err)
					}
				}
				if len(fresh.Spec.Volumes) != 1 {
					b.Fatal("the token volume was not added")
				}
				took := float64(b.Elapsed().Nanoseconds()) / float64(b.N)
				if impl == "raw" {
					raw = took
				} else if raw > 0 {
					b.ReportMetric(took/raw, "x/raw")
				}
			})
		}
	}
}

// benchmarkKeys are the first two of tokenKeys: RS256 and ES256.
func benchmarkKeys() []tokenKey { return tokenKeys()[:2] }

func benchmarkIssuer(key tokenKey) *tokenissuer.Issuer {
	return must(tokenissuer.New(tokenissuer.Config{Issuer: testIssuer, Signer: must(keys.NewSigner(key.key))}))
}

func benchmarkAccount() *corev1.ServiceAccount {
	return &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: "team", Name: "builder", UID: "account-uid"}}
}

func benchmarkBoundPod() *corev1.Pod {
	return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "team", Name: "web", UID: "pod-uid"}, Spec: corev1.PodSpec{ServiceAccountName: "builder"}}
}

func BenchmarkIssue(b *testing.B) {
	digest := sha256.Sum256([]byte("digest"))
	for _, key := range benchmarkKeys() {
		b.Run("alg="+key.alg+"/impl=raw", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := key.key.Sign(rand.Reader, digest[:], crypto.SHA256); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run("alg="+key.alg+"/impl=upstream", func(b *testing.B) {
			generator := must(upstreamtokens.JWTTokenGenerator(testIssuer, key.key))
			account := core.ServiceAccount{ObjectMeta: benchmarkAccount().ObjectMeta}
			pod := &core.Pod{ObjectMeta: benchmarkBoundPod().ObjectMeta}
			b.ReportAllocs()
			for b.Loop() {
				claims, private, err := upstreamtokens.Claims(account, pod, nil, nil, nil, nil, 3600, 0, []string{"api"}, nil)
				if err != nil {
					b.Fatal(err)
				}
				if _, err := generator.GenerateToken(context.Background(), claims, private); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run("alg="+key.alg+"/impl=ours", func(b *testing.B) {
			issuer := benchmarkIssuer(key)
			request := tokenissuer.Request{ServiceAccount: benchmarkAccount(), Pod: benchmarkBoundPod(), Audiences: []string{"api"}, Lifetime: time.Hour}
			b.ReportAllocs()
			for b.Loop() {
				if _, err := issuer.Issue(context.Background(), request); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run("alg="+key.alg+"/parallel/impl=upstream", func(b *testing.B) {
			generator := must(upstreamtokens.JWTTokenGenerator(testIssuer, key.key))
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				account := core.ServiceAccount{ObjectMeta: benchmarkAccount().ObjectMeta}
				pod := &core.Pod{ObjectMeta: benchmarkBoundPod().ObjectMeta}
				for pb.Next() {
					claims, private, err := upstreamtokens.Claims(account, pod, nil, nil, nil, nil, 3600, 0, []string{"api"}, nil)
					if err == nil {
						_, err = generator.GenerateToken(context.Background(), claims, private)
					}
					if err != nil {
						b.Error(err)
						return
					}
				}
			})
		})
		b.Run("alg="+key.alg+"/parallel/impl=ours", func(b *testing.B) {
			issuer := benchmarkIssuer(key)
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				request := tokenissuer.Request{ServiceAccount: benchmarkAccount(), Pod: benchmarkBoundPod(), Audiences: []string{"api"}, Lifetime: time.Hour}
				for pb.Next() {
					if _, err := issuer.Issue(context.Background(), request); err != nil {
						b.Error(err)
						return
					}
				}
			})
		})
	}
}

// benchmarkCase has a good token that is bound to a pod, and a second one.
func benchmarkCase(b *testing.B, key tokenKey) (c *tokenCase, second string) {
	b.Helper()
	mint := func() string {
		return must(benchmarkIssuer(key).Issue(b.Context(), tokenissuer.Request{
			ServiceAccount: benchmarkAccount(), Pod: benchmarkBoundPod(), Audiences: []string{"api"}, Lifetime: 24 * time.Hour,
		})).Value
	}
	return &tokenCase{now: time.Now(), token: mint(), account: state{uid: "account-uid"}, pod: state{uid: "pod-uid"}}, mint()
}

// BenchmarkAuthenticate judges a token that upstream and we have not seen before
// (seen=no), and one whose signature we remember (seen=yes), which upstream doesn't.
func BenchmarkAuthenticate(b *testing.B) {
	digest := sha256.Sum256([]byte("digest"))
	for _, key := range benchmarkKeys() {
		c, second := benchmarkCase(b, key)
		signed := must(key.key.Sign(rand.Reader, digest[:], crypto.SHA256))
		b.Run("alg="+key.alg+"/seen=no/impl=raw", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if !rawVerify(key.key.Public(), digest[:], signed) {
					b.Fatal("the signature does not verify")
				}
			}
		})
		upstream := func(b *testing.B) {
			both := newBothAuthenticators()
			both.current = c
			bound := both.union[1]
			b.ReportAllocs()
			for b.Loop() {
				if _, ok, err := bound.AuthenticateToken(context.Background(), c.token); !ok || err != nil {
					b.Fatal(ok, err)
				}
			}
		}
		ours := func(cacheSize int, alternate bool) func(b *testing.B) {
			return func(b *testing.B) {
				a := benchmarkAuthenticator(c, cacheSize)
				texts := [2]string{c.token, c.token}
				if alternate {
					texts[1] = second
				}
				b.ReportAllocs()
				for i := 0; b.Loop(); i++ {
					if _, err := a.Authenticate(context.Background(), texts[i%2]); err != nil {
						b.Fatal(err)
					}
				}
			}
		}
		b.Run("alg="+key.alg+"/seen=no/impl=upstream", upstream)
		b.Run("alg="+key.alg+"/seen=no/impl=ours", ours(1, true)) // each pushes the other out
		b.Run("alg="+key.alg+"/seen=yes/impl=upstream", upstream)
		b.Run("alg="+key.alg+"/seen=yes/impl=ours", ours(0, false))
		b.Run("alg="+key.alg+"/seen=yes/parallel/impl=upstream", func(b *testing.B) {
			both := newBothAuthenticators()
			both.current = c
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if _, ok, err := both.union[1].AuthenticateToken(context.Background(), c.token); !ok || err != nil {
						b.Error(ok, err)
						return
					}
				}
			})
		})
		b.Run("alg="+key.alg+"/seen=yes/parallel/impl=ours", func(b *testing.B) {
			a := benchmarkAuthenticator(c, 0)
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if _, err := a.Authenticate(context.Background(), c.token); err != nil {
						b.Error(err)
						return
					}
				}
			})
		})
	}
}

func benchmarkAuthenticator(c *tokenCase, cacheSize int) *tokens.Authenticator {
	var publics []crypto.PublicKey
	for _, key := range tokenKeys() {
		publics = append(publics, key.key.Public())
	}
	getters := &bothAuthenticators{current: c}
	return must(tokens.NewAuthenticator(tokens.AuthenticatorConfig{
		Issuers: []string{testIssuer}, Keys: must(keys.NewSet(publics...)), APIAudiences: []string{"api"},
		ServiceAccounts: getters, Secrets: getters, Pods: getters, Nodes: getters, Legacy: true, SignatureCacheBytes: int64(max(cacheSize, 0)) * 2048, DisableSignatureCache: cacheSize < 0,
	}))
}

func rawVerify(key crypto.PublicKey, digest, signature []byte) bool {
	switch key := key.(type) {
	case *ecdsa.PublicKey:
		return ecdsa.VerifyASN1(key, digest, signature)
	case *rsa.PublicKey:
		return rsa.VerifyPKCS1v15(key, crypto.SHA256, digest, signature) == nil
	}
	return false
}

func BenchmarkPublicKeyFile(b *testing.B) {
	var file []byte
	for _, key := range tokenKeys() {
		file = append(file, must(keys.EncodePublicKey(key.key.Public()))...)
	}
	b.Run("impl=upstream", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if list, err := keyutil.ParsePublicKeysPEM(file); err != nil || len(list) != 4 {
				b.Fatal(len(list), err)
			}
		}
	})
	b.Run("impl=ours", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if list, err := keys.ParsePublicKeys(file); err != nil || len(list) != 4 {
				b.Fatal(len(list), err)
			}
		}
	})
}
