package keeper_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	certificatesv1 "k8s.io/api/certificates/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubesa/serviceaccount/fake"
	"github.com/kubesa/serviceaccount/tokens"
	"github.com/kubesa/serviceaccount/tokens/keeper"
)

var noon = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

func ptr[T any](v T) *T { return &v }

// A payloadCase is a pod with the volume that admission adds.
type payloadCase struct {
	pod    *corev1.Pod
	volume *corev1.ProjectedVolumeSource
	cfg    keeper.PayloadConfig
}

func newPayloadCase() *payloadCase {
	cluster := fake.New(
		&corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "ci", Name: "kube-root-ca.crt"}, Data: map[string]string{"ca.crt": "CA", "more": "x"}, BinaryData: map[string][]byte{"bin": {0}}},
		&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "ci", Name: "settings"}, Data: map[string][]byte{"password": []byte("hunter2")}},
	)
	c := &payloadCase{
		pod: &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Namespace: "ci", Name: "job", UID: "1", Labels: map[string]string{"b": "2", "a": "x\"y"}},
			Spec:       corev1.PodSpec{ServiceAccountName: "builder", Containers: []corev1.Container{{Name: "c"}}},
		},
		volume: &corev1.ProjectedVolumeSource{DefaultMode: ptr(int32(0o644)), Sources: []corev1.VolumeProjection{
			{ServiceAccountToken: &corev1.ServiceAccountTokenProjection{Path: "token", ExpirationSeconds: ptr(int64(3607))}},
			{ConfigMap: &corev1.ConfigMapProjection{LocalObjectReference: corev1.LocalObjectReference{Name: "kube-root-ca.crt"}, Items: []corev1.KeyToPath{{Key: "ca.crt", Path: "ca.crt"}}}},
			{DownwardAPI: &corev1.DownwardAPIProjection{Items: []corev1.DownwardAPIVolumeFile{{Path: "namespace", FieldRef: &corev1.ObjectFieldSelector{FieldPath: "metadata.namespace"}}}}},
		}},
	}
	c.cfg = keeper.PayloadConfig{ConfigMaps: cluster, Secrets: cluster, Mint: func(_ context.Context, pod *corev1.Pod, source *corev1.ServiceAccountTokenProjection) (*tokens.Token, error) {
		if *source.ExpirationSeconds == 0 {
			return &tokens.Token{Value: "for ever"}, nil
		}
		return &tokens.Token{Value: fmt.Sprintf("T-%s-%s", pod.Spec.ServiceAccountName, source.Audience), Expiry: noon.Add(time.Duration(*source.ExpirationSeconds) * time.Second)}, nil
	}}
	return c
}

func (c *payloadCase) add(source corev1.VolumeProjection) {
	c.volume.Sources = append(c.volume.Sources, source)
}

// A pod decides how many sources its volume has, not how many lookups that takes.
func TestPayloadLookupsOfOneObject(t *testing.T) {
	c := newPayloadCase()
	bundles := &bundleCounter{}
	c.cfg.TrustBundles = bundles
	for i := range 1000 {
		path := []corev1.KeyToPath{{Key: "more", Path: fmt.Sprint("a", i)}}
		c.add(corev1.VolumeProjection{ConfigMap: &corev1.ConfigMapProjection{LocalObjectReference: corev1.LocalObjectReference{Name: "kube-root-ca.crt"}, Items: path}})
		c.add(corev1.VolumeProjection{Secret: &corev1.SecretProjection{LocalObjectReference: corev1.LocalObjectReference{Name: "absent"}, Optional: ptr(true)}})
		c.add(corev1.VolumeProjection{ClusterTrustBundle: &corev1.ClusterTrustBundleProjection{Name: ptr("b"), Path: fmt.Sprint("b", i)}})
		c.add(corev1.VolumeProjection{ClusterTrustBundle: &corev1.ClusterTrustBundleProjection{SignerName: ptr("x/y"), LabelSelector: &metav1.LabelSelector{}, Optional: ptr(true), Path: fmt.Sprint("c", i)}})
	}
	files, _, err := keeper.Payload(t.Context(), c.pod, c.volume, c.cfg)
	if err != nil || len(files) != 3+3*1000 {
		t.Errorf("Payload() = %d files, %v, want 3003", len(files), err)
	}
	lookups := bundles.n
	for _, a := range c.cfg.ConfigMaps.(*fake.Cluster).Actions() {
		if a.Verb == "get" {
			lookups++
		}
	}
	if lookups != 4 {
		t.Errorf("4,000 sources took %d lookups, want 4, one for each object or list", lookups)
	}
}

// SECURITY E: nor does it decide how many calls and bytes it takes: 25,000 sources are not
// 25,000 tokens, and a volume of 20,000 times the annotations isn't 5 GiB.
func TestPayloadBounds(t *testing.T) {
	token := func(i int) corev1.VolumeProjection {
		return corev1.VolumeProjection{ServiceAccountToken: &corev1.ServiceAccountTokenProjection{Path: fmt.Sprint("t", i), ExpirationSeconds: ptr(int64(3607))}}
	}
	configMap := func(name, key string, i int) corev1.VolumeProjection {
		p := &corev1.ConfigMapProjection{LocalObjectReference: corev1.LocalObjectReference{Name: name}, Optional: ptr(true)}
		if key != "" {
			p.Items = []corev1.KeyToPath{{Key: key, Path: fmt.Sprint(key, i)}}
		}
		return corev1.VolumeProjection{ConfigMap: p}
	}
	bundle := func(int) corev1.VolumeProjection {
		return corev1.VolumeProjection{ClusterTrustBundle: &corev1.ClusterTrustBundleProjection{SignerName: ptr("x/y"), LabelSelector: &metav1.LabelSelector{}, Path: "same"}}
	}
	manyBundles := func(int) corev1.VolumeProjection {
		return corev1.VolumeProjection{ClusterTrustBundle: &corev1.ClusterTrustBundleProjection{SignerName: ptr("x/many"), LabelSelector: &metav1.LabelSelector{}, Optional: ptr(true), Path: "same"}}
	}
	annotations := func(i int) corev1.VolumeProjection {
		return corev1.VolumeProjection{DownwardAPI: &corev1.DownwardAPIProjection{Items: []corev1.DownwardAPIVolumeFile{{Path: fmt.Sprint("d", i), FieldRef: &corev1.ObjectFieldSelector{FieldPath: "metadata.annotations"}}}}}
	}
	const calls, content = "the volume has more than 64 tokens and objects", "the volume is made of more than 64 MiB"
	for _, tt := range []struct {
		name   string
		n      int
		source func(i int) corev1.VolumeProjection
		at     int // the source that is one too many, none if 0
		want   string
	}{
		{name: "as many tokens as may be", n: 62, source: token}, // beside that and the ConfigMap of the case
		{name: "tokens", n: 1000, source: token, at: 65, want: calls},
		{name: "ConfigMaps", n: 1000, source: func(i int) corev1.VolumeProjection { return configMap(fmt.Sprint("absent-", i), "", i) }, at: 65, want: calls},
		{name: "small parts of a large ConfigMap", n: 5000, source: func(i int) corev1.VolumeProjection { return configMap("large", "small", i) }},
		{name: "large parts of it", n: 1000, source: func(i int) corev1.VolumeProjection { return configMap("large", "large", i) }, at: 67, want: content},
		{name: "all of it, at the same path", n: 1000, source: func(i int) corev1.VolumeProjection { return configMap("large", "", i) }, at: 67, want: content},
		{name: "annotations", n: 5000, source: annotations, at: 258, want: content},
		{name: "bundles, at the same path", n: 1000, source: bundle, at: 66, want: content},
		{name: "labels of bundles", n: 1000, source: manyBundles, at: 66, want: content},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := newPayloadCase()
			c.pod.Annotations = map[string]string{"a": strings.Repeat("x", 256<<10)}
			cluster := c.cfg.ConfigMaps.(*fake.Cluster)
			large := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "ci", Name: "large"}, Data: map[string]string{"small": "x", "large": strings.Repeat("x", 1<<20-100)}}
			if _, err := cluster.CreateConfigMap(t.Context(), large); err != nil {
				t.Fatal(err)
			}
			c.cfg.TrustBundles = largeBundles{}
			for i := range tt.n {
				c.add(tt.source(i))
			}
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			_, _, err := keeper.Payload(t.Context(), c.pod, c.volume, c.cfg)
			runtime.ReadMemStats(&after)
			if took := after.TotalAlloc - before.TotalAlloc; took > 512<<20 {
				t.Errorf("it took %d MiB", took>>20)
			}
			e, _ := errors.AsType[*keeper.SourceError](err)
			switch {
			case tt.at == 0 && err != nil:
				t.Error(err)
			case tt.at > 0 && (e == nil || !strings.HasSuffix(err.Error(), tt.want) || e.Source != tt.at || strings.Contains(err.Error(), "\n")):
				t.Errorf("Payload() = %.300v, want a SourceError of %d alone: %s", err, tt.at, tt.want)
			}
		})
	}
}

// A volume of 64 MiB may be, with its path; a byte more may not.
func TestPayloadLargestContent(t *testing.T) {
	const most = 64<<20 - len("token")
	for _, tt := range []struct {
		size int
		ok   bool
	}{{most, true}, {most + 1, false}} {
		c := newPayloadCase()
		c.volume.Sources = c.volume.Sources[:1]
		c.cfg.Mint = func(context.Context, *corev1.Pod, *corev1.ServiceAccountTokenProjection) (*tokens.Token, error) {
			return &tokens.Token{Value: strings.Repeat("x", tt.size)}, nil
		}
		if _, _, err := keeper.Payload(t.Context(), c.pod, c.volume, c.cfg); (err == nil) != tt.ok {
			t.Errorf("%d bytes: Payload() = %v", tt.size, err)
		}
	}
}

// largeBundles has one ClusterTrustBundle of 1 MiB for each signer, and many of one.
type largeBundles struct{}

func (largeBundles) GetClusterTrustBundle(context.Context, string) (*certificatesv1.ClusterTrustBundle, error) {
	return nil, errors.New("nobody asks")
}

func (largeBundles) ListClusterTrustBundles(_ context.Context, signer string) ([]*certificatesv1.ClusterTrustBundle, error) {
	if signer == "x/many" {
		return make([]*certificatesv1.ClusterTrustBundle, 1<<20/64), nil
	}
	return []*certificatesv1.ClusterTrustBundle{{Spec: certificatesv1.ClusterTrustBundleSpec{SignerName: signer, TrustBundle: strings.Repeat("# comment\n", 1<<20/10)}}}, nil
}

// A bundleCounter has one ClusterTrustBundle, without certificates.
type bundleCounter struct{ n int }

func (c *bundleCounter) GetClusterTrustBundle(context.Context, string) (*certificatesv1.ClusterTrustBundle, error) {
	c.n++
	return &certificatesv1.ClusterTrustBundle{}, nil
}

func (c *bundleCounter) ListClusterTrustBundles(context.Context, string) ([]*certificatesv1.ClusterTrustBundle, error) {
	c.n++
	return nil, nil
}

// KUB-15, KUB-31, KUB-32, KUB-33, KUB-34, KUB-37
func TestPayload(t *testing.T) {
	plain := map[string]string{"token": "T-builder- 644", "ca.crt": "CA 644", "namespace": "ci 644"}
	with := func(more map[string]string) map[string]string {
		all := map[string]string{}
		for _, m := range []map[string]string{plain, more} {
			for k, v := range m {
				all[k] = v
			}
		}
		return all
	}
	fields := func(paths ...string) corev1.VolumeProjection {
		d := &corev1.DownwardAPIProjection{}
		for _, p := range paths {
			d.Items = append(d.Items, corev1.DownwardAPIVolumeFile{Path: p, FieldRef: &corev1.ObjectFieldSelector{FieldPath: p}})
		}
		return corev1.VolumeProjection{DownwardAPI: d}
	}
	for _, tt := range []struct {
		name   string
		mutate func(*payloadCase)
		want   map[string]string
		err    string
	}{
		{name: "the default volume", want: plain},
		{name: "no default mode", mutate: func(c *payloadCase) { c.volume.DefaultMode = nil }, want: plain},
		{name: "another mode", mutate: func(c *payloadCase) { c.volume.DefaultMode = ptr(int32(0o400)) }, want: map[string]string{"token": "T-builder- 400", "ca.crt": "CA 400", "namespace": "ci 400"}},
		{name: "all run as one user", mutate: func(c *payloadCase) {
			c.pod.Spec.SecurityContext = &corev1.PodSecurityContext{RunAsUser: ptr(int64(7))}
			c.pod.Spec.InitContainers = []corev1.Container{{SecurityContext: &corev1.SecurityContext{RunAsUser: ptr(int64(7))}}}
		}, want: with(map[string]string{"token": "T-builder- 600 user 7"})},
		{name: "one runs as another user", mutate: func(c *payloadCase) {
			c.pod.Spec.SecurityContext = &corev1.PodSecurityContext{RunAsUser: ptr(int64(7))}
			c.pod.Spec.InitContainers = []corev1.Container{{SecurityContext: &corev1.SecurityContext{RunAsUser: ptr(int64(8))}}}
		}, want: plain},
		{name: "one doesn't say", mutate: func(c *payloadCase) {
			c.pod.Spec.Containers[0].SecurityContext = &corev1.SecurityContext{RunAsUser: ptr(int64(7))}
			c.pod.Spec.EphemeralContainers = []corev1.EphemeralContainer{{}}
		}, want: plain},
		{name: "a container without a user of its own", mutate: func(c *payloadCase) {
			c.pod.Spec.SecurityContext = &corev1.PodSecurityContext{RunAsUser: ptr(int64(7))}
			c.pod.Spec.Containers[0].SecurityContext = &corev1.SecurityContext{}
		}, want: with(map[string]string{"token": "T-builder- 600 user 7"})},
		{name: "tokens that expire later, or never", mutate: func(c *payloadCase) {
			c.add(corev1.VolumeProjection{ServiceAccountToken: &corev1.ServiceAccountTokenProjection{Path: "later", ExpirationSeconds: ptr(int64(7200))}})
			c.add(corev1.VolumeProjection{ServiceAccountToken: &corev1.ServiceAccountTokenProjection{Path: "never", ExpirationSeconds: ptr(int64(0))}})
		}, want: with(map[string]string{"later": "T-builder- 644", "never": "for ever 644"})},
		{name: "a group", mutate: func(c *payloadCase) { c.pod.Spec.SecurityContext = &corev1.PodSecurityContext{FSGroup: ptr(int64(9))} },
			want: with(map[string]string{"token": "T-builder- 640 group 9"})},
		{name: "all of a ConfigMap", mutate: func(c *payloadCase) { c.volume.Sources[1].ConfigMap.Items = nil }, want: with(map[string]string{"more": "x 644", "bin": "\x00 644"})},
		{name: "a Secret", mutate: func(c *payloadCase) {
			c.add(corev1.VolumeProjection{Secret: &corev1.SecretProjection{LocalObjectReference: corev1.LocalObjectReference{Name: "settings"}, Items: []corev1.KeyToPath{{Key: "password", Path: "pw", Mode: ptr(int32(0o600))}}}})
		}, want: with(map[string]string{"pw": "hunter2 600"})},
		{name: "a later source at the same path", mutate: func(c *payloadCase) {
			c.add(corev1.VolumeProjection{ServiceAccountToken: &corev1.ServiceAccountTokenProjection{Path: "token", Audience: "vault", ExpirationSeconds: ptr(int64(600))}})
		}, want: with(map[string]string{"token": "T-builder-vault 644"})},
		{name: "fields", mutate: func(c *payloadCase) {
			c.add(fields("metadata.name", "metadata.uid", "metadata.labels", "metadata.annotations", "metadata.labels['b']"))
		}, want: with(map[string]string{"metadata.name": "job 644", "metadata.uid": "1 644", "metadata.labels": "a=\"x\\\"y\"\nb=\"2\" 644", "metadata.annotations": " 644", "metadata.labels['b']": "2 644"})},
		{name: "an optional ConfigMap that isn't there", mutate: func(c *payloadCase) { m := c.volume.Sources[1].ConfigMap; m.Name, m.Optional = "gone", ptr(true) },
			want: map[string]string{"token": "T-builder- 644", "namespace": "ci 644"}},
		{name: "a required ConfigMap that isn't there", mutate: func(c *payloadCase) {
			m := c.volume.Sources[1].ConfigMap
			m.Name, m.Optional = "gone", ptr(false)
		}, err: `keeper: source 1: the ConfigMap "gone": configmaps "gone" not found`},
		{name: "a required key that isn't there", mutate: func(c *payloadCase) {
			m := c.volume.Sources[1].ConfigMap
			m.Items[0].Key, m.Optional = "gone", ptr(false)
		}, err: `keeper: source 1: the ConfigMap kube-root-ca.crt has no key "gone"`},
		{name: "a field that isn't quoted", mutate: func(c *payloadCase) { c.add(fields("metadata.labels['b")) },
			err: `keeper: source 3: path "metadata.labels['b": the field "metadata.labels['b" isn't known here`},
		{name: "a field with keys that isn't known", mutate: func(c *payloadCase) { c.add(fields("metadata.finalizers['b']")) },
			err: `keeper: source 3: path "metadata.finalizers['b']": the field "metadata.finalizers['b']" isn't known here`},
		{name: "a ConfigMap that isn't there", mutate: func(c *payloadCase) { c.volume.Sources[1].ConfigMap.Name = "gone" }, err: `keeper: source 1: the ConfigMap "gone": configmaps "gone" not found`},
		{name: "a ConfigMap that is a path", mutate: func(c *payloadCase) { c.volume.Sources[1].ConfigMap.Name = "../x" }, err: `keeper: source 1: the ConfigMap "../x": there can't be one of that name`},
		{name: "a key that isn't there", mutate: func(c *payloadCase) { c.volume.Sources[1].ConfigMap.Items[0].Key = "gone" }, err: `keeper: source 1: the ConfigMap kube-root-ca.crt has no key "gone"`},
		{name: "all errors", mutate: func(c *payloadCase) {
			c.cfg = keeper.PayloadConfig{}
			c.add(corev1.VolumeProjection{Secret: &corev1.SecretProjection{LocalObjectReference: corev1.LocalObjectReference{Name: "settings"}}})
			c.add(corev1.VolumeProjection{ClusterTrustBundle: &corev1.ClusterTrustBundleProjection{}})
			c.add(corev1.VolumeProjection{PodCertificate: &corev1.PodCertificateProjection{}})
			c.add(fields("spec.nodeName"))
			c.add(corev1.VolumeProjection{DownwardAPI: &corev1.DownwardAPIProjection{Items: []corev1.DownwardAPIVolumeFile{{Path: "cpu", ResourceFieldRef: &corev1.ResourceFieldSelector{}}}}})
		}, err: "keeper: source 0: there is no Mint for tokens\nkeeper: source 1: the ConfigMap \"kube-root-ca.crt\": there is no getter of ConfigMaps\n" +
			"keeper: source 3: the Secret \"settings\": there is no getter of Secrets\nkeeper: source 4: a source of ClusterTrustBundles needs a name or a signerName\nkeeper: source 5: it is of a kind that isn't known here\n" +
			"keeper: source 6: path \"spec.nodeName\": the field \"spec.nodeName\" isn't known here\nkeeper: source 7: path \"cpu\": resource fields aren't known here"},
		{name: "Mint fails", mutate: func(c *payloadCase) {
			c.cfg.Mint = func(context.Context, *corev1.Pod, *corev1.ServiceAccountTokenProjection) (*tokens.Token, error) {
				return nil, errors.New("down")
			}
		}, err: "keeper: source 0: getting a token: down"},
		{name: "Mint returns nothing", mutate: func(c *payloadCase) {
			c.cfg.Mint = func(context.Context, *corev1.Pod, *corev1.ServiceAccountTokenProjection) (*tokens.Token, error) {
				return nil, nil
			}
		}, err: "keeper: source 0: the function Mint returned neither a token nor an error"},
		{name: "Mint returns no value", mutate: func(c *payloadCase) {
			c.cfg.Mint = func(context.Context, *corev1.Pod, *corev1.ServiceAccountTokenProjection) (*tokens.Token, error) {
				return &tokens.Token{Expiry: noon}, nil
			}
		}, err: "keeper: source 0: the function Mint returned neither a token nor an error"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := newPayloadCase()
			if tt.mutate != nil {
				tt.mutate(c)
			}
			files, expiry, err := keeper.Payload(t.Context(), c.pod, c.volume, c.cfg)
			if tt.err != "" {
				if err == nil || err.Error() != tt.err || files != nil {
					t.Errorf("Payload() = %v, want %q", err, tt.err)
				}
				return
			}
			got := map[string]string{}
			for p, file := range files {
				got[p] = fmt.Sprintf("%s %o", file.Data, file.Mode)
				if file.UID != nil {
					got[p] += fmt.Sprintf(" user %d", *file.UID)
				}
				if file.GID != nil {
					got[p] += fmt.Sprintf(" group %d", *file.GID)
				}
			}
			if diff := cmp.Diff(tt.want, got); diff != "" || err != nil {
				t.Errorf("Payload() = %v, (-want +got):\n%s", err, diff)
			}
			want := noon.Add(3607 * time.Second)
			if strings.Contains(got["token"], "vault") {
				want = noon.Add(600 * time.Second)
			}
			if !expiry.Equal(want) {
				t.Errorf("expiry %v, want %v", expiry, want)
			}
		})
	}
	c := newPayloadCase()
	if _, _, err := keeper.Payload(t.Context(), nil, c.volume, c.cfg); err == nil {
		t.Error("without a pod there is no error")
	}
	if _, _, err := keeper.Payload(t.Context(), c.pod, nil, c.cfg); err == nil {
		t.Error("without a volume there is no error")
	}
}
