package keeper_test

import (
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	certificatesv1 "k8s.io/api/certificates/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubesa/serviceaccount"
	"github.com/kubesa/serviceaccount/admission"
	"github.com/kubesa/serviceaccount/fake"
	"github.com/kubesa/serviceaccount/fake/fault"
	"github.com/kubesa/serviceaccount/sacontroller/rootca"
	"github.com/kubesa/serviceaccount/tokens/keeper"
)

// What reads ClusterTrustBundles elsewhere is a reader here.
var (
	_ keeper.TrustBundleReader = (*serviceaccount.CertificatesV1)(nil)
	_ keeper.TrustBundleReader = (*fake.Cluster)(nil)
)

// certificates returns PEM blocks with these contents.
func certificates(contents ...string) (text string) {
	for _, c := range contents {
		text += string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte(c)}))
	}
	return text
}

func bundle(name, signer, text string, labels map[string]string) *certificatesv1.ClusterTrustBundle {
	return &certificatesv1.ClusterTrustBundle{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels},
		Spec:       certificatesv1.ClusterTrustBundleSpec{SignerName: signer, TrustBundle: text},
	}
}

// CTB-16, KUB-31, KUB-33, KUB-34, KUB-37
func TestPayloadOfTrustBundles(t *testing.T) {
	const signer = "example.com/ca"
	unsorted := "# a comment\n" + certificates("B", "A", "B") + string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: []byte("K")})) +
		string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Headers: map[string]string{"x": "y"}, Bytes: []byte("A")})) + "the end"
	newCase := func() (*payloadCase, *corev1.ClusterTrustBundleProjection) {
		c := newPayloadCase()
		cluster := fake.New(
			bundle("mine", "", unsorted, nil),
			bundle("example.com:ca:v1", signer, certificates("D", "B"), map[string]string{"live": "true"}),
			bundle("example.com:ca:v2", signer, certificates("C", "B"), map[string]string{"live": "true"}),
			bundle("example.com:ca:v0", signer, certificates("O"), map[string]string{"live": "false"}),
			bundle("example.com:other:v1", "example.com/other", certificates("X"), map[string]string{"live": "true"}),
		)
		c.cfg.TrustBundles = cluster
		source := &corev1.ClusterTrustBundleProjection{SignerName: ptr(signer), LabelSelector: &metav1.LabelSelector{}, Path: "ca.crt"}
		c.volume.Sources[1] = corev1.VolumeProjection{ClusterTrustBundle: source}
		return c, source
	}
	byName := func(name string) func(*payloadCase, *corev1.ClusterTrustBundleProjection) {
		return func(_ *payloadCase, s *corev1.ClusterTrustBundleProjection) {
			*s = corev1.ClusterTrustBundleProjection{Name: &name, Path: "ca.crt"}
		}
	}
	isNotFound := func(err error) bool { return apierrors.IsNotFound(err) }
	noBundle := func(want keeper.NoTrustBundleError) func(error) bool {
		return func(err error) bool {
			e, ok := errors.AsType[*keeper.NoTrustBundleError](err)
			return ok && *e == want
		}
	}
	const prefix = "keeper: source 1: "
	for _, tt := range []struct {
		name   string
		mutate func(*payloadCase, *corev1.ClusterTrustBundleProjection)
		want   string // the file
		err    string
		is     func(error) bool
	}{
		{name: "all of a signer", want: certificates("B", "C", "D", "O") + " 644"},
		{name: "by label", mutate: func(_ *payloadCase, s *corev1.ClusterTrustBundleProjection) {
			s.LabelSelector.MatchLabels = map[string]string{"live": "true"}
		}, want: certificates("B", "C", "D") + " 644"},
		{name: "by expression", mutate: func(_ *payloadCase, s *corev1.ClusterTrustBundleProjection) {
			s.LabelSelector.MatchExpressions = []metav1.LabelSelectorRequirement{{Key: "live", Operator: metav1.LabelSelectorOpNotIn, Values: []string{"true"}}}
		}, want: certificates("O") + " 644"},
		{name: "by name, with all that a bundle may hold", mutate: byName("mine"), want: certificates("A", "B") + " 644"},
		{name: "by the name of a signer's", mutate: byName("example.com:ca:v1"), want: certificates("B", "D") + " 644"},
		{name: "name before signer", mutate: func(_ *payloadCase, s *corev1.ClusterTrustBundleProjection) { s.Name = ptr("mine") }, want: certificates("A", "B") + " 644"},
		{name: "a reader that returns bundles of all signers", mutate: func(c *payloadCase, _ *corev1.ClusterTrustBundleProjection) {
			c.cfg.TrustBundles = careless{c.cfg.TrustBundles}
		}, want: certificates("B", "C", "D", "O") + " 644"},
		{name: "all run as one user", mutate: func(c *payloadCase, _ *corev1.ClusterTrustBundleProjection) {
			c.pod.Spec.SecurityContext = &corev1.PodSecurityContext{RunAsUser: ptr(int64(7))}
		}, want: certificates("B", "C", "D", "O") + " 600 user 7"},
		{name: "a group", mutate: func(c *payloadCase, _ *corev1.ClusterTrustBundleProjection) {
			c.pod.Spec.SecurityContext = &corev1.PodSecurityContext{FSGroup: ptr(int64(9))}
		}, want: certificates("B", "C", "D", "O") + " 640 group 9"},
		{name: "an optional name that isn't there", mutate: func(c *payloadCase, s *corev1.ClusterTrustBundleProjection) {
			byName("gone")(c, s)
			s.Optional = ptr(true)
		}, want: " 644"},
		{name: "an optional signer without bundles", mutate: func(_ *payloadCase, s *corev1.ClusterTrustBundleProjection) {
			s.SignerName, s.Optional = ptr("example.com/none"), ptr(true)
		}, want: " 644"},
		{name: "an optional signer without a selector", mutate: func(_ *payloadCase, s *corev1.ClusterTrustBundleProjection) {
			s.LabelSelector, s.Optional = nil, ptr(true)
		}, want: " 644"},
		{name: "a name that isn't there", mutate: byName("gone"), err: `the ClusterTrustBundle "gone": clustertrustbundles.certificates.k8s.io "gone" not found`, is: isNotFound},
		{name: "a name that is a path", mutate: byName("a:../x"), err: `the ClusterTrustBundle "a:../x": there can't be one of that name`},
		{name: "no name", mutate: byName(""), err: `the ClusterTrustBundle "": there can't be one of that name`},
		{name: "a signer without bundles", mutate: func(_ *payloadCase, s *corev1.ClusterTrustBundleProjection) { s.SignerName = ptr("example.com/none") },
			err: `there is no ClusterTrustBundle of the signer "example.com/none"`, is: noBundle(keeper.NoTrustBundleError{SignerName: "example.com/none"})},
		{name: "none with the label", mutate: func(_ *payloadCase, s *corev1.ClusterTrustBundleProjection) {
			s.LabelSelector.MatchLabels = map[string]string{"live": "maybe"}
		}, err: `no ClusterTrustBundle of the signer "example.com/ca" matches the label selector "live=maybe"`, is: noBundle(keeper.NoTrustBundleError{SignerName: signer, Selector: "live=maybe"})},
		{name: "no selector", mutate: func(_ *payloadCase, s *corev1.ClusterTrustBundleProjection) { s.LabelSelector = nil },
			err: `the ClusterTrustBundles of "example.com/ca": without a label selector none is selected, want an empty one for all`},
		{name: "no selector, required", mutate: func(_ *payloadCase, s *corev1.ClusterTrustBundleProjection) {
			s.LabelSelector, s.Optional = nil, ptr(false)
		}, err: `the ClusterTrustBundles of "example.com/ca": without a label selector none is selected, want an empty one for all`},
		{name: "an invalid selector", mutate: func(_ *payloadCase, s *corev1.ClusterTrustBundleProjection) {
			s.LabelSelector.MatchExpressions = []metav1.LabelSelectorRequirement{{Key: "live", Operator: "Maybe"}}
		}, err: `the label selector of the ClusterTrustBundles of "example.com/ca": "Maybe" is not a valid label selector operator`},
		{name: "neither", mutate: func(_ *payloadCase, s *corev1.ClusterTrustBundleProjection) { s.SignerName = nil }, err: "a source of ClusterTrustBundles needs a name or a signerName"},
		{name: "an empty signer", mutate: func(_ *payloadCase, s *corev1.ClusterTrustBundleProjection) { s.SignerName = ptr("") }, err: "a source of ClusterTrustBundles needs a name or a signerName"},
		{name: "no reader", mutate: func(c *payloadCase, _ *corev1.ClusterTrustBundleProjection) { c.cfg.TrustBundles = nil },
			err: `the ClusterTrustBundles of "example.com/ca": there is no reader of ClusterTrustBundles`},
		{name: "a nil reader, by name", mutate: func(c *payloadCase, s *corev1.ClusterTrustBundleProjection) {
			byName("mine")(c, s)
			c.cfg.TrustBundles = (*fake.Cluster)(nil)
		}, err: `the ClusterTrustBundle "mine": there is no reader of ClusterTrustBundles`},
		{name: "an outage, even if it is optional", mutate: func(c *payloadCase, s *corev1.ClusterTrustBundleProjection) {
			c.cfg.TrustBundles.(*fake.Cluster).Inject(fault.First(1, "list", "clustertrustbundles", fault.Timeout))
			s.Optional = ptr(true)
		}, is: apierrors.IsTimeout},
		{name: "an outage, by name", mutate: func(c *payloadCase, s *corev1.ClusterTrustBundleProjection) {
			c.cfg.TrustBundles.(*fake.Cluster).Inject(fault.First(1, "get", "clustertrustbundles", fault.Timeout))
			byName("mine")(c, s)
			s.Optional = ptr(true)
		}, is: apierrors.IsTimeout},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c, source := newCase()
			if tt.mutate != nil {
				tt.mutate(c, source)
			}
			files, _, err := keeper.Payload(t.Context(), c.pod, c.volume, c.cfg)
			if tt.err != "" || tt.is != nil {
				e, ok := errors.AsType[*keeper.SourceError](err)
				if files != nil || !ok || e.Source != 1 || tt.err != "" && err.Error() != prefix+tt.err || tt.is != nil && !tt.is(err) {
					t.Errorf("Payload() = %v, want %q of source 1", err, tt.err)
				}
				return
			}
			file, ok := files["ca.crt"]
			got := fmt.Sprintf("%s %o", file.Data, file.Mode)
			if file.UID != nil {
				got += fmt.Sprintf(" user %d", *file.UID)
			}
			if file.GID != nil {
				got += fmt.Sprintf(" group %d", *file.GID)
			}
			if err != nil || !ok || got != tt.want {
				t.Errorf("Payload() = %v, and the file\n%s\nwant\n%s", err, got, tt.want)
			}
		})
	}
}

// careless returns the bundles of all signers, and nil.
type careless struct{ keeper.TrustBundleReader }

func (c careless) ListClusterTrustBundles(ctx context.Context, _ string) ([]*certificatesv1.ClusterTrustBundle, error) {
	all, err := c.TrustBundleReader.ListClusterTrustBundles(ctx, "")
	return append(all, nil), err
}

// A virtual kubelet writes the volume that admission adds, with the CA that the controller
// publishes, each certificate once (CTB-16).
func TestVolumeOfTheRootCASigner(t *testing.T) {
	ctx := t.Context()
	cluster := fake.New(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "kube-system"}}, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "ci"}}, &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: "ci", Name: "default"}})
	server := httptest.NewUnstartedServer(nil)
	server.StartTLS()
	defer server.Close()
	ca := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}))
	publisher, err := rootca.NewTrustBundles(rootca.TrustBundlesConfig{Reader: cluster, Client: cluster, RootCA: []byte("# the CA\n" + ca)})
	if err != nil {
		t.Fatal(err)
	}
	plugin, err := admission.New(admission.Config{ServiceAccounts: cluster, RootCASigner: rootca.ServingSigner})
	if err != nil {
		t.Fatal(err)
	}
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "ci", Name: "job"}, Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "c"}}}}
	if err := plugin.Admit(ctx, admission.Request{Operation: "CREATE", Namespace: "ci", Name: "job", Pod: pod}); err != nil {
		t.Fatal(err)
	}
	c, dir := newPayloadCase(), memDir(t)
	c.cfg.TrustBundles = serviceaccount.FromCertificatesV1(cluster.CertificatesV1())
	write := func() (changed bool, err error) {
		files, _, err := keeper.Payload(ctx, pod, pod.Spec.Volumes[0].Projected, c.cfg)
		if err != nil {
			return false, err
		}
		return keeper.WriteVolume(dir, files)
	}
	_, err = write()
	if none, ok := errors.AsType[*keeper.NoTrustBundleError](err); !ok || none.SignerName != rootca.ServingSigner {
		t.Errorf("before the CA is published: %v, want a NoTrustBundleError", err)
	}
	if err := cluster.Settle(ctx, publisher); err != nil {
		t.Fatal(err)
	}
	for i, want := range []bool{true, false} {
		if changed, err := write(); err != nil || changed != want {
			t.Errorf("write %d: changed %v, %v, want %v", i, changed, err, want)
		}
	}
	if data, err := os.ReadFile(filepath.Join(dir, "ca.crt")); err != nil || string(data) != ca {
		t.Errorf("ca.crt is %q, %v, want the CA alone", data, err)
	}
	again := bundle("kubernetes.io:kube-apiserver-serving:again", rootca.ServingSigner, ca+"# again\n", nil)
	if _, err := cluster.CreateClusterTrustBundle(ctx, again); err != nil {
		t.Fatal(err)
	}
	if changed, err := write(); err != nil || changed {
		t.Errorf("the same CA in two bundles: changed %v, %v, want nothing written", changed, err)
	}
}
