package fake_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"strings"
	"testing"
	"time"

	certificatesv1 "k8s.io/api/certificates/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/kubesa/serviceaccount/fake"
)

// anchor returns the certificate of a CA, or of none, in PEM.
func anchor(t testing.TB, serial int64, ca bool) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(serial), NotAfter: time.Now().Add(time.Hour), IsCA: ca, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}

// CTB-22, CTB-23
func TestTrustBundleValidation(t *testing.T) {
	a, b := anchor(t, 1, true), anchor(t, 2, true)
	const signer = "example.com/ca"
	for _, tt := range []struct {
		label, name, signer, bundle string
		want                        []string // parts of the error; none if it is accepted
	}{
		{label: "of a signer", name: "example.com:ca:v1", signer: signer, bundle: a},
		{label: "of none", name: "my-bundle", bundle: a + b},
		{label: "comments", name: "my-bundle", bundle: "# one\n" + a + "# end\n"},
		{label: "wrong prefix", name: "other:ca:v1", signer: signer, bundle: a, want: []string{"ClusterTrustBundle for signerName example.com/ca must be named with prefix example.com:ca:"}},
		{label: "only the prefix", name: "example.com:ca:", signer: signer, bundle: a, want: []string{"metadata.name: Invalid value", "RFC 1123 subdomain"}},
		{label: "no DNS name after the prefix", name: "example.com:ca:V1", signer: signer, bundle: a, want: []string{"RFC 1123 subdomain"}},
		{label: "a colon without a signer", name: "example.com:ca", bundle: a, want: []string{`ClusterTrustBundle without signer name must not have ":" in its name`}},
		{label: "no DNS name without a signer", name: "A", bundle: a, want: []string{"RFC 1123 subdomain"}},
		{label: "a path", name: "a%2fb", bundle: a, want: []string{"may not contain '%'"}},
		{label: "no domain", name: "ca:x", signer: "ca", bundle: a, want: []string{"spec.signerName: Invalid value", "must be a fully qualified domain and path of the form 'example.com/signer-name'"}},
		{label: "a domain of one part", name: "com:ca:x", signer: "com/ca", bundle: a, want: []string{"should be a domain with at least two segments separated by dots"}},
		{label: "upper case", name: "example.com:CA:x", signer: "example.com/CA", bundle: a, want: []string{`spec.signerName: Invalid value: "CA": validating label "CA"`}},
		{label: "no name", signer: signer, bundle: a, want: []string{"metadata.name: Required value"}},
		{label: "empty", name: "x", want: []string{`spec.trustBundle: Invalid value: "<value omitted>": at least one trust anchor must be provided`}},
		{label: "another block", name: "x", bundle: a + "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", want: []string{"entry 1 has bad block type: PRIVATE KEY"}},
		{label: "a header", name: "x", bundle: strings.Replace(a, "CERTIFICATE-----\n", "CERTIFICATE-----\nA: b\n\n", 1), want: []string{"entry 0 has PEM block headers"}},
		{label: "no DER", name: "x", bundle: "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", want: []string{"entry 0 does not parse as X.509"}},
		{label: "no CA", name: "x", bundle: a + anchor(t, 3, false), want: []string{"entry 1 does not have the CA bit set"}},
		{label: "duplicates", name: "x", bundle: a + b + a, want: []string{"duplicate trust anchor (indices [0 2])"}},
		{label: "two faults", name: "x", bundle: anchor(t, 3, false) + "-----BEGIN X-----\nAAAA\n-----END X-----\n" + a + a, want: []string{"entry 0 does not", "entry 1 has bad block type: X"}},
		{label: "too large", name: "x", bundle: a + strings.Repeat("#", 1<<20), want: []string{"spec.trustBundle: Too long: may not be more than 1048576 bytes"}},
	} {
		t.Run(tt.label, func(t *testing.T) {
			bundle := &certificatesv1.ClusterTrustBundle{Spec: certificatesv1.ClusterTrustBundleSpec{SignerName: tt.signer, TrustBundle: tt.bundle}}
			bundle.Name = tt.name
			_, err := new(fake.Cluster).CreateClusterTrustBundle(t.Context(), bundle)
			if len(tt.want) == 0 && err != nil || len(tt.want) > 0 && !apierrors.IsInvalid(err) {
				t.Fatalf("CreateClusterTrustBundle() = %v, want 422 or success: %v", err, tt.want)
			}
			for _, want := range tt.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("CreateClusterTrustBundle() = %v, want %q", err, want)
				}
			}
		})
	}
}

// CTB-10, CTB-25
func TestTrustBundleLifecycle(t *testing.T) {
	ctx, c := t.Context(), fake.New()
	bundle := &certificatesv1.ClusterTrustBundle{Spec: certificatesv1.ClusterTrustBundleSpec{SignerName: "example.com/ca", TrustBundle: anchor(t, 1, true)}}
	bundle.Name = "example.com:ca:v1"
	if err := c.Load(&certificatesv1.ClusterTrustBundle{ObjectMeta: metav1.ObjectMeta{Name: "broken"}, Spec: certificatesv1.ClusterTrustBundleSpec{TrustBundle: "x"}}); err != nil {
		t.Fatal(err)
	}
	w, err := c.Watch(ctx, "clustertrustbundles", "", metav1.ListOptions{FieldSelector: "spec.signerName=example.com/ca"})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Stop()
	created, err := c.CreateClusterTrustBundle(ctx, bundle)
	if err != nil {
		t.Fatal(err)
	}
	if created.UID == "" || created.ResourceVersion == "" {
		t.Errorf("created %+v, want a UID and a resourceVersion", created.ObjectMeta)
	}
	if _, err := c.CreateClusterTrustBundle(ctx, bundle); !apierrors.IsAlreadyExists(err) || !strings.Contains(err.Error(), "clustertrustbundles.certificates.k8s.io") {
		t.Errorf("a second create: %v, want AlreadyExists with the group", err)
	}
	for signer, want := range map[string]int{"": 2, "example.com/ca": 1, "example.com/x": 0} {
		for _, lister := range []interface {
			ListClusterTrustBundles(ctx context.Context, signerName string) ([]*certificatesv1.ClusterTrustBundle, error)
		}{c, c.Reader()} {
			if list, err := lister.ListClusterTrustBundles(ctx, signer); err != nil || len(list) != want {
				t.Errorf("%T of %q: %d bundles, %v, want %d", lister, signer, len(list), err, want)
			}
		}
	}
	// What isn't changed isn't parsed again.
	if _, err := c.PatchClusterTrustBundle(ctx, "broken", types.MergePatchType, []byte(`{"metadata":{"labels":{"a":"b"}}}`)); err != nil {
		t.Errorf("a label on a bundle that isn't valid any more: %v, want it accepted", err)
	}
	created.Spec.SignerName = "example.com/x"
	if _, err := c.UpdateClusterTrustBundle(ctx, created); !apierrors.IsInvalid(err) || !strings.Contains(err.Error(), "spec.signerName: Invalid value: \"example.com/x\": field is immutable") {
		t.Errorf("another signer: %v, want 422", err)
	}
	created.Spec.SignerName, created.Spec.TrustBundle = "example.com/ca", "x"
	if _, err := c.UpdateClusterTrustBundle(ctx, created); !apierrors.IsInvalid(err) {
		t.Errorf("a bad bundle: %v, want 422", err)
	}
	if err := c.DeleteClusterTrustBundle(ctx, bundle.Name, metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: new(types.UID)}}); !apierrors.IsConflict(err) {
		t.Errorf("delete with another UID: %v, want Conflict", err)
	}
	if err := c.DeleteClusterTrustBundle(ctx, bundle.Name, metav1.DeleteOptions{}); err != nil {
		t.Error(err)
	}
	if list, err := c.CertificatesV1().ClusterTrustBundles().List(ctx, metav1.ListOptions{}); err != nil || len(list.Items) != 1 {
		t.Errorf("List() = %v, %v, want one", list, err)
	}
	if _, err := c.GetClusterTrustBundle(ctx, bundle.Name); !apierrors.IsNotFound(err) {
		t.Errorf("GetClusterTrustBundle() = %v, want NotFound", err)
	}
	var events []string
	for _, e := range w.Pending() {
		events = append(events, string(e.Type))
	}
	if got := strings.Join(events, " "); got != "ADDED DELETED" {
		t.Errorf("events %q, want ADDED DELETED", got)
	}
}

// A Pod may project the bundles of a signer, or one by name.
func TestTrustBundleProjection(t *testing.T) {
	text := func(s string) *string { return &s }
	for _, tt := range []struct {
		name   string
		source corev1.ClusterTrustBundleProjection
		want   string
	}{
		{name: "of a signer", source: corev1.ClusterTrustBundleProjection{SignerName: text("example.com/ca"), LabelSelector: &metav1.LabelSelector{}, Path: "ca.crt"}},
		{name: "by name", source: corev1.ClusterTrustBundleProjection{Name: text("mine"), Path: "ca.crt"}},
		{name: "by the name of a signer's", source: corev1.ClusterTrustBundleProjection{Name: text("example.com:ca:v1"), Path: "ca.crt"}},
		{name: "neither", source: corev1.ClusterTrustBundleProjection{Path: "ca.crt"}, want: "clusterTrustBundle: Required value: either name or signerName must be specified"},
		{name: "both", source: corev1.ClusterTrustBundleProjection{Name: text("a"), SignerName: text("example.com/ca"), Path: "ca.crt"}, want: "only one of name and signerName may be used"},
		{name: "a bad signer", source: corev1.ClusterTrustBundleProjection{SignerName: text("ca"), Path: "ca.crt"}, want: "clusterTrustBundle.signerName: Invalid value"},
		{name: "no signer", source: corev1.ClusterTrustBundleProjection{SignerName: text(""), Path: "ca.crt"}, want: "clusterTrustBundle.signerName: Required value: must be a valid signer name"},
		{name: "a bad name", source: corev1.ClusterTrustBundleProjection{Name: text("A"), Path: "ca.crt"}, want: "not a valid clustertrustbundlename: "},
		{name: "no name", source: corev1.ClusterTrustBundleProjection{Name: text(""), Path: "ca.crt"}, want: "must be a valid object name"},
		{name: "a selector with a name", source: corev1.ClusterTrustBundleProjection{Name: text("a"), LabelSelector: &metav1.LabelSelector{}, Path: "ca.crt"}, want: "labelSelector must be unset if name is specified"},
		{name: "no path", source: corev1.ClusterTrustBundleProjection{Name: text("a")}, want: "clusterTrustBundle.path: Required value"},
		{name: "a path outside", source: corev1.ClusterTrustBundleProjection{Name: text("a"), Path: "../a"}, want: "must not contain '..'"},
		{name: "the path of another source", source: corev1.ClusterTrustBundleProjection{Name: text("a"), Path: "taken"}, want: "conflicting duplicate paths"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := fake.New(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "ci"}})
			pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "ci", Name: "p"}}
			pod.Spec.Containers = []corev1.Container{{Name: "c", Image: "i"}}
			pod.Spec.Volumes = []corev1.Volume{{Name: "v", VolumeSource: corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{Sources: []corev1.VolumeProjection{
				{ConfigMap: &corev1.ConfigMapProjection{LocalObjectReference: corev1.LocalObjectReference{Name: "m"}, Items: []corev1.KeyToPath{{Key: "k", Path: "taken"}}}},
				{ClusterTrustBundle: &tt.source},
			}}}}}
			_, err := c.CreatePod(t.Context(), pod)
			if tt.want == "" && err != nil || tt.want != "" && (!apierrors.IsInvalid(err) || !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("CreatePod() = %v, want %q", err, tt.want)
			}
		})
	}
}
